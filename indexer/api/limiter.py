"""Rate limits that all processes share through Redis, taken from it in leases so that most requests do not ask it.

A window of a client is counted under one key. A process adds a lease to the count and spends it on its own; what the
count had left says how much of the lease is good, so that all processes together never allow more than the limit.
Without Redis, or where it did not answer, the same leases come from a count of the process's own.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, NamedTuple, Self
from zlib import crc32

from limits import parse
from limits.aio.storage import RedisStorage
from limits.errors import StorageError

from indexer import log
from indexer.remote.breaker import RemoteUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from limits import RateLimitItem

    from indexer.remote.breaker import State
    from indexer.remote.redis import RemoteRedis
    from indexer.settings import Settings

Headers = tuple[tuple[bytes, bytes], ...]

LEASE = 20  # a lease is at most this part of a limit: so many questions a window at least, and so little is stranded
DECLINE = 8  # and at most this part of what is left, so that little is stranded when a limit is nearly used up
CLIENTS = 16_384  # clients of one class that are remembered: about 6 MB

_KEYS = "key:"

logger = log.get(__name__)


class Verdict(NamedTuple):
    """Whether a request may pass, and what its client is told about the limit."""

    allowed: bool
    limit: int  # requests a window
    window: int  # seconds
    remaining: int  # requests; other processes may have taken of them since
    reset: float  # seconds until the window ends
    name: str  # of the class of routes


UNLIMITED = Verdict(allowed=True, limit=0, window=0, remaining=0, reset=0.0, name="")


class _Slot:
    """What a process knows of one client's window."""

    __slots__ = ("ends", "granted", "left", "shared")

    def __init__(self, ends: int) -> None:
        self.ends = ends  # seconds since the epoch
        self.left = 0  # of the lease
        self.shared = 0  # what the count had left after the lease; with no lease and nothing there, all is refused
        self.granted = 0  # by this process


class _Class:
    """The limit of one class of routes, and its clients."""

    def __init__(self, name: str, item: RateLimitItem) -> None:
        self.name = name
        self.item = item
        self.limit = item.amount
        self.window = item.get_expiry()
        self.lease = max(1, item.amount // LEASE)
        self.slots: OrderedDict[str, _Slot] = OrderedDict()  # the oldest window first
        self.asking: dict[str, asyncio.Task[None]] = {}

    def ends(self, identity: str, now: float) -> int:
        """Return when the client's window ends: at another moment than its neighbours', but the same on all hosts."""
        offset = crc32(identity.encode()) % self.window
        return (int(now + offset) // self.window + 1) * self.window - offset

    def grant(self, identity: str, ends: int, size: int, shared: int) -> None:
        """Add to a client's lease."""
        slot = self.slots.get(identity)
        if slot is None or slot.ends != ends:
            self.slots.pop(identity, None)
            slot = self.slots[identity] = _Slot(ends)
            if len(self.slots) > CLIENTS:
                self.slots.popitem(last=False)
        slot.left += size
        slot.granted += size
        slot.shared = shared

    def grant_alone(self, identity: str, ends: int) -> None:
        """Add to a client's lease by this process's own count."""
        slot = self.slots.get(identity)
        granted = slot.granted if slot is not None and slot.ends == ends else 0
        size = min(self.lease, max(0, self.limit - granted))
        self.grant(identity, ends, size, max(0, self.limit - granted - size))

    def verdict(self, identity: str, now: float) -> Verdict | None:
        """Spend one of a client's lease; None where there is none and the count may have more."""
        slot = self.slots.get(identity)
        if slot is None or not slot.ends - self.window <= now < slot.ends:
            return None
        if slot.left:
            slot.left -= 1
            return Verdict(True, self.limit, self.window, slot.left + slot.shared, slot.ends - now, self.name)
        if slot.shared:
            return None
        return Verdict(False, self.limit, self.window, 0, slot.ends - now, self.name)


class Limiter:
    """The limits of all classes, for clients by address (`addr:…`) and with a key (`key:…`).

    While Redis does not answer, each process counts for itself: `degraded` is true then, and back to false by itself.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        keys: Mapping[str, str],
        redis: RemoteRedis | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.degraded = False
        self._addresses = {name: _Class(name, parse(limit)) for name, limit in addresses.items()}
        self._keys = {name: _Class(name, parse(limit)) for name, limit in keys.items()}
        self._clock = clock
        self._redis = redis
        if redis is not None:
            self._storage = RedisStorage(
                "async+redis://",
                implementation="redispy",
                wrap_exceptions=True,
                key_prefix="simplicity",
                connection_pool=redis.pool,  # type: ignore[arg-type] # limits means a URL's options here
            )
            redis.guard.on_change.append(self._changed)

    @classmethod
    def from_settings(cls, settings: Settings, redis: RemoteRedis | None) -> Self:
        """Return the configured limits; without Redis this process counts for itself."""
        return cls(settings.API_RATE_LIMITS, settings.API_KEY_RATE_LIMITS, redis)

    def take_now(self, identity: str, name: str) -> Verdict | None:
        """Count a request and say whether it may pass; None where that takes a call of `take`.

        A class without a limit answers UNLIMITED.
        """
        found = (self._keys if identity.startswith(_KEYS) else self._addresses).get(name)
        if found is None:
            return UNLIMITED
        now = self._clock()
        verdict = found.verdict(identity, now)
        if verdict is None and (self._redis is None or self.degraded):
            found.grant_alone(identity, found.ends(identity, now))
            return found.verdict(identity, now)
        return verdict

    def is_spent(self, identity: str, name: str) -> bool:
        """Say whether this process knows that nothing is left of a client's window; counts nothing."""
        found = self._addresses.get(name)
        slot = None if found is None else found.slots.get(identity)
        if found is None or slot is None:
            return False
        now = self._clock()
        return slot.ends - found.window <= now < slot.ends and not slot.left and not slot.shared

    async def take(self, identity: str, name: str) -> Verdict:
        """Count a request and say whether it may pass, after asking Redis where this process has no lease.

        Those who wait for one client's lease share one question. A Redis that does not answer costs its time-out once.
        """
        while True:
            verdict, redis = self.take_now(identity, name), self._redis
            if verdict is not None:
                return verdict
            if redis is None:
                return UNLIMITED  # cannot be: without Redis there is always an answer
            found = (self._keys if identity.startswith(_KEYS) else self._addresses)[name]
            await self._lease(redis, found, identity)

    async def _lease(self, redis: RemoteRedis, found: _Class, identity: str) -> None:
        asking = found.asking.get(identity)
        if asking is None:
            asking = asyncio.get_running_loop().create_task(self._ask(redis, found, identity))
            found.asking[identity] = asking
            asking.add_done_callback(lambda _: found.asking.pop(identity, None))
        await asyncio.shield(asking)  # whoever asked first may hang up: the others still wait for it

    async def _ask(self, redis: RemoteRedis, found: _Class, identity: str) -> None:
        ends = found.ends(identity, self._clock())
        slot = found.slots.get(identity)
        left = slot.shared if slot is not None and slot.ends == ends else found.limit
        size = max(1, min(found.lease, left // DECLINE))
        key = found.item.key_for(found.name, identity, ends)
        try:
            # A window longer than it lives: hosts whose clocks differ by less than that still share it.
            count = await redis.guard(lambda: self._storage.incr(key, 2 * found.window, size))
        except (RemoteUnavailableError, StorageError):
            found.grant_alone(identity, ends)
        else:
            over = max(0, count - found.limit)
            found.grant(identity, ends, max(0, size - over), max(0, found.limit - count))

    def _changed(self, _name: str, state: State) -> None:
        if state == "open" and not self.degraded:
            self.degraded = True
            logger.warning("rate limits count for each process alone", reason="redis does not answer")
        elif state == "closed" and self.degraded:
            self.degraded = False
            logger.info("rate limits are shared again")


def headers(verdict: Verdict) -> Headers:
    """Return what a response says about the limit, as the IETF's RateLimit draft has it; nothing for UNLIMITED."""
    if not verdict.limit:
        return ()
    reset = ceil(verdict.reset)
    policy = _policy(verdict.name, verdict.limit, verdict.window)
    state = (b"ratelimit", f'"{verdict.name}";r={verdict.remaining};t={reset}'.encode())
    if verdict.allowed:
        return policy, state
    return policy, state, (b"retry-after", str(max(1, reset)).encode())


@lru_cache(maxsize=256)
def _policy(name: str, limit: int, window: int) -> tuple[bytes, bytes]:
    return b"ratelimit-policy", f'"{name}";q={limit};w={window}'.encode()
