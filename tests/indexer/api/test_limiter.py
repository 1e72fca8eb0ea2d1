"""Rate limits over several processes: never more than the limit, little less, and none lost with Redis."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from indexer.api import limiter as module
from indexer.api.limiter import LEASE, UNLIMITED, Limiter, Verdict, headers
from indexer.remote.redis import TIMEOUT, RemoteRedis
from tests.support.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

LIMITS = {"read": "600/minute", "bulk": "12/minute"}
SLACK = 2.0  # seconds that a busy machine may add; one after the other a hundred would wait for ten
PATIENT = 5.0  # seconds: where Redis runs, no busy machine may make it seem dead
_numbers = count()


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey.create() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def processes(
    server: Valkey, number: int, clock: Clock, patience: float = PATIENT
) -> AsyncIterator[list[Limiter]]:
    """Limiters that have nothing in common but Redis."""
    remotes = [RemoteRedis(SecretStr(server.url), patience) for _ in range(number)]
    try:
        yield [Limiter(LIMITS, {"read": "6000/minute"}, remote, clock) for remote in remotes]
    finally:
        for remote in remotes:
            await remote.close()


@pytest.fixture
async def one(server: Valkey, clock: Clock) -> AsyncIterator[Limiter]:
    async with processes(server, 1, clock) as (limiter,):
        yield limiter


@pytest.fixture
async def hasty(server: Valkey, clock: Clock) -> AsyncIterator[Limiter]:
    """One with the time-out that it has in production."""
    async with processes(server, 1, clock, TIMEOUT) as (limiter,):
        yield limiter


def alone(clock: Clock) -> Limiter:
    return Limiter(LIMITS, {}, None, clock)


def somebody() -> str:
    return f"addr:somebody-{next(_numbers)}"


def asked(server: Valkey) -> int:
    """How often a lease was asked for so far."""
    with server.client() as direct:
        return int(direct.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


def to_the_window_s_end(limiter: Limiter, identity: str, name: str = "read") -> float:
    verdict = limiter.take_now(identity, name)
    assert verdict is not None
    return verdict.reset


async def allowed(limiter: Limiter, identity: str, number: int, name: str = "read") -> int:
    return sum([(await limiter.take(identity, name)).allowed for _ in range(number)])


async def degrade(limiter: Limiter) -> None:
    for _ in range(3):
        await limiter.take(somebody(), "read")
    assert limiter.degraded


async def shared_again(limiter: Limiter, *, within: float) -> None:
    deadline = time.monotonic() + within
    while limiter.degraded:
        assert time.monotonic() < deadline, "still degraded"
        await asyncio.sleep(0.01)


async def test_a_limit_is_allowed_whole_and_not_exceeded(one: Limiter) -> None:
    who = somebody()
    verdicts = [await one.take(who, "bulk") for _ in range(20)]
    assert [each.allowed for each in verdicts] == [True] * 12 + [False] * 8
    assert [each.remaining for each in verdicts] == [*range(11, -1, -1), *[0] * 8]
    assert all(each.limit == 12 and each.window == 60 and 0 < each.reset <= 60 for each in verdicts)


@pytest.mark.parametrize(("number", "name", "limit"), [(1, "read", 600), (4, "read", 600), (3, "bulk", 12)])
async def test_all_processes_together_allow_the_limit_less_at_most_a_lease_each(
    server: Valkey, clock: Clock, number: int, name: str, limit: int
) -> None:
    chance = random.Random(number)
    who = somebody()
    async with processes(server, number, clock) as limiters:
        total = sum([(await chance.choice(limiters).take(who, name)).allowed for _ in range(limit * 2)])
    assert limit - number * max(1, limit // LEASE) <= total <= limit


async def test_many_at_once_in_several_processes_do_not_exceed_the_limit(server: Valkey, clock: Clock) -> None:
    who = somebody()
    async with processes(server, 3, clock) as limiters:
        verdicts = await asyncio.gather(*(limiters[i % 3].take(who, "read") for i in range(1500)))
    assert 600 - 3 * 30 <= sum(each.allowed for each in verdicts) <= 600


async def test_most_requests_ask_redis_nothing(one: Limiter, server: Valkey) -> None:
    before = asked(server)
    assert await allowed(one, somebody(), 600) == 600
    assert asked(server) - before < 60
    before = asked(server)
    assert await allowed(one, f"key:{somebody()}", 6000) == 6000
    assert asked(server) - before < 90


async def test_a_refused_client_costs_redis_nothing(one: Limiter, server: Valkey) -> None:
    who = somebody()
    await allowed(one, who, 13, "bulk")
    before = asked(server)
    assert await allowed(one, who, 100, "bulk") == 0
    assert asked(server) == before


async def test_those_who_wait_for_one_client_s_lease_share_one_question(one: Limiter, server: Valkey) -> None:
    await one.take(somebody(), "read")  # a new connection loads the script by a question more
    before = asked(server)
    verdicts = await asyncio.gather(*(one.take(who, "read") for who in [somebody()] * 30))
    assert all(each.allowed for each in verdicts)
    assert asked(server) - before == 1


async def test_who_asked_first_and_hangs_up_leaves_the_answer_to_the_others(one: Limiter) -> None:
    who = somebody()
    first, second = (asyncio.create_task(one.take(who, "read")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).allowed
    assert first.cancelled()


async def test_a_lease_answers_without_waiting(one: Limiter) -> None:
    who = somebody()
    assert one.take_now(who, "read") is None
    assert (await one.take(who, "read")).remaining == 599
    assert [verdict and verdict.remaining for verdict in (one.take_now(who, "read") for _ in range(29))] == list(
        range(598, 569, -1)
    )
    assert one.take_now(who, "read") is None


async def test_a_lease_dies_with_its_window(one: Limiter, clock: Clock) -> None:
    who = somebody()
    await one.take(who, "read")
    clock.now += to_the_window_s_end(one, who) - 0.001
    assert one.take_now(who, "read") is not None
    clock.now += 0.001
    assert one.take_now(who, "read") is None
    assert await allowed(one, who, 601) == 600


async def test_a_clock_that_is_set_back_refuses_nobody_for_longer_than_a_window(one: Limiter, clock: Clock) -> None:
    who = somebody()
    assert await allowed(one, who, 13, "bulk") == 12
    clock.now -= 3600
    assert (await one.take(who, "bulk")).allowed


async def test_classes_and_clients_are_counted_apart(one: Limiter) -> None:
    first, second = somebody(), somebody()
    assert await allowed(one, first, 13, "bulk") == 12
    assert (await one.take(second, "bulk")).allowed
    assert (await one.take(first, "read")).allowed
    assert (await one.take("key:" + first, "read")).limit == 6000


async def test_a_class_without_a_limit_is_not_counted(one: Limiter) -> None:
    assert one.take_now(somebody(), "probe") is UNLIMITED
    assert await one.take("key:somebody", "bulk") is UNLIMITED
    assert UNLIMITED.allowed
    assert headers(UNLIMITED) == ()


def test_without_redis_a_process_counts_for_itself_and_never_waits(clock: Clock) -> None:
    limiter = alone(clock)
    verdicts = [limiter.take_now("addr:192.0.2.1", "read") for _ in range(700)]
    assert [each is not None and each.allowed for each in verdicts] == [True] * 600 + [False] * 100
    assert [each.remaining for each in verdicts if each is not None][:2] == [599, 598]
    assert not limiter.degraded


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.0, 0.0, 1.0, 25.0, 60.0, 3600.0])),
        min_size=30,
        max_size=200,
    )
)
def test_in_no_window_more_than_the_limit_passes_whatever_the_order(steps: list[tuple[int, float]]) -> None:
    clock = Clock()
    limiter = alone(clock)
    windows: dict[tuple[int, int], int] = {}
    for who, pause in steps:
        clock.now += pause
        verdict = limiter.take_now(f"addr:192.0.2.{who}", "bulk")
        assert verdict is not None
        window = (who, round(clock.now + verdict.reset))
        windows[window] = windows.get(window, 0) + verdict.allowed
        assert verdict.allowed or windows[window] == 12
    assert max(windows.values()) <= 12


async def test_when_redis_dies_each_process_counts_alone_and_5_s_after_its_return_all_share_again(
    hasty: Limiter, server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = Mock()
    monkeypatch.setattr(module, "logger", logger)
    who = somebody()
    await hasty.take(who, "bulk")
    server.kill()
    try:
        await degrade(hasty)
        assert hasty.take_now(somebody(), "read") is not None
        assert await allowed(hasty, who, 20, "bulk") == 11
    finally:
        server.start()
    await shared_again(hasty, within=5)
    fresh = somebody()
    before = asked(server)
    assert await allowed(hasty, fresh, 13, "bulk") == 12
    assert asked(server) > before
    assert [name for name, _, _ in logger.mock_calls] == ["warning", "info"]


async def test_redis_that_hangs_costs_a_request_its_time_out_once_and_the_next_ones_nothing(
    hasty: Limiter, server: Valkey
) -> None:
    await hasty.take(somebody(), "read")
    server.hang()
    try:
        started = time.monotonic()
        verdicts = await asyncio.gather(*(hasty.take(somebody(), "read") for _ in range(100)))
        assert time.monotonic() - started < 2 * TIMEOUT + SLACK
        assert all(each.allowed for each in verdicts)
        assert hasty.degraded
        assert all(hasty.take_now(somebody(), "read") is not None for _ in range(1000))
    finally:
        server.resume()
    await shared_again(hasty, within=5)


async def test_a_redis_that_loses_its_scripts_is_asked_again(one: Limiter, server: Valkey) -> None:
    await one.take(somebody(), "read")
    server.restart()
    assert (await one.take(somebody(), "read")).allowed
    assert not one.degraded


async def test_many_spoofed_clients_do_not_grow_memory(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLIENTS", 100)
    limiter = alone(clock)
    for number in range(1000):
        limiter.take_now(f"addr:{number}", "read")
    assert len(limiter._addresses["read"].slots) == 100  # noqa: SLF001 - what must not grow


async def test_windows_of_different_clients_end_at_different_moments(clock: Clock) -> None:
    limiter = alone(clock)
    assert len({to_the_window_s_end(limiter, f"addr:192.0.2.{number}") for number in range(100)}) > 30


def test_headers_say_policy_and_state_and_when_to_come_back() -> None:
    assert headers(Verdict(True, 600, 60, 42, 16.2, "read")) == (
        (b"ratelimit-policy", b'"read";q=600;w=60'),
        (b"ratelimit", b'"read";r=42;t=17'),
    )
    assert headers(Verdict(False, 12, 60, 0, 0.01, "bulk")) == (
        (b"ratelimit-policy", b'"bulk";q=12;w=60'),
        (b"ratelimit", b'"bulk";r=0;t=1'),
        (b"retry-after", b"1"),
    )
