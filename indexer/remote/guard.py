"""What every remote call goes through: a breaker, a time-out, and retries where a repetition harms nobody."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import stamina
from stamina.instrumentation import set_on_retry_hooks

from indexer.remote.breaker import Breaker, BreakerOpenError, Interlock, RemoteUnavailableError, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer.remote.breaker import Call

T = TypeVar("T")
Outcome = Literal["ok", "error", "timeout", "not_asked", "cancelled"]

# Its own hooks would log each retry with the error's words, in a form of their own.
set_on_retry_hooks(())


class RemoteTimeoutError(RemoteUnavailableError):
    """The remote did not answer in time."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How much patience there is with a remote."""

    timeout: float  # seconds, for a call with all its retries
    attempts: int = 1  # of a call that may be repeated
    may_pass: tuple[type[Exception], ...] = ()  # errors after which it is repeated
    answers: tuple[type[Exception], ...] = ()  # errors that show a remote that is alive
    failures: int = 3  # in a row, after which the remote is left alone
    pause: float = 0.5  # seconds until one caller may probe it then
    backoff: float = 0.05  # seconds before the first retry, doubled for each further one, with as much jitter


class Guarded:
    """The guard before one remote, shared by all that call it.

    `on_change` is told each new state, `observe` each call's outcome and seconds; neither may block.
    """

    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self.on_change: list[Callable[[str, State], None]] = []
        self.observe: Callable[[str, Outcome, float], None] = _ignore
        self._policy = policy
        self._breaker: Breaker = Interlock(
            name, failures=policy.failures, pause=policy.pause, answers=policy.answers, on_change=self._changed
        )

    @property
    def state(self) -> State:
        """The breaker's state."""
        return self._breaker.state

    async def __call__(self, call: Call[T], *, idempotent: bool = False) -> T:
        """Make a call, more than once only where it is `idempotent`.

        Raises BreakerOpenError where the remote was not asked, RemoteTimeoutError, and what the call itself raises.
        """
        started = time.perf_counter()
        outcome: Outcome = "error"
        try:
            result = await self._breaker.call(lambda: self._in_time(call, idempotent=idempotent))
            outcome = "ok"
        except BreakerOpenError:
            outcome = "not_asked"
            raise
        except RemoteTimeoutError:
            outcome = "timeout"
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self.observe(self.name, outcome, time.perf_counter() - started)
        return result

    async def _in_time(self, call: Call[T], *, idempotent: bool) -> T:
        policy = self._policy
        try:
            async with asyncio.timeout(policy.timeout) as limit:
                if idempotent and policy.attempts > 1:
                    return await self._repeatedly(call)
                return await call()
        except TimeoutError:
            if limit.expired():
                raise RemoteTimeoutError(f"{self.name} did not answer within {policy.timeout:g} s") from None
            raise

    async def _repeatedly(self, call: Call[T]) -> T:
        policy = self._policy
        retries = stamina.AsyncRetryingCaller(
            attempts=policy.attempts,
            timeout=None,  # the whole has one already
            wait_initial=policy.backoff,
            wait_jitter=policy.backoff,
            wait_max=policy.timeout,
        )
        return await retries(policy.may_pass, call)

    def _changed(self, name: str, state: State) -> None:
        for tell in self.on_change:
            tell(name, state)


def _ignore(_name: str, _outcome: Outcome, _seconds: float) -> None:
    """Stand in for an observer."""
