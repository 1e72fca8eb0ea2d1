"""Server-sent events: each new block and each reorg, without a gap over reconnects, restarts and processes.

A stream holds nothing but the block that its client saw last. When the tip moves it asks for the way from there: back
over the blocks that a reorg took, and on. So a slow client merely gets a longer way next time, and one that comes back
with `Last-Event-ID`, to whichever process, goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from indexer import log
from indexer.api.shapes import iso_time
from indexer.bitcoin.block import display
from indexer.store.connection import StoreUnavailableError
from indexer.store.pools import QueryTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from indexer.api.tip import Watcher
    from indexer.store.pools import Row
    from indexer.store.reader import Reader

logger = log.get(__name__)

HEARTBEAT = 15.0  # seconds of silence after which a comment keeps proxies from closing the connection
PATH_LIMIT = 500  # blocks that a client which was away long is told of at once
RETRY = b"retry: 1000\n\n"  # milliseconds after which a client comes back


@dataclass(frozen=True, slots=True)
class Place:
    """A block that a client saw: height, hash in internal order (empty before the first block)."""

    height: int
    block_hash: bytes

    @property
    def event_id(self) -> str:
        """How the block is named in `id:` and `Last-Event-ID`."""
        return f"{self.height}:{display(self.block_hash)}"


def place_of(event_id: str) -> Place | None:
    """Return the block that a `Last-Event-ID` names, None where it is none of ours."""
    height, _, block_hash = event_id.partition(":")
    try:
        place = Place(int(height), bytes.fromhex(block_hash)[::-1])
    except ValueError:
        return None
    return place if place.event_id == event_id and -1 <= place.height < 1 << 31 else None


@dataclass(frozen=True, slots=True)
class Way:
    """Events as bytes, and the block they lead to."""

    text: bytes
    end: Place


@dataclass(slots=True)
class Events:
    """The streams of a process. `open_streams` are those that are being served."""

    reader: Reader
    watcher: Watcher
    most: int
    open_streams: int = 0
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    _ways: dict[tuple[Place, bytes], asyncio.Task[Way | None]] = field(default_factory=dict)

    def take_room(self) -> bool:
        """Count one more stream, which has to be given back; False where there are as many as may be."""
        if self.open_streams >= self.most or self.draining.is_set():
            return False
        self.open_streams += 1
        return True

    async def stream(self, last: Place | None) -> AsyncIterator[bytes]:
        """Yield events from the block that the client saw last, from the tip without one; ends when draining."""
        yield RETRY
        async for part in self._on_from(last):
            yield part

    async def _on_from(self, last: Place | None) -> AsyncIterator[bytes]:
        written = time.monotonic()
        while not self.draining.is_set():
            seen = last.block_hash if last else None
            moved = await self.watcher.changed(seen, HEARTBEAT / 3)
            if moved and not self.draining.is_set():
                way = await self._way(last)
                if way is not None:
                    last, written = way.end, time.monotonic()
                    yield way.text
                    continue
                await asyncio.sleep(0.2)  # the database is away, or the replica is behind: the tip is there soon
            if time.monotonic() - written > HEARTBEAT:
                written = time.monotonic()
                yield b": still here\n\n"

    async def _way(self, last: Place | None) -> Way | None:
        """Return the way to the tip; streams that stand at the same block share one. None where it cannot be told."""
        tip = self._tip()
        if last is None or tip is None:
            return None if tip is None else Way(_at(tip, _event("tip", self._tip_data())), tip)
        key = (last, tip.block_hash)
        task = self._ways.get(key)
        if task is None:
            task = self._ways[key] = asyncio.create_task(self._find(last, tip))
            task.add_done_callback(lambda _: self._ways.pop(key, None))
        try:
            async with asyncio.timeout(HEARTBEAT / 3):  # or a database that hangs would keep the stream silent
                return await asyncio.shield(task)
        except TimeoutError:
            return None

    async def _find(self, last: Place, tip: Place) -> Way | None:
        try:
            rows = await self.reader.path(last.height, last.block_hash, PATH_LIMIT)
        except (StoreUnavailableError, QueryTimeoutError) as error:
            logger.debug("no way to the tip", reason=str(error))
            return None
        if not rows:
            return Way(_at(tip, _event("reset", self._tip_data())), tip)
        return _written(last, rows)

    def _tip(self) -> Place | None:
        tip = self.watcher.tip
        return None if tip is None else Place(tip.height, tip.block_hash)

    def _tip_data(self) -> dict[str, Any]:
        tip = self.watcher.tip
        if tip is None:
            return {}
        state = tip.state_hash.hex() if tip.state_hash else None
        return {"height": tip.height, "block_hash": display(tip.block_hash), "state_hash": state}


def _written(last: Place, rows: list[Row]) -> Way | None:
    """Write the rows of a path from `last` as events; None where the path leads nowhere new."""
    fork = Place(rows[0]["fork_height"], rows[0]["fork_hash"])
    parts, end = [], fork
    if fork != last:
        depth = last.height - fork.height
        data = {"height": fork.height, "block_hash": display(fork.block_hash), "depth": depth}
        parts.append(_at(fork, _event("reorg", data)))
    for row in rows:
        if row["height"] is None:
            continue
        end = Place(row["height"], row["hash"])
        data = {
            "height": row["height"],
            "block_hash": display(row["hash"]),
            "state_hash": row["state_hash"].hex(),
            "time": iso_time(row["time"]),
            "operations": row["op_count"],
        }
        parts.append(_at(end, _event("block", data)))
    return Way(b"".join(parts), end) if parts else None


def _at(place: Place, event: bytes) -> bytes:
    return b"id: " + place.event_id.encode() + b"\n" + event


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
