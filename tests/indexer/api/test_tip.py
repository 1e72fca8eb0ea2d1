"""The watcher: what it learns of the tip and of operators' switches; and reads by a replica, a real one."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from indexer.store.connection import connect
from indexer.store.pools import Kind
from tests.support.api import App, Chain, chained, running, until
from tests.support.outages import Durable, Standby, hung
from tests.support.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from typing import Any

    from tests.support.postgres import Cluster

LIST = "/v1/indexer/brc20/list"
WITHIN_A_SECOND = 1.0

pytestmark = pytest.mark.xdist_group("replica")  # one worker has the servers


@pytest.fixture(scope="module")
def primary() -> Iterator[Cluster]:
    with Durable.create() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def template(primary: Cluster) -> str:
    from indexer.store.schema import migrate  # noqa: PLC0415 - imports SQLAlchemy, which few tests need

    url = primary.new_database()
    migrate(url)
    return url.rpartition("/")[2]


@pytest.fixture(scope="module")
def standby(primary: Cluster, template: str) -> Iterator[Standby]:
    assert template
    with Standby.of(primary) as replica:
        yield replica


@pytest.fixture
def chain(primary: Cluster, template: str) -> Iterator[Chain]:
    if primary.process is None:
        primary.start()
    with chained(primary.new_database(template)) as made:
        yield made


def beside(chain: Chain, standby: Standby, **changes: Any) -> Any:  # noqa: ANN401 - settings; a context manager of an App
    wait_for_copy(chain, standby)
    return running(chain.url, DATABASE_REPLICA_URL=url_at(chain, standby), **changes)


def url_at(chain: Chain, standby: Standby) -> str:
    return standby.url(chain.url.rpartition("/")[2])


def wait_for_copy(chain: Chain, standby: Standby) -> None:
    """Wait until the replica has all that the primary has."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with psycopg.connect(url_at(chain, standby)) as connection:
                row = connection.execute("SELECT tip_hash FROM index.chain").fetchone()
                if row is not None and row[0] == chain.tip_hash:
                    return
        except psycopg.Error:
            pass
        assert time.monotonic() < deadline, "the replica does not follow"
        time.sleep(0.01)


def waits(app: App, kind: Kind) -> int:
    """How often a connection of a pool was borrowed by requests and by the watcher."""
    return int(app.metric("database_pool_wait_seconds_count", pool=kind.value))


async def fit(app: App, *, is_fit: bool = True, within: float = 5.0) -> None:
    await until(lambda: app.api.service.reader.pools.replica_is_fit is is_fit, within=within, what=f"fit: {is_fit}")


async def test_reads_go_to_the_replica_and_whole_lists_too(chain: Chain, standby: Standby) -> None:
    async with beside(chain, standby) as app:
        await fit(app)
        assert (await app.ask(LIST)).height == chain.height
        assert (await app.ask(f"{LIST}/all")).height == chain.height
        assert waits(app, Kind.PAGE) == waits(app, Kind.BULK) == 0
        assert waits(app, Kind.BULK_REPLICA) == 1
        assert app.metric("database_reachable", database="replica") == 1


async def test_a_replica_that_lags_is_not_read_until_it_has_caught_up(chain: Chain, standby: Standby) -> None:
    async with beside(chain, standby, API_POLL_INTERVAL=0.1) as app:
        await fit(app)
        with standby.lagging():
            chain.extend()
            await app.at(chain.height)
            await fit(app, is_fit=False)
            for target in (LIST, f"{LIST}?limit=1", f"{LIST}/all"):
                assert (await app.ask(target)).height == chain.height
        await fit(app)
        assert (await app.ask(f"{LIST}?limit=2")).height == chain.height


async def test_whoever_knows_of_a_block_reads_nothing_older_from_a_replica_that_is_a_moment_behind(
    chain: Chain, standby: Standby
) -> None:
    # As a client of the event stream, which asks the moment it is told.
    async with beside(chain, standby) as app:
        await fit(app)
        with standby.lagging():
            chain.extend()
            await app.at(chain.height)
            assert (await app.ask(LIST)).height == chain.height
            assert (await app.ask(f"{LIST}/all")).height == chain.height


async def test_a_replica_is_read_within_the_lag_that_is_allowed_and_not_beyond(chain: Chain, standby: Standby) -> None:
    async with beside(chain, standby, API_POLL_INTERVAL=0.1, REPLICA_MAX_LAG=2) as app:
        await fit(app)
        begun = chain.height
        with standby.lagging():
            chain.extend(2)
            await app.at(begun + 2)
            await fit(app)
            for _ in range(2):
                await fit(app)  # a busy machine may make it miss a look
                answer = await app.ask(LIST)
                assert (answer.height, answer.cache) == (begun, "miss"), "what lags is never kept as fresh"
            chain.extend()
            await fit(app, is_fit=False)
            assert (await app.ask(LIST)).height == begun + 3


async def test_a_replica_on_the_branch_that_lost_is_not_read(chain: Chain, standby: Standby) -> None:
    async with beside(chain, standby, API_POLL_INTERVAL=0.1) as app:
        await fit(app)
        with standby.lagging():
            chain.fork(1, 1)  # another block of the same height
            await until(lambda: app.api.service.watcher.tip_hash == chain.tip_hash)
            await until(lambda: not app.api.service.reader.pools.replica_is_fit, what="leaving the replica")
            assert (await app.ask(LIST)).header("simplicity-block-hash") == chain.tip_hash[::-1].hex()


async def test_a_replica_that_dies_costs_no_answer(chain: Chain, standby: Standby) -> None:
    async with beside(chain, standby) as app:
        await fit(app)
        await app.ask(LIST)
        standby.kill()
        try:
            for number in range(1, 30):
                begun = time.monotonic()
                answer = await app.ask(f"{LIST}?limit={number}")
                assert (answer.status, answer.cache) == (200, "miss")
                assert time.monotonic() - begun < 0.5
            assert (await app.ask(f"{LIST}/all")).status == 200
            await fit(app, is_fit=False)
        finally:
            standby.start()
        await fit(app)


async def test_while_the_replica_is_down_news_still_come_within_a_second(chain: Chain, standby: Standby) -> None:
    async with beside(chain, standby) as app:
        await fit(app)
        standby.kill()
        try:
            await fit(app, is_fit=False)
            for _ in range(2):
                chain.extend()
                await app.at(chain.height, within=WITHIN_A_SECOND)
        finally:
            standby.start()


@pytest.mark.proof
async def test_a_replica_that_hangs_costs_no_answer_and_no_news(chain: Chain, standby: Standby) -> None:
    async with beside(chain, standby, QUERY_TIMEOUT=1) as app:
        await fit(app)
        await app.ask(LIST)
        with hung(standby):
            await fit(app, is_fit=False, within=6)
            assert (await app.ask(f"{LIST}?limit=1")).status == 200
            for _ in range(2):
                chain.extend()
                await app.at(chain.height, within=WITHIN_A_SECOND)


async def test_with_the_primary_down_the_replica_answers_all(
    chain: Chain, standby: Standby, primary: Cluster, said: list[MutableMapping[str, Any]]
) -> None:
    async with beside(chain, standby) as app:
        await fit(app)
        stream = Stream(app)
        assert await stream.next() is not None
        wait_for_copy(chain, standby)
        primary.kill()
        try:
            stop = time.monotonic() + 2.5
            number, statuses, caches = 0, set(), set()
            while time.monotonic() < stop:
                number += 1
                answer = await app.ask(f"{LIST}?limit=1&number={number}")
                statuses.add(answer.status)
                caches.add(answer.cache)
                await asyncio.sleep(0.005)
            assert (statuses, caches) == ({200}, {"miss"})
            assert app.api.service.watcher.is_confirmed
            assert (await app.ask("/health/ready")).status == 200
            assert (await app.ask(f"{LIST}/all")).status == 200
        finally:
            primary.start()
        await until(lambda: not app.api.service.reader.pools.primary_is_away)
        chain.writer.close()
        again = Chain(chain.url, blocks=5)
        try:
            await app.at(again.height)
            event = await stream.next()
            assert event is not None
            assert event.data["height"] == again.height
        finally:
            again.close()
            await stream.leave()
    about_the_replica = [line for line in said if line["event"] == "reads go to the replica"]
    assert len(about_the_replica) <= 3, "it is said when it changes, and not each second"


async def test_with_the_primary_down_a_replica_far_behind_does_not_pass_for_the_present(
    chain: Chain, standby: Standby, primary: Cluster
) -> None:
    async with beside(chain, standby, API_POLL_INTERVAL=0.1) as app:
        await fit(app)
        with standby.lagging():
            chain.extend(3)
            await app.at(chain.height)
            await fit(app, is_fit=False)
            before = await app.ask(LIST)
            assert before.height == chain.height
            primary.kill()
            try:
                await until(lambda: app.api.service.reader.pools.primary_is_away)
                await asyncio.sleep(0.5)
                answer = await app.ask(LIST)
                assert answer.height == chain.height
                assert app.metric("simplicity_api_reorgs_total") == 0
            finally:
                primary.start()


async def test_both_down_is_an_outage_as_any_other(chain: Chain, standby: Standby, primary: Cluster) -> None:
    async with beside(chain, standby) as app:
        await fit(app)
        await app.ask(LIST)
        primary.kill()
        standby.kill()
        try:
            await until(lambda: app.api.service.watcher.is_down)
            assert (await app.ask(LIST)).status == 200
            answer = await app.ask(f"{LIST}?limit=1")
            assert (answer.status, answer.header("retry-after")) == (503, "5")
        finally:
            primary.start()
            standby.start()
        await until(lambda: not app.api.service.watcher.is_down)
        assert (await app.ask(f"{LIST}?limit=1")).status == 200


async def test_an_api_whose_only_database_is_a_standby_follows_by_asking(chain: Chain, standby: Standby) -> None:
    # LISTEN is refused there.
    wait_for_copy(chain, standby)
    async with running(url_at(chain, standby), API_POLL_INTERVAL=0.2) as app:
        chain.extend()
        await app.at(chain.height, within=2)
        assert (await app.ask(LIST)).height == chain.height


@contextmanager
def switched(url: str) -> Iterator[None]:
    """Maintenance by hand, and nobody is told."""
    with connect(url) as connection:
        connection.execute("UPDATE ops.maintenance SET is_on = true, route_classes = '{read}'")
        try:
            yield
        finally:
            connection.execute("UPDATE ops.maintenance SET is_on = false")


async def test_the_watcher_learns_by_asking_what_nobody_tells_it(chain: Chain) -> None:
    async with running(chain.url, API_POLL_INTERVAL=0.2) as app:
        with switched(chain.url):
            await until(lambda: app.api.service.watcher.maintenance.is_on, within=WITHIN_A_SECOND)
        await until(lambda: not app.api.service.watcher.maintenance.is_on, within=WITHIN_A_SECOND)


async def test_a_watcher_before_the_first_block_knows_no_tip_and_is_not_down(primary: Cluster, template: str) -> None:
    url = primary.new_database(template)
    async with running(url, known=False, API_POLL_INTERVAL=0.1) as app:
        watcher = app.api.service.watcher
        await until(lambda: watcher.is_confirmed)
        assert watcher.tip is None
        assert not watcher.is_down
        assert (await app.ask("/health/ready")).status == 503
        with chained(url) as chain:
            await app.at(chain.height)
            assert (await app.ask("/health/ready")).status == 200
            assert (await app.ask(LIST)).status == 200


async def test_a_watcher_that_loses_its_connection_alone_costs_no_answer(chain: Chain) -> None:
    async with running(chain.url) as app:
        await app.ask(LIST)
        with connect(chain.url) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'simplicity-api-watcher'"
            ).fetchall()
        assert len(ended) == 1
        statuses, stop, number = set(), time.monotonic() + 1.5, 0
        while time.monotonic() < stop:
            number += 1
            statuses.add((await app.ask(f"{LIST}?number={number}")).status)
            await asyncio.sleep(0.01)
        assert statuses == {200}
        chain.extend()
        await app.at(chain.height, within=WITHIN_A_SECOND)


async def test_who_waits_for_a_change_is_woken_by_it_and_by_nothing_else(chain: Chain) -> None:
    async with running(chain.url) as app:
        watcher = app.api.service.watcher
        seen = watcher.tip_hash
        assert await watcher.changed(b"another", 1)
        assert not await watcher.changed(seen, 0.05)
        waiting = [asyncio.create_task(watcher.changed(seen, 10)) for _ in range(50)]
        chain.extend()
        assert all(await asyncio.gather(*waiting))


async def test_each_reorg_is_counted_once(chain: Chain) -> None:
    async with running(chain.url) as app:
        chain.extend(2)
        await app.at(chain.height)
        assert app.metric("simplicity_api_reorgs_total") == 0
        for depth in (1, 2):
            chain.fork(depth, depth + 1, name=f"fork {depth}")
            await until(lambda: app.api.service.watcher.tip_hash == chain.tip_hash)
        assert app.metric("simplicity_api_reorgs_total") == 2
