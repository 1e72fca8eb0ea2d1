"""Reads through the caches: the fresh answer, else a new one, else that of before marked as stale, else the truth."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from indexer.api import problems
from indexer.api.cache import Entry, Flights, LocalCache, etag, snapshot_headers
from indexer.api.call import Call, template_of
from indexer.api.sending import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Scope

    from indexer.api.sending import Head, Headers, Sender
    from indexer.api.shared import SharedCache
    from indexer.api.tip import Watcher
    from indexer.settings import Settings

PATIENCE = 1.0  # seconds that a client with an older answer waits for a new one
MOST_FLIGHTS = 200  # answers that are being computed; what would only wait in line is turned away while that is cheap
KEPT = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND})


@dataclass(slots=True)
class Reads:
    """Answers reads. `count` is told of each hit, miss and stale answer."""

    app: ASGIApp
    settings: Settings
    watcher: Watcher
    local: LocalCache
    shared: SharedCache | None
    count: Callable[[str], None]
    _flights: Flights = field(default_factory=Flights)

    async def answer(self, call: Call, scope: Scope, head: Head, sender: Sender) -> None:
        """Answer a read."""
        key = scope["raw_path"] + b"?" + scope["query_string"]
        entry = self.local.get(key)
        if entry is not None and self._is_fresh(entry):
            self.count("hit")
            await _give(entry, HIT, call, head, sender)
            return
        entry, how = await self._obtain(key, entry, scope)
        await _give(entry, how, call, head, sender)

    async def from_cache(self, call: Call, scope: Scope, head: Head, sender: Sender) -> bool:
        """Answer a read from what is kept, however old within the stale window; False where nothing is."""
        key = scope["raw_path"] + b"?" + scope["query_string"]
        entry = await self._older(key, self.local.get(key))
        if entry is None:
            return False
        await _give(entry, HIT if self._is_fresh(entry) else self._stale(entry, "maintenance"), call, head, sender)
        return True

    def _is_fresh(self, entry: Entry) -> bool:
        watcher = self.watcher
        return watcher.is_confirmed and entry.block_hash == watcher.tip_hash and time.time() - entry.made < entry.ttl

    def _staleness(self, entry: Entry) -> float:
        """Return for how many seconds an answer may have been outdated, at most."""
        if entry.block_hash == self.watcher.tip_hash:
            return self.watcher.unconfirmed_for
        return time.time() - entry.made

    def _is_usable(self, entry: Entry) -> bool:
        return self._staleness(entry) < self.settings.API_STALE_SECONDS

    async def _obtain(self, key: bytes, entry: Entry | None, scope: Scope) -> tuple[Entry, Headers]:
        older = await self._older(key, entry)
        if older is not None and self._is_fresh(older):
            self.local.put(key, older)
            self.count("hit")
            return older, HIT
        obstacle = self._obstacle(key)
        if not obstacle:
            found = await self._fresh(key, scope, PATIENCE if older is not None else None)
            if older is None or found.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                self.count("miss")
                return found, MISS
            obstacle = "database-slow"
        if older is not None:
            return older, self._stale(older, obstacle)
        self.count("miss")
        return _failed(_SAID[obstacle]), MISS

    def _obstacle(self, key: bytes) -> str:
        """Return why an answer is not worth trying to compute, empty where it is."""
        if self.watcher.is_down:
            return "database-down"
        flight = (key, self.watcher.tip_hash)
        return "overloaded" if len(self._flights) >= MOST_FLIGHTS and flight not in self._flights else ""

    async def _older(self, key: bytes, entry: Entry | None) -> Entry | None:
        """Return the latest of what is kept here and of what is shared, if it may be given at all."""
        if self.watcher.is_down and entry is not None and self._is_usable(entry):
            return entry
        if self.shared is not None:
            other = await self.shared.get(key)
            if other is not None and (entry is None or other.made > entry.made):
                entry = other
        return entry if entry is not None and (self._is_fresh(entry) or self._is_usable(entry)) else None

    async def _fresh(self, key: bytes, scope: Scope, patience: float | None) -> Entry:
        # Bounded here too: a database that hangs answers neither the query nor its cancellation.
        seconds = self.settings.QUERY_TIMEOUT + PATIENCE if patience is None else patience
        try:
            async with asyncio.timeout(seconds):
                return await self._flights.once((key, self.watcher.tip_hash), lambda: self._compute(key, scope))
        except TimeoutError:
            return _failed(problems.DATABASE_AWAY)

    async def _compute(self, key: bytes, scope: Scope) -> Entry:
        recorder, outer = Recorder(), scope["call"]
        # A call of its own: who asked first may be gone before the answer is there, and others wait for it.
        call = Call(outer.request_id, outer.client, outer.route_class)
        inner = {**scope, "method": "GET", "call": call}
        try:
            await self.app(inner, _no_body, recorder)
        finally:
            outer.endpoint = template_of(inner)
        entry = self._entry(call, recorder, template_of(inner))
        if entry.status in KEPT and call.at is not None:
            self.local.put(key, entry)
            if self.shared is not None:
                self.shared.put(key, entry)
        return entry

    def _entry(self, call: Call, recorder: Recorder, endpoint: str | None) -> Entry:
        headers, tag = [header for header in recorder.headers if header[0] != b"cache-control"], b""
        if recorder.status in KEPT and call.at is not None:
            tag = etag(recorder.body)
            visibility = "public" if self.settings.API_PUBLIC_READS else "private"
            caching = f"{visibility}, max-age={call.max_age}, must-revalidate".encode()
            headers += [(b"etag", tag), (b"cache-control", caching), *snapshot_headers(call.at)]
        else:
            headers.append(problems.NO_STORE)
        block_hash = call.at.block_hash if call.at is not None else b""
        ttl = self.settings.API_CACHE_TTL if call.ttl is None else call.ttl
        return Entry(recorder.status, headers, recorder.body, tag, block_hash, time.time(), ttl, endpoint)

    def _stale(self, entry: Entry, why: str) -> Headers:
        self.count("stale")
        age = max(0, int(self._staleness(entry)))
        return [
            (b"age", str(age).encode()),
            (b"warning", b'110 - "Response is Stale"'),
            (b"cache-status", f"simplicity; hit; ttl=-{age}; detail={why}".encode()),
        ]


_SAID = {"database-down": problems.DATABASE_AWAY, "overloaded": problems.OVERLOADED}
HIT: Headers = [(b"cache-status", b"simplicity; hit")]
MISS: Headers = [(b"cache-status", b"simplicity; fwd=miss")]
_NOT_IN_304 = frozenset({b"content-length", b"content-type"})


async def _give(entry: Entry, how: Headers, call: Call, head: Head, sender: Sender) -> None:
    call.endpoint = entry.endpoint
    if head.if_none_match is not None and entry.status == HTTPStatus.OK and _matches(head.if_none_match, entry.etag):
        headers = [header for header in entry.headers if header[0] not in _NOT_IN_304]
        await sender.whole(HTTPStatus.NOT_MODIFIED, headers + how, b"")
        return
    await sender.whole(entry.status, entry.headers + how, entry.body)


def _matches(wanted: bytes, tag: bytes) -> bool:
    return any(part.strip().removeprefix(b"W/") in {tag, b"*"} for part in wanted.split(b","))


def _failed(detail: str) -> Entry:
    status, headers, body = problems.prepared(HTTPStatus.SERVICE_UNAVAILABLE, detail)
    return Entry(status, [*headers, problems.RETRY, problems.NO_STORE], body, b"", b"", 0.0, 0.0, None)


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
