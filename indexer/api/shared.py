"""Answers that all processes share, in Redis.

A process that has just started, or that meets a new block, finds what another has computed; and what is there outlasts
an outage of the database.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
from redis.exceptions import RedisError

from indexer.api.cache import Entry
from indexer.remote.breaker import RemoteUnavailableError
from indexer.telemetry import traces

if TYPE_CHECKING:
    from indexer.remote.redis import RemoteRedis

_QUEUE = 1_000  # answers that wait to be written; more are left out rather than held
_BATCH = 20  # within the time-out of one call
_FORM = "1"  # changes when an entry's form does: releases beside one another must not read each other's

_AWAY = (RemoteUnavailableError, RedisError)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class SharedCache:
    """Reads at once, writes behind. Whatever Redis does: nobody waits longer than its time-out, and nothing fails."""

    def __init__(self, redis: RemoteRedis, namespace: str, seconds: int) -> None:
        self._redis = redis
        self._prefix = f"simplicity:{namespace}:{_FORM}:".encode()
        self._seconds = max(1, seconds)
        self._waiting: asyncio.Queue[tuple[bytes, Entry]] = asyncio.Queue(_QUEUE)

    async def get(self, key: bytes) -> Entry | None:
        """Return what is kept for an address, fresh or not."""
        try:
            with traces.call("redis", "get"):
                found = await self._redis.guard(lambda: self._read(self._name(key)))
            return None if found is None else _decode(found)
        except (*_AWAY, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an answer, soon."""
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait((self._name(key), entry))

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < _BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            with suppress(*_AWAY):
                await self._redis.guard(partial(self._write, batch))

    async def _read(self, name: bytes) -> bytes | None:
        found = await self._redis.client.get(name)
        return found.encode() if isinstance(found, str) else found

    async def _write(self, batch: list[tuple[bytes, Entry]]) -> None:
        async with self._redis.client.pipeline(transaction=False) as pipeline:
            for name, entry in batch:
                _ = pipeline.set(name, _encode(entry), ex=self._seconds)
            await pipeline.execute()

    def _name(self, key: bytes) -> bytes:
        return self._prefix + blake2b(key, digest_size=16).digest()
