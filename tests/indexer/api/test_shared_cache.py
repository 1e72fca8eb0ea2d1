"""Answers that processes share in Redis: found by the next one, harmless when Redis is dead, hung or full of junk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import redis

from tests.support.api import App, Chain, running, until
from tests.support.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager

pytestmark = pytest.mark.xdist_group("shared")  # one worker has the server

LIST = "/v1/indexer/brc20/list"


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey.create() as running_server:
        yield running_server


@pytest.fixture
def valkey(server: Valkey) -> Valkey:
    if server.process is None:
        server.start()
    with server.client() as client:
        client.flushall()
    return server


def readings(app: App) -> int:
    return int(app.metric("database_query_duration_seconds_count", query="tickers"))


def kept(valkey: Valkey) -> list[bytes]:
    """The names of all answers in Redis."""
    with redis.Redis(port=valkey.port) as client:
        return list(client.scan_iter(b"simplicity:test*"))


async def shared(app: App, valkey: Valkey, target: str = LIST) -> None:
    """Ask, and wait until the answer is in Redis."""
    before = len(kept(valkey))
    assert (await app.ask(target)).status == 200
    await until(lambda: len(kept(valkey)) > before, what="the writing")


async def healed(app: App) -> None:
    remote = app.api.service.redis
    assert remote is not None
    await until(lambda: remote.guard.state == "closed", what="the healing")


def near(chain: Chain, valkey: Valkey, **changes: Any) -> AbstractAsyncContextManager[App]:  # noqa: ANN401 - settings
    return running(chain.url, REDIS_URL=valkey.url, CLUSTER_NAME="test", **changes)


async def test_a_second_process_finds_the_firsts_answers(chain: Chain, valkey: Valkey) -> None:
    async with near(chain, valkey) as first, near(chain, valkey) as second:
        await shared(first, valkey)
        mine, theirs = await first.ask(LIST), await second.ask(LIST)
        assert (mine.cache, theirs.cache) == ("hit", "hit")
        assert theirs.body == mine.body
        assert dict(theirs.headers) | {"x-request-id": ""} == dict(mine.headers) | {"x-request-id": ""}
        assert readings(second) == 0
        assert 'endpoint="/v1/indexer/brc20/list"' in second.metrics
        # From then on it has it itself.
        valkey.kill()
        assert (await second.ask(LIST)).cache == "hit"


async def test_a_process_that_was_restarted_starts_warm(chain: Chain, valkey: Valkey) -> None:
    async with near(chain, valkey) as first:
        await shared(first, valkey)
    async with near(chain, valkey) as again:
        assert (await again.ask(LIST)).cache == "hit"


async def test_an_answer_of_the_block_before_is_shared_with_nobody_as_fresh(chain: Chain, valkey: Valkey) -> None:
    async with near(chain, valkey) as first, near(chain, valkey) as second:
        await shared(first, valkey)
        chain.extend()
        await second.at(chain.height)
        answer = await second.ask(LIST)
        assert (answer.cache, answer.height) == ("miss", chain.height)
        # And the first finds the second's.
        await until(lambda: first.tip_height == chain.height)
        await until(lambda: len(kept(valkey)) == 1)
        found = await first.ask(LIST)
        assert found.height == chain.height


async def test_answers_are_shared_also_where_none_may_be_given_stale(chain: Chain, valkey: Valkey) -> None:
    async with near(chain, valkey, API_STALE_SECONDS=0) as first, near(chain, valkey, API_STALE_SECONDS=0) as second:
        await shared(first, valkey)
        assert (await second.ask(LIST)).cache == "hit"


async def test_other_clusters_networks_and_releases_have_answers_of_their_own(
    chain: Chain, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with near(chain, valkey) as first:
        await shared(first, valkey)
    async with running(chain.url, REDIS_URL=valkey.url, CLUSTER_NAME="other") as other:
        assert (await other.ask(LIST)).cache == "miss"
    async with near(chain, valkey, BITCOIN_NETWORK="signet") as other:
        assert (await other.ask(LIST)).cache == "miss"
    monkeypatch.setattr("indexer.api.shared._FORM", "of a later release")
    async with near(chain, valkey) as other:
        assert (await other.ask(LIST)).cache == "miss"


WHOLE = {"status": 200, "headers": [], "body": b"", "etag": b"", "block_hash": b"", "made": 0.0, "ttl": 0.0}
JUNK = [
    b"",
    b"\xc1",
    b"null",
    bytes(1_000),
    msgspec.msgpack.encode(7),
    msgspec.msgpack.encode([]),
    msgspec.msgpack.encode({"status": 200}),
    msgspec.msgpack.encode(WHOLE | {"status": "200"}),
    msgspec.msgpack.encode(WHOLE),
    msgspec.msgpack.encode(WHOLE | {"endpoint": "XX"}).replace(b"XX", b"\xff\xfe"),  # no UTF-8
    msgspec.msgpack.encode(WHOLE | {"endpoint": None, "extra": "XX"}).replace(b"XX", b"\xff\xfe"),
]


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
async def test_junk_in_redis_is_as_nothing(chain: Chain, valkey: Valkey, junk: bytes) -> None:
    async with near(chain, valkey) as first, near(chain, valkey) as second:
        await shared(first, valkey)
        with redis.Redis(port=valkey.port) as client:
            for name in kept(valkey):
                client.set(name, junk)
        answer = await second.ask(LIST)
        assert (answer.status, answer.cache) == (200, "miss")


async def test_another_kind_of_value_in_redis_is_as_nothing(chain: Chain, valkey: Valkey) -> None:
    async with near(chain, valkey) as first, near(chain, valkey) as second:
        await shared(first, valkey)
        with redis.Redis(port=valkey.port) as client:
            (name,) = kept(valkey)
            client.delete(name)
            client.rpush(name, b"a list")
        answer = await second.ask(LIST)
        assert (answer.status, answer.cache) == (200, "miss")


async def test_a_dead_redis_costs_little_and_fails_nothing(chain: Chain, valkey: Valkey) -> None:
    async with near(chain, valkey) as app:
        await shared(app, valkey)
        valkey.kill()
        assert (await app.ask(LIST)).cache == "hit"
        begun = time.monotonic()
        for number in range(1, 51):
            assert (await app.ask(f"{LIST}?limit={number}")).cache == "miss"
        assert time.monotonic() - begun < 2.0
        valkey.start()
        await healed(app)
        await shared(app, valkey, f"{LIST}?limit=99")


async def test_a_hung_redis_costs_its_time_out_a_few_times_and_fails_nothing(chain: Chain, valkey: Valkey) -> None:
    async with near(chain, valkey) as app:
        await shared(app, valkey)
        valkey.hang()
        try:
            begun = time.monotonic()
            for number in range(1, 51):
                assert (await app.ask(f"{LIST}?limit={number}")).cache == "miss"
            assert time.monotonic() - begun < 2.5
        finally:
            valkey.resume()
        await healed(app)
        await shared(app, valkey, f"{LIST}?limit=99")


async def test_a_full_redis_fails_nothing(chain: Chain, valkey: Valkey) -> None:
    with valkey.client() as client:
        client.config_set("maxmemory", "1")
        try:
            async with near(chain, valkey) as app:
                for number in range(1, 6):
                    assert (await app.ask(f"{LIST}?limit={number}")).status == 200
        finally:
            client.config_set("maxmemory", "0")
