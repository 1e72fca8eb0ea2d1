"""The guard before a remote: its time-out, its retries, and its breaker's one probe."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from indexer.remote.breaker import BreakerOpenError, RemoteUnavailableError
from indexer.remote.guard import Guarded, Policy, RemoteTimeoutError

if TYPE_CHECKING:
    from indexer.remote.breaker import State

PAUSE = 0.05


class DroppedError(Exception):
    """What may pass."""


class AnswerError(Exception):
    """What a remote that is alive says."""


class Remote:
    """Counts who reaches it, and answers as it is told."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None
        self.answering = asyncio.Event()
        self.reached = asyncio.Event()
        self.answering.set()

    async def __call__(self) -> str:
        self.calls += 1
        self.reached.set()
        await self.answering.wait()
        if self.error is not None:
            raise self.error
        return "answer"


def guard(**policy: object) -> Guarded:
    given = {"timeout": 1.0, "failures": 3, "pause": PAUSE, "backoff": 0.001} | policy
    return Guarded("remote", Policy(**given))  # type: ignore[arg-type]


def state(guarded: Guarded) -> str:
    return guarded.state


async def open_up(guarded: Guarded, remote: Remote) -> None:
    remote.error = OSError("down")
    for _ in range(3):
        with pytest.raises(OSError, match="down"):
            await guarded(remote)
    assert state(guarded) == "open"
    remote.error, remote.calls = None, 0
    remote.reached.clear()


async def test_an_answer_comes_through() -> None:
    guarded, remote = guard(), Remote()
    assert await guarded(remote) == "answer"
    assert state(guarded) == "closed"


async def test_a_remote_that_hangs_costs_the_time_out_and_no_more() -> None:
    guarded, remote = guard(timeout=0.05), Remote()
    remote.answering.clear()
    started = time.monotonic()
    with pytest.raises(RemoteTimeoutError, match=r"remote did not answer within 0\.05 s"):
        await guarded(remote, idempotent=True)
    assert 0.05 <= time.monotonic() - started < 1


async def test_a_time_out_of_the_call_itself_is_passed_on() -> None:
    guarded, remote = guard(), Remote()
    remote.error = TimeoutError("its own")
    with pytest.raises(TimeoutError, match="its own"):
        await guarded(remote)


async def test_an_idempotent_call_is_repeated_after_an_error_that_may_pass() -> None:
    guarded, remote = guard(attempts=3, may_pass=(DroppedError,)), Remote()
    answers = iter([DroppedError(), DroppedError()])

    async def mending() -> str:
        remote.error = next(answers, None)
        return await remote()

    assert await guarded(mending, idempotent=True) == "answer"
    assert remote.calls == 3


@pytest.mark.parametrize(
    ("error", "idempotent", "calls"),
    [(DroppedError(), False, 1), (OSError(), True, 1), (DroppedError(), True, 3)],
)
async def test_other_calls_and_other_errors_are_not_repeated_and_no_call_for_ever(
    error: Exception,
    idempotent: bool,  # noqa: FBT001 - a parameter
    calls: int,
) -> None:
    guarded, remote = guard(attempts=3, may_pass=(DroppedError,)), Remote()
    remote.error = error
    with pytest.raises(type(error)):
        await guarded(remote, idempotent=idempotent)
    assert remote.calls == calls


async def test_retries_have_no_more_time_than_the_call() -> None:
    guarded, remote = guard(attempts=1000, may_pass=(DroppedError,), timeout=0.05), Remote()
    remote.error = DroppedError()
    with pytest.raises(RemoteTimeoutError):
        await guarded(remote, idempotent=True)


async def test_after_failures_in_a_row_the_remote_is_left_alone() -> None:
    guarded, remote = guard(pause=60), Remote()
    await open_up(guarded, remote)
    with pytest.raises(BreakerOpenError, match="remote did not answer lately and was not asked"):
        await guarded(remote)
    assert remote.calls == 0


async def test_a_success_in_between_keeps_it_closed() -> None:
    guarded, remote = guard(), Remote()
    for error in (OSError(), OSError(), None, OSError(), OSError()):
        remote.error = error
        if error is None:
            await guarded(remote)
        else:
            with pytest.raises(OSError):  # noqa: PT011 - any
                await guarded(remote)
    assert state(guarded) == "closed"


async def test_an_error_that_is_an_answer_opens_nothing() -> None:
    guarded, remote = guard(answers=(AnswerError,)), Remote()
    remote.error = AnswerError()
    for _ in range(10):
        with pytest.raises(AnswerError):
            await guarded(remote)
    assert state(guarded) == "closed"


async def test_of_twenty_callers_in_half_open_exactly_one_reaches_the_remote() -> None:
    guarded, remote = guard(), Remote()
    await open_up(guarded, remote)
    await asyncio.sleep(PAUSE * 1.5)
    remote.answering.clear()
    callers = [asyncio.create_task(guarded(remote)) for _ in range(20)]
    await asyncio.wait(callers, return_when=asyncio.FIRST_COMPLETED)
    assert state(guarded) == "half_open"
    assert remote.calls == 1
    remote.answering.set()
    found = await asyncio.gather(*callers, return_exceptions=True)
    assert found.count("answer") == 1
    assert sum(isinstance(each, BreakerOpenError) for each in found) == 19
    assert remote.calls == 1
    assert state(guarded) == "closed"


async def test_a_probe_that_fails_opens_again_and_one_that_is_cancelled_gives_its_place_back() -> None:
    guarded, remote = guard(), Remote()
    await open_up(guarded, remote)
    await asyncio.sleep(PAUSE * 1.5)
    remote.answering.clear()
    probe = asyncio.create_task(guarded(remote))
    await remote.reached.wait()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    remote.answering.set()
    remote.error = OSError("still down")
    with pytest.raises(OSError, match="still down"):
        await guarded(remote)
    assert state(guarded) == "open"
    await asyncio.sleep(PAUSE * 1.5)
    remote.error = None
    assert await guarded(remote) == "answer"
    assert state(guarded) == "closed"


async def test_states_and_outcomes_are_told() -> None:
    guarded, remote = guard(timeout=0.05), Remote()
    states: list[tuple[str, State]] = []
    outcomes: list[str] = []
    guarded.on_change.append(lambda name, state: states.append((name, state)))
    guarded.observe = lambda _name, outcome, _seconds: outcomes.append(outcome)
    await open_up(guarded, remote)
    with pytest.raises(RemoteUnavailableError):
        await guarded(remote)
    await asyncio.sleep(PAUSE * 1.5)
    await guarded(remote)
    remote.answering.clear()
    with pytest.raises(RemoteTimeoutError):
        await guarded(remote)
    assert states == [("remote", "open"), ("remote", "half_open"), ("remote", "closed")]
    assert outcomes == ["error", "error", "error", "not_asked", "ok", "timeout"]
