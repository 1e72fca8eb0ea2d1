"""A database that is killed, hung, slow, or on a host that went without a word."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.api import Answer, App, Chain, chained, running, until
from tests.support.outages import Durable, hung, wired
from tests.support.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.postgres import Cluster

LIST, NEVER_ASKED = "/v1/indexer/brc20/list", "/v1/indexer/brc20/NOSUCH/info"
BACK = 5.0  # seconds after which all is as before

# One worker has the server.
pytestmark = [pytest.mark.usefixtures("said"), pytest.mark.xdist_group("outages")]


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A server that these tests may kill."""
    with Durable.create() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def template(own: Cluster) -> str:
    from indexer.store.schema import migrate  # noqa: PLC0415 - imports SQLAlchemy, which few tests need

    url = own.new_database()
    migrate(url)
    return url.rpartition("/")[2]


@pytest.fixture
def chain(own: Cluster, template: str) -> Iterator[Chain]:
    with chained(own.new_database(template)) as made:
        yield made


@pytest.fixture(autouse=True)
def _known_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tip counts as known for five seconds after it was told: no test waits for that."""
    monkeypatch.setattr("indexer.api.tip.CONFIRMED_FOR", 1.2)


@pytest.fixture
async def app(chain: Chain) -> AsyncIterator[App]:
    async with running(chain.url, QUERY_TIMEOUT=1, BULK_QUERY_TIMEOUT=1) as made:
        yield made


def assert_stale(answer: Answer) -> None:
    assert (answer.status, answer.cache) == (200, "stale")
    assert int(answer.header("age") or -1) >= 0
    assert answer.header("warning") == '110 - "Response is Stale"'


def assert_away(answer: Answer) -> None:
    assert answer.status == 503
    assert int(answer.header("retry-after") or 0) > 0
    assert answer.header("cache-control") == "no-store"
    assert answer.header("content-type") == "application/problem+json"
    assert answer.json()["detail"]


async def fresh_again(app: App, *targets: str) -> float:
    """Wait until all is read anew; return how many seconds that took."""
    begun = time.monotonic()
    left = list(targets)
    while left and time.monotonic() - begun < 4 * BACK:
        answer = await app.ask(left[0])
        if answer.status < 500 and answer.cache in {"hit", "miss"}:
            del left[0]
        else:
            await asyncio.sleep(0.05)
    assert not left, left
    return time.monotonic() - begun


@asynccontextmanager
async def killed(own: Cluster, app: App) -> AsyncIterator[None]:
    """The server killed, and started again in the end."""
    own.kill()
    try:
        watcher = app.api.service.watcher
        await until(lambda: watcher.is_down and not watcher.is_confirmed, what="the outage")
        yield
    finally:
        if own.process is None:
            own.start()


async def test_while_the_database_is_down_older_answers_are_given_and_marked(app: App, own: Cluster) -> None:
    before = await app.ask(LIST)
    async with killed(own, app):
        begun = time.monotonic()
        answers = [await app.ask(LIST) for _ in range(20)]
        assert time.monotonic() - begun < 0.5, "nobody waits for a database that is known to be away"
        for answer in answers:
            assert_stale(answer)
            assert answer.body == before.body
            assert "database-down" in (answer.header("cache-status") or "")
        assert_away(await app.ask(NEVER_ASKED))
        assert (await app.ask("/health")).status == 200
        assert (await app.ask("/health/ready")).status == 200
        assert app.metric("database_reachable", database="primary") == 0
    assert await fresh_again(app, LIST, NEVER_ASKED) < BACK
    assert app.metric("database_reachable", database="primary") == 1
    assert app.metric("cache_requests_total", result="stale") >= 20


async def test_once_the_stale_window_is_over_the_truth_is_told(chain: Chain, own: Cluster) -> None:
    async with running(chain.url, API_STALE_SECONDS=2) as app:
        await app.ask(LIST)
        async with killed(own, app):
            assert_stale(await app.ask(LIST))
            await until(lambda: app.api.service.watcher.stale_left == 0)
            await asyncio.sleep(1)  # an answer may have been made that much later than the tip was seen
            assert_away(await app.ask(LIST))
            assert (await app.ask("/health/ready")).status == 503
            assert (await app.ask("/health")).status == 200
        assert await fresh_again(app, LIST) < BACK
        assert (await app.ask("/health/ready")).status == 200


async def test_an_unasked_question_of_an_outage_is_counted_under_its_route(app: App, own: Cluster) -> None:
    async with killed(own, app):
        assert_away(await app.ask(NEVER_ASKED))
    endpoint = "/v1/indexer/brc20/{ticker}/info"
    assert app.metric("http_requests_total", endpoint=endpoint, method="GET", status="503") == 1


async def test_clients_who_ask_while_the_database_dies_get_an_answer_each(app: App, own: Cluster) -> None:
    targets = [f"{LIST}?limit={number}" for number in range(1, 20)]
    for target in targets:
        await app.ask(target)
    stop = False
    found: list[int] = []

    async def asks(target: str) -> None:
        while not stop:
            found.append((await app.ask(target)).status)
            await asyncio.sleep(0.01)

    asking = [asyncio.create_task(asks(target)) for target in targets]
    async with killed(own, app):
        await asyncio.sleep(0.3)
    await fresh_again(app, *targets)
    stop = True
    await asyncio.gather(*asking)
    assert set(found) == {200}


async def test_a_process_that_starts_while_the_database_is_away_gives_what_others_kept(
    chain: Chain, own: Cluster
) -> None:
    with Valkey.create() as valkey:
        async with running(chain.url, REDIS_URL=valkey.url) as first:
            await first.ask(LIST)
            with valkey.client() as client:
                await until(lambda: client.dbsize() > 0)
        own.kill()
        try:
            async with running(chain.url, REDIS_URL=valkey.url, known=False) as second:
                await until(lambda: second.api.service.watcher.is_down)
                assert_stale(await second.ask(LIST))
                assert_away(await second.ask(NEVER_ASKED))
                own.start()
                assert await fresh_again(second, LIST, NEVER_ASKED) < BACK
        finally:
            if own.process is None:
                own.start()


async def test_a_process_may_start_before_its_database(chain: Chain, own: Cluster) -> None:
    own.kill()
    try:
        async with running(chain.url, known=False) as app:
            assert_away(await app.ask(LIST))
            assert (await app.ask("/health")).status == 200
            assert (await app.ask("/health/ready")).status == 503
            own.start()
            assert await fresh_again(app, LIST) < BACK
            assert (await app.ask("/health/ready")).status == 200
    finally:
        if own.process is None:
            own.start()


async def test_a_query_that_takes_too_long_is_an_honest_503_and_not_a_hang(app: App, chain: Chain) -> None:
    with psycopg.connect(chain.url) as blocker:
        blocker.execute("LOCK TABLE index.deploys IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        answers = await asyncio.gather(app.ask(LIST), app.ask(f"{LIST}/all"))
        assert time.monotonic() - begun < 2.5
        assert_away(answers[0])
    assert await fresh_again(app, LIST) < BACK


async def test_whoever_has_an_older_answer_does_not_wait_long_for_a_slow_query(app: App, chain: Chain) -> None:
    await app.ask(LIST)
    chain.extend()
    await app.at(chain.height)
    with psycopg.connect(chain.url) as blocker:
        blocker.execute("LOCK TABLE index.deploys IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        answer = await app.ask(LIST)
        assert time.monotonic() - begun < 1.5
        assert_stale(answer)
        assert "database-slow" in (answer.header("cache-status") or "")
        assert answer.height == chain.height - 1
    assert await fresh_again(app, LIST) < BACK
    assert (await app.ask(LIST)).height == chain.height


async def slowest(app: App, targets: list[str], seconds: float) -> tuple[float, set[int]]:
    """Ask again and again for some seconds; return the longest wait and the statuses."""
    until_when = time.monotonic() + seconds
    longest, statuses = 0.0, set()
    while time.monotonic() < until_when:
        for target in targets:
            begun = time.monotonic()
            statuses.add((await app.ask(target)).status)
            longest = max(longest, time.monotonic() - begun)
        await asyncio.sleep(0.05)
    return longest, statuses


@pytest.mark.proof
async def test_a_hung_database_is_noticed_and_older_answers_come_at_once(app: App, own: Cluster) -> None:
    await app.ask(LIST)
    assert app.metric("database_reachable", database="primary") == 1
    with hung(own):
        await until(lambda: app.api.service.watcher.is_down, within=5, what="the outage")
        assert app.metric("database_reachable", database="primary") == 0
        longest, statuses = await slowest(app, [LIST], 1)
        assert longest < 0.1
        assert statuses == {200}
    assert await fresh_again(app, LIST, NEVER_ASKED) < BACK


@pytest.mark.proof
async def test_nobody_hangs_with_a_hung_database(app: App, own: Cluster) -> None:
    await app.ask(LIST)
    with hung(own):
        longest, statuses = await slowest(app, [LIST], 8)
        assert longest < 1.5
        assert statuses == {200}
        begun = time.monotonic()
        assert_away(await app.ask(NEVER_ASKED))
        assert time.monotonic() - begun < 2.5
    assert await fresh_again(app, LIST, NEVER_ASKED) < BACK


@pytest.mark.proof
async def test_a_whole_list_does_not_hang_with_a_hung_database(chain: Chain, own: Cluster) -> None:
    async with running(chain.url, QUERY_TIMEOUT=1, BULK_QUERY_TIMEOUT=1) as app:
        await app.ask(f"{LIST}/all")
        with hung(own):
            async with asyncio.timeout(8):
                assert_away(await app.ask(f"{LIST}/all"))
        assert await fresh_again(app, LIST) < BACK


@pytest.mark.proof
async def test_a_host_that_went_without_a_word_holds_nobody_once_another_answers(chain: Chain, own: Cluster) -> None:
    async with wired(own.port) as wire:
        url = chain.url.replace(f":{own.port}/", f":{wire.port}/")
        async with running(url, QUERY_TIMEOUT=1, DB_POOL_SIZE=2) as app:
            targets = [f"{LIST}?limit={number}" for number in range(1, 9)]
            await asyncio.gather(*(app.ask(target) for target in targets))
            chain.extend()
            await app.at(chain.height)
            wire.silence()
            # Questions that were under way when it went, and then the next.
            await asyncio.gather(*(app.ask(target) for target in targets[:2]))
            assert await fresh_again(app, *targets) < 2 * BACK
            chain.extend()
            await app.at(chain.height, within=2 * BACK)


@pytest.mark.proof
@pytest.mark.parametrize("seconds", [1, 4, 9, 16])
async def test_however_long_the_outage_was_all_is_fresh_within_five_seconds(
    app: App, own: Cluster, seconds: float
) -> None:
    targets = [f"{LIST}?limit={number}" for number in range(1, 9)]
    await asyncio.gather(*(app.ask(target) for target in targets))
    async with killed(own, app):
        longest, statuses = await slowest(app, targets, seconds)
        assert longest < 1.5
        assert statuses == {200}
        own.start()
        assert await fresh_again(app, *targets, NEVER_ASKED) < BACK
