"""The one Redis client: short time-outs, and a guard that closes by itself when Redis is back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from indexer.remote.breaker import RemoteUnavailableError
from indexer.remote.redis import CONNECTIONS, TIMEOUT, RemoteRedis
from tests.support.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SLACK = 2.0  # seconds that a busy machine may add


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey.create() as running:
        yield running


@pytest.fixture
async def remote(server: Valkey) -> AsyncIterator[RemoteRedis]:
    made = RemoteRedis(SecretStr(server.url))
    yield made
    await made.close()


async def opened(remote: RemoteRedis) -> None:
    for _ in range(3):
        with pytest.raises(RemoteUnavailableError):
            await remote.ping()
    assert remote.guard.state == "open"


async def closed(remote: RemoteRedis, *, within: float) -> None:
    back = asyncio.Event()
    remote.guard.on_change.append(lambda _name, state: back.set() if state == "closed" else None)
    if remote.guard.state != "closed":
        await asyncio.wait_for(back.wait(), within)


async def test_a_redis_that_answers_is_pinged(remote: RemoteRedis) -> None:
    await remote.ping()
    assert remote.guard.state == "closed"


async def test_when_redis_is_killed_nobody_waits_and_5_s_after_its_return_it_is_used_again(
    remote: RemoteRedis, server: Valkey
) -> None:
    await remote.ping()
    server.kill()
    started = time.monotonic()
    await opened(remote)
    assert time.monotonic() - started < 3 * TIMEOUT + SLACK
    server.start()
    await closed(remote, within=5)
    await remote.ping()


async def test_a_hung_redis_costs_the_time_out_once_and_then_nothing(remote: RemoteRedis, server: Valkey) -> None:
    await remote.ping()
    outcomes: list[str] = []
    remote.guard.observe = lambda _name, outcome, _seconds: outcomes.append(outcome)
    server.hang()
    try:
        started = time.monotonic()
        with pytest.raises(RemoteUnavailableError, match="redis cannot be used: Timeout reading"):
            await remote.ping()
        assert TIMEOUT <= time.monotonic() - started < TIMEOUT + SLACK
        await asyncio.gather(*(remote.ping() for _ in range(50)), return_exceptions=True)
        outcomes.clear()
        results = await asyncio.gather(*(remote.ping() for _ in range(100)), return_exceptions=True)
        assert all(isinstance(each, RemoteUnavailableError) for each in results)
        assert outcomes == ["not_asked"] * 100
    finally:
        server.resume()
    await closed(remote, within=5)


async def test_a_redis_that_takes_no_writes_is_not_usable(remote: RemoteRedis, server: Valkey) -> None:
    with server.client() as direct:
        direct.config_set("maxmemory", "1")
        try:
            with pytest.raises(RemoteUnavailableError, match=r"redis cannot be used: .*maxmemory"):
                await remote.ping()
        finally:
            direct.config_set("maxmemory", "0")


async def test_more_callers_than_connections_wait_for_one_and_none_fails(server: Valkey) -> None:
    remote = RemoteRedis(SecretStr(server.url), timeout=5)
    await asyncio.gather(*(remote.ping() for _ in range(200)))
    with server.client() as direct:
        assert int(direct.info("clients")["connected_clients"]) <= CONNECTIONS + 1
    await remote.close()


async def test_a_wrong_password_is_not_repeated_in_the_error(server: Valkey) -> None:
    remote = RemoteRedis(SecretStr(f"redis://nobody:hunter2hunter2@127.0.0.1:{server.port}/0"))
    with pytest.raises(RemoteUnavailableError, match="redis cannot be used") as raised:
        await remote.ping()
    assert "hunter2" not in repr(raised.value) + str(raised.value.__cause__)
    assert "hunter2" not in repr(remote)
    await remote.close()
