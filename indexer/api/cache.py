"""Answers kept by the address that was asked for, each with the block that it is of.

An answer is fresh while the chain stands at that very block. So new blocks and reorgs need no lists of what they touch,
a replica that lags cannot pass for the present, and the answer of before is still there when the database is not.
"""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from cachetools import LRUCache

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from indexer.store.reader import Snapshot

_OVERHEAD = 1_000  # bytes of an entry's objects beside what they hold


class Entry(msgspec.Struct, frozen=True):
    """A whole answer.

    `made` is in seconds since the epoch, since processes share entries; `ttl` in seconds; `block_hash` in internal
    order.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    etag: bytes
    block_hash: bytes
    made: float
    ttl: float
    endpoint: str | None


class _Kept(NamedTuple):
    entry: Entry
    size: int

    def size_of(self) -> int:
        return self.size


class LocalCache:
    """The process's own answers, the least recently asked for leave first."""

    def __init__(self, size: int) -> None:
        self._entries: LRUCache[bytes, _Kept] = LRUCache(max(size, 1), getsizeof=_Kept.size_of)

    def get(self, key: bytes) -> Entry | None:
        """Return what is kept for an address, fresh or not."""
        kept = self._entries.get(key)
        return None if kept is None else kept.entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an answer; one larger than the whole cache is not kept."""
        kept = _Kept(entry, len(key) + len(entry.body) + sum(map(len, chain(*entry.headers))) + _OVERHEAD)
        if kept.size <= self._entries.maxsize:
            self._entries[key] = kept

    @property
    def bytes_used(self) -> int:
        """How much is kept."""
        return int(self._entries.currsize)


Flight = tuple[bytes, bytes | None]  # an address, and the tip that stood when it was asked for


class Flights:
    """One computation at a time for each key; whoever asks meanwhile waits for the same answer."""

    def __init__(self) -> None:
        self._flights: dict[Flight, asyncio.Task[Entry]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: Flight) -> bool:
        return key in self._flights

    async def once(self, key: Flight, compute: Callable[[], Awaitable[Entry]]) -> Entry:
        """Return the answer of a computation in flight, else start it. A client that leaves takes it from nobody."""
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._fly(key, compute))
            flight.add_done_callback(_look)
            self._flights[key] = flight
        return await asyncio.shield(flight)

    async def _fly(self, key: Flight, compute: Callable[[], Awaitable[Entry]]) -> Entry:
        try:
            return await compute()
        finally:
            del self._flights[key]


def etag(body: bytes) -> bytes:
    """Return a strong entity tag: equal for equal bytes, in every process and after every restart."""
    return b'"' + blake2b(body, digest_size=12).hexdigest().encode() + b'"'


def snapshot_headers(at: Snapshot) -> list[tuple[bytes, bytes]]:
    """Return the headers that name the block an answer is of."""
    headers = [
        (b"simplicity-height", str(at.height).encode()),
        (b"simplicity-block-hash", at.block_hash[::-1].hex().encode()),
    ]
    if at.state_hash is not None:
        headers.append((b"simplicity-state-hash", at.state_hash.hex().encode()))
    return headers


def _look(flight: asyncio.Task[Entry]) -> None:
    # Nobody may be left to see why it failed; asyncio would print it then.
    if not flight.cancelled():
        flight.exception()
