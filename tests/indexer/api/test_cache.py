"""Kept answers: given as long as the chain stands, never longer, one reading for all who ask."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import pytest

from indexer.store.reader import Page
from tests.support.api import App, Chain, running, serving, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from indexer.api.cache import Entry, LocalCache
    from indexer.store.reader import Answer, Reader

LIST = "/v1/indexer/brc20/list"
AT_ONCE = 0.5  # seconds: well below the interval at which the tip is asked for where nothing is told
SLOW_POLL = 30  # seconds: only NOTIFY can be what brings news


@pytest.fixture
async def app(chain: Chain) -> AsyncIterator[App]:
    async with running(chain.url) as made:
        yield made


def readings(app: App, query: str = "tickers") -> int:
    return int(app.metric("database_query_duration_seconds_count", query=query))


class Gate:
    """Holds what a reader has read until it is opened."""

    def __init__(self, reader: Reader, name: str = "tickers") -> None:
        self.opened = asyncio.Event()
        self.waiting = 0
        self._read = getattr(reader, name)
        setattr(reader, name, self._held)

    async def _held(self, *given: Any) -> Answer:  # noqa: ANN401 - as they come
        answer: Answer = await self._read(*given)
        self.waiting += 1
        await self.opened.wait()
        return answer


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of the caches; `by` is how far it is ahead."""
    clock = SimpleNamespace(by=0.0)
    monkeypatch.setattr("indexer.api.kept.time", SimpleNamespace(time=lambda: time.time() + clock.by))
    return clock


async def test_an_answer_is_read_once_and_then_given_as_it_is(calm: App) -> None:
    first = await calm.ask(LIST)
    second = await calm.ask(LIST)
    assert (first.cache, second.cache) == ("miss", "hit")
    assert second.body == first.body
    assert readings(calm) == 1
    assert calm.metric("cache_requests_total", result="miss") == calm.metric("cache_requests_total", result="hit") == 1


async def test_addresses_that_differ_have_answers_of_their_own(calm: App) -> None:
    targets = [LIST, f"{LIST}?limit=1", f"{LIST}?limit=1&skip=1", f"{LIST}?limit=1&skip=0"]
    for _ in range(2):
        lengths = [len((await calm.ask(target)).json()) for target in targets]
        assert lengths == [1, 1, 0, 1]
    assert readings(calm) == len(targets)


async def test_what_is_not_there_is_kept_until_there_is_a_new_block(app: App, chain: Chain) -> None:
    target = "/v1/indexer/brc20/NOSUCH/info"
    answers = [await app.ask(target) for _ in range(2)]
    assert [(answer.status, answer.cache) for answer in answers] == [(404, "miss"), (404, "hit")]
    chain.extend()
    await app.at(chain.height)
    assert (await app.ask(target)).cache == "miss"


async def test_a_refused_question_is_not_kept(calm: App) -> None:
    for _ in range(2):
        answer = await calm.ask(f"{LIST}?limit=0")
        assert (answer.status, answer.cache) == (422, "miss")
        assert answer.header("cache-control") == "no-store"
    assert calm.metric("cache_bytes") == 0


async def test_a_new_block_makes_the_next_answer_new_at_once(chain: Chain) -> None:
    async with running(chain.url, API_POLL_INTERVAL=SLOW_POLL) as app:
        await app.ask(LIST)
        for _ in range(3):
            chain.extend()
            await app.at(chain.height, within=AT_ONCE)
            answers = [await app.ask(LIST) for _ in range(2)]
            assert [answer.cache for answer in answers] == ["miss", "hit"]
            assert {answer.height for answer in answers} == {chain.height}


async def test_a_reorg_makes_the_next_answer_new_at_once_even_at_the_same_height(chain: Chain) -> None:
    async with running(chain.url, API_POLL_INTERVAL=SLOW_POLL) as app:
        before = await app.ask(LIST)
        height = chain.height
        chain.fork(1, 1)
        assert chain.height == height
        hash_now = chain.tip_hash
        await until(lambda: app.api.service.watcher.tip_hash == hash_now, within=AT_ONCE, what="the reorg")
        after = await app.ask(LIST)
        assert after.cache == "miss"
        assert after.header("simplicity-block-hash") == hash_now[::-1].hex() != before.header("simplicity-block-hash")
        assert app.metric("simplicity_api_reorgs_total") >= 1


async def test_where_nothing_is_told_a_new_block_is_seen_within_the_poll_interval(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A pooler in transaction mode takes LISTEN and never tells.
    monkeypatch.setattr("indexer.api.tip.CHANNELS", ("nobody_speaks_here",))
    async with running(chain.url, API_POLL_INTERVAL=0.3) as app:
        await app.ask(LIST)
        chain.extend()
        await app.at(chain.height, within=0.3 + AT_ONCE)
        assert (await app.ask(LIST)).height == chain.height


async def test_a_poll_interval_longer_than_a_tip_counts_as_known_keeps_the_cache_at_work(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As API_POLL_INTERVAL=60 and the real five seconds, only quicker.
    monkeypatch.setattr("indexer.api.tip.CONFIRMED_FOR", 0.2)
    async with running(chain.url, API_POLL_INTERVAL=2) as app:
        await app.ask(LIST)
        await asyncio.sleep(0.5)
        assert (await app.ask(LIST)).cache == "hit"


async def test_a_hundred_clients_who_ask_at_once_make_one_reading(calm: App) -> None:
    gate = Gate(calm.api.service.reader)
    asking = [asyncio.create_task(calm.ask(LIST)) for _ in range(100)]
    await until(lambda: gate.waiting == 1)
    gate.opened.set()
    answers = await asyncio.gather(*asking)
    assert readings(calm) == gate.waiting == 1
    assert len({answer.body for answer in answers}) == 1
    assert {answer.status for answer in answers} == {200}
    assert len({answer.header("x-request-id") for answer in answers}) == 100


async def test_beyond_what_can_be_computed_at_once_questions_are_turned_away_while_that_is_cheap(
    calm: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.api.kept.MOST_FLIGHTS", 10)
    kept = await calm.ask(f"{LIST}?kept")
    calm.api.service.local.put(f"{LIST}?old".encode(), msgspec.structs.replace(entry_of(calm, f"{LIST}?kept"), ttl=0.0))
    opened = asyncio.Event()
    read = calm.api.service.reader.tickers

    async def held(*given: Any) -> Answer:  # noqa: ANN401 - as they come
        await opened.wait()
        return await read(*given)

    monkeypatch.setattr(calm.api.service.reader, "tickers", held)
    asking = [asyncio.create_task(calm.ask(f"{LIST}?{number}")) for number in range(10)]
    await until(lambda: calm.metric("http_requests_in_flight") == 10)
    begun = time.monotonic()
    refused = await calm.ask(f"{LIST}?one-more")
    assert (refused.status, refused.header("retry-after")) == (503, "5")
    stale = await calm.ask(f"{LIST}?old")
    assert (stale.status, stale.cache, stale.body) == (200, "stale", kept.body)
    assert (await calm.ask(f"{LIST}?kept")).cache == "hit"
    assert time.monotonic() - begun < AT_ONCE
    same = asyncio.create_task(calm.ask(f"{LIST}?3"))
    await asyncio.sleep(0)
    opened.set()
    assert {answer.status for answer in await asyncio.gather(same, *asking)} == {200}
    assert (await calm.ask(f"{LIST}?one-more")).status == 200


def entry_of(app: App, target: str) -> Entry:
    entry = app.api.service.local.get(target.encode())
    assert entry is not None
    return entry


async def test_a_client_that_is_cut_off_takes_the_answer_from_nobody(calm: App) -> None:
    gate = Gate(calm.api.service.reader)
    asking = [asyncio.create_task(calm.ask(LIST)) for _ in range(5)]
    await until(lambda: gate.waiting == 1)
    asking[0].cancel()  # who asked first, and whose question it is that runs
    with suppress(asyncio.CancelledError):
        await asking[0]
    gate.opened.set()
    answers = await asyncio.gather(*asking[1:])
    assert [answer.status for answer in answers] == [200] * 4
    assert readings(calm) == 1


async def test_a_client_that_hangs_up_takes_the_answer_from_nobody(chain: Chain) -> None:
    async with serving(chain.url) as app, httpx2.AsyncClient(trust_env=False) as client:
        gate = Gate(app.api.service.reader)
        _, writer = await asyncio.open_connection("127.0.0.1", app.port)
        writer.write(f"GET {LIST} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until(lambda: gate.waiting == 1)
        other = asyncio.create_task(client.get(f"http://127.0.0.1:{app.port}{LIST}"))
        writer.transport.abort()
        gate.opened.set()
        assert (await other).status_code == 200
        assert readings(app) == 1


@pytest.mark.usefixtures("said")
async def test_a_reading_that_fails_fails_all_who_waited_and_is_tried_anew(
    calm: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(calm.api.service.reader)
    with monkeypatch.context() as broken:
        broken.setattr("indexer.api.shapes.ticker_info", lambda _: 1 / 0)
        asking = [asyncio.create_task(calm.ask(LIST)) for _ in range(3)]
        await until(lambda: gate.waiting == 1)
        gate.opened.set()
        assert [(await answer).status for answer in asking] == [500, 500, 500]
    assert (await calm.ask(LIST)).status == 200


async def test_who_asks_after_a_new_block_gets_no_answer_that_was_begun_before_it(app: App, chain: Chain) -> None:
    gate = Gate(app.api.service.reader)
    early = asyncio.create_task(app.ask(LIST))
    await until(lambda: gate.waiting == 1)
    chain.extend()
    await app.at(chain.height)
    late = asyncio.create_task(app.ask(LIST))
    await asyncio.sleep(0.05)
    gate.opened.set()
    assert (await early).height == chain.height - 1
    assert (await late).height == chain.height


async def test_an_answer_of_a_snapshot_that_lags_never_passes_as_fresh(
    app: App, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = app.api.service.reader
    before_it = await reader.tickers(Page())
    chain.extend()
    await app.at(chain.height)

    async def lagging(*_: object) -> Answer:
        return before_it

    now = reader.tickers
    monkeypatch.setattr(reader, "tickers", lagging)
    for _ in range(2):
        answer = await app.ask(LIST)
        assert (answer.cache, answer.height) == ("miss", chain.height - 1)
    monkeypatch.setattr(reader, "tickers", now)
    assert [(await app.ask(LIST)).cache for _ in range(2)] == ["miss", "hit"]
    assert (await app.ask(LIST)).height == chain.height


async def test_an_answer_older_than_its_time_is_read_anew(chain: Chain, later: SimpleNamespace) -> None:
    async with running(chain.url, API_CACHE_TTL=60) as app:
        await app.ask(LIST)
        later.by = 59
        assert (await app.ask(LIST)).cache == "hit"
        later.by = 61
        assert (await app.ask(LIST)).cache == "miss"


async def test_the_status_is_kept_for_a_second_since_the_node_moves_without_the_index(
    calm: App, later: SimpleNamespace
) -> None:
    target = "/v1/indexer/brc20/status"
    assert [(await calm.ask(target)).cache for _ in range(2)] == ["miss", "hit"]
    later.by = 1.1
    assert (await calm.ask(target)).cache == "miss"


async def test_what_is_kept_stays_within_its_bound(chain: Chain) -> None:
    async with running(chain.url, API_CACHE_BYTES=20_000) as app:
        for number in range(100):
            await app.ask(f"{LIST}?limit={1 + number}")
            assert app.metric("cache_bytes") <= 20_000
        assert (await app.ask(f"{LIST}?limit=100")).cache == "hit"
        assert (await app.ask(f"{LIST}?limit=1")).cache == "miss", "the oldest left"


async def test_the_bound_counts_all_that_is_kept_also_long_addresses(chain: Chain) -> None:
    bound = 500_000
    async with running(chain.url, API_CACHE_BYTES=bound) as app:
        for number in range(300):
            await app.ask(f"{LIST}?limit=1&nothing={number:08000}")  # both the key and the link to the next page
        kept = app.api.service.local
        assert real_size(kept) <= bound


def real_size(kept: LocalCache) -> int:
    """The bytes of all keys, headers and bodies."""
    return sum(
        len(key) + len(entry.body) + sum(len(name) + len(value) for name, value in entry.headers)
        for key, (entry, _) in kept._entries.items()  # noqa: SLF001 - nobody else can count them
    )


async def test_without_room_nothing_is_kept_and_all_is_answered(chain: Chain) -> None:
    async with running(chain.url, API_CACHE_BYTES=0) as app:
        assert [(await app.ask(LIST)).cache for _ in range(3)] == ["miss"] * 3
