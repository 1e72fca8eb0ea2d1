"""The one Redis client of a process: bounded time-outs, and a guard that heals itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from indexer.remote.breaker import RemoteUnavailableError
from indexer.remote.guard import Guarded, Policy

if TYPE_CHECKING:
    from pydantic import SecretStr

    from indexer.remote.breaker import State
    from indexer.settings import Settings

TIMEOUT = 0.1  # seconds for an answer: Redis needs less than a hundredth of that
CONNECTIONS = 16
PAUSE = 0.5  # seconds between the probes of a Redis that does not answer
PROBE_KEY = "simplicity:probe"

_SAID = 200  # characters of an error's own words


class RemoteRedis:
    """A pool of connections to one Redis, and the guard before it.

    While the guard is not closed, a task of its own probes: no request has to wait for that.
    """

    def __init__(self, url: SecretStr, timeout: float = TIMEOUT) -> None:
        whole = 2 * timeout  # where all connections are in use, a call waits for one too
        # Once more at once after a lost connection: a restarted Redis leaves dead ones in the pool.
        retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
        self.pool = BlockingConnectionPool.from_url(
            url.get_secret_value(),
            max_connections=CONNECTIONS,
            timeout=whole,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=retry,
            driver_info=None,
        )
        self.client = Redis(connection_pool=self.pool)
        self.guard = Guarded("redis", Policy(timeout=whole, pause=PAUSE))
        self.guard.on_change.append(self._changed)
        self._healing: asyncio.Task[None] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Return the configured Redis, or None where REDIS_URL is not set."""
        return None if settings.REDIS_URL is None else cls(settings.REDIS_URL)

    async def ping(self) -> None:
        """Return if Redis answers and takes writes: a replica or a full one would not do.

        Raises RemoteUnavailableError, at the latest after twice the time-out.
        """
        try:
            await self.guard(lambda: self.client.set(PROBE_KEY, b"", ex=60))
        except RedisError as error:
            raise RemoteUnavailableError(f"redis cannot be used: {str(error)[:_SAID]}") from error

    async def close(self) -> None:
        """Stop probing and close the connections."""
        if self._healing is not None:
            self._healing.cancel()
            with suppress(asyncio.CancelledError):
                await self._healing
        await self.client.aclose()
        await self.pool.aclose()

    def _changed(self, _name: str, state: State) -> None:
        if state == "open" and (self._healing is None or self._healing.done()):
            self._healing = asyncio.get_running_loop().create_task(self._heal())

    async def _heal(self) -> None:
        while self.guard.state != "closed":
            await asyncio.sleep(PAUSE)
            with suppress(RemoteUnavailableError):
                await self.ping()
