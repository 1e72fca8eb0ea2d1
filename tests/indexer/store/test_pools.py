"""Connections by what they are for: bounded in number, time and age, read-only, and replaced when they have died."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, LiteralString

import psycopg
import pytest

from indexer.settings import Settings
from indexer.store.connection import StoreUnavailableError, connect
from indexer.store.pools import Kind, Pools, QueryTimeoutError
from tests.support.api import until
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ALL = list(Kind)


@asynccontextmanager
async def opened(url: str, **changes: object) -> AsyncIterator[Pools]:
    given: dict[str, object] = {"DATABASE_URL": url, "DATABASE_REPLICA_URL": url}
    pools = Pools.from_settings(Settings(_env_file=None, **(given | changes)))  # type: ignore[arg-type]  # as given
    await pools.open()
    try:
        yield pools
    finally:
        await pools.close()


async def value(pools: Pools, kind: Kind, query: LiteralString) -> object:
    async with pools.connection(kind) as connection:
        row = await (await connection.execute(query)).fetchone()
        assert row is not None
        return next(iter(row.values()))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.store.pools.POOL_TIMEOUT", 0.3)


@pytest.mark.parametrize(
    ("kind", "seconds"), [(kind, "7s" if kind in {Kind.PAGE, Kind.REPLICA} else "40s") for kind in ALL]
)
async def test_each_class_of_statements_has_its_own_time_out(database_url: str, kind: Kind, seconds: str) -> None:
    async with opened(database_url, QUERY_TIMEOUT=7, BULK_QUERY_TIMEOUT=40) as pools:
        assert await value(pools, kind, "SHOW statement_timeout") == seconds


@pytest.mark.parametrize("kind", ALL)
async def test_nothing_can_be_written(database_url: str, kind: Kind) -> None:
    async with opened(database_url) as pools:
        assert await value(pools, kind, "SHOW default_transaction_read_only") == "on"
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await value(pools, kind, "UPDATE ops.maintenance SET is_on = true RETURNING 1")
        # The connection is as good as before.
        assert await value(pools, kind, "SELECT 1") == 1


async def test_a_statement_that_takes_too_long_is_a_time_out(database_url: str) -> None:
    async with opened(database_url, QUERY_TIMEOUT=1) as pools:
        begun = time.monotonic()
        with pytest.raises(QueryTimeoutError, match="ask for less"):
            await value(pools, Kind.PAGE, "SELECT pg_sleep(30)")
        assert time.monotonic() - begun < 3
        assert await value(pools, Kind.PAGE, "SELECT 1") == 1


@pytest.mark.usefixtures("quick")
async def test_there_are_never_more_connections_than_may_be_and_who_waits_too_long_is_told(database_url: str) -> None:
    async with opened(database_url, DB_POOL_SIZE=2, DB_BULK_POOL_SIZE=1) as pools:
        go_on = asyncio.Event()

        async def holds(kind: Kind) -> None:
            async with pools.connection(kind):
                await go_on.wait()

        async with asyncio.TaskGroup() as group:
            for kind in (Kind.PAGE, Kind.PAGE, Kind.BULK):
                group.create_task(holds(kind))
            await until(lambda: [pools.usage()[name][0] for name in ("primary", "bulk")] == [2, 1])
            for kind in (Kind.PAGE, Kind.BULK):
                begun = time.monotonic()
                with pytest.raises(StoreUnavailableError):
                    await value(pools, kind, "SELECT 1")
                assert 0.2 < time.monotonic() - begun < 2
            assert await value(pools, Kind.REPLICA, "SELECT 1") == 1, "the others are not touched by it"
            with connect(database_url) as connection:
                row = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name = 'simplicity-api'"
                ).fetchone()
                assert row is not None
                assert row[0] <= 2 + 2 + 1 + 1
            go_on.set()
        await until(lambda: {used for used, _, _ in pools.usage().values()} == {0})
        assert {name: most for name, (_, most, _) in pools.usage().items()} == {
            "primary": 2,
            "replica": 2,
            "bulk": 1,
            "bulk_replica": 1,
        }


def terminate(url: str) -> int:
    """End every connection of the pools."""
    with connect(url) as connection:
        return len(
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'simplicity-api'"
            ).fetchall()
        )


async def test_connections_that_died_at_rest_are_replaced_and_nobody_notices(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.store.pools.PING_AFTER", 0.0)
    async with opened(database_url) as pools:
        for kind in ALL:
            assert await value(pools, kind, "SELECT 1") == 1
        assert terminate(database_url) >= 4
        for kind in ALL:
            assert await value(pools, kind, "SELECT 1") == 1


async def test_a_restart_that_nobody_noticed_costs_the_next_request_little(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.store.pools.PING_AFTER", 0.0)
    async with opened(database_url, DB_POOL_SIZE=5) as pools:
        await asyncio.gather(*(value(pools, Kind.PAGE, "SELECT pg_sleep(0.2)") for _ in range(5)))
        assert terminate(database_url) >= 5
        begun = time.monotonic()
        assert await value(pools, Kind.PAGE, "SELECT 1") == 1
        assert time.monotonic() - begun < 1


async def test_a_connection_that_dies_in_use_is_an_outage_and_the_next_one_is_good(database_url: str) -> None:
    async with opened(database_url) as pools:
        with pytest.raises(StoreUnavailableError):
            await value(pools, Kind.PAGE, "SELECT pg_terminate_backend(pg_backend_pid())")
        assert await value(pools, Kind.PAGE, "SELECT 1") == 1


async def test_connections_are_recycled(database_url: str) -> None:
    async with opened(database_url, DB_POOL_RECYCLE=10) as pools:
        pool = pools._pools[Kind.PAGE]  # noqa: SLF001 - no test waits ten seconds
        assert pool.max_lifetime == 10
        pool.max_lifetime = 0.05
        await value(pools, Kind.PAGE, "SELECT 1")
        await pool.drain()
        young = {await value(pools, Kind.PAGE, "SELECT pg_backend_pid()") for _ in range(5)}
        await asyncio.sleep(0.1)
        for _ in range(5):  # what is given back now is too old
            await value(pools, Kind.PAGE, "SELECT 1")
        assert await value(pools, Kind.PAGE, "SELECT pg_backend_pid()") not in young


@pytest.mark.usefixtures("quick")
async def test_a_database_that_is_not_there_is_an_outage_without_its_password() -> None:
    url = f"postgresql://me:hunter2@127.0.0.1:{free_port()}/none"
    async with opened(url) as pools:
        with pytest.raises(StoreUnavailableError) as caught:
            await value(pools, Kind.PAGE, "SELECT 1")
        assert "hunter2" not in repr(caught.value)


async def test_a_database_that_comes_later_is_used_at_once(empty_database_url: str) -> None:
    async with opened(empty_database_url) as pools:
        with pytest.raises(StoreUnavailableError, match="simplicity sync"):
            await value(pools, Kind.PAGE, "SELECT 1 FROM index.chain")
        assert await value(pools, Kind.PAGE, "SELECT 1") == 1


async def test_a_pool_that_is_closed_is_an_outage(database_url: str) -> None:
    async with opened(database_url) as pools:
        await pools.close()
        with pytest.raises(StoreUnavailableError):
            await value(pools, Kind.PAGE, "SELECT 1")


async def test_who_is_cut_off_while_a_query_runs_takes_no_connection_away(database_url: str) -> None:
    async with opened(database_url, DB_POOL_SIZE=1) as pools:
        for _ in range(3):
            asking = asyncio.create_task(value(pools, Kind.PAGE, "SELECT pg_sleep(30)"))
            await until(lambda: pools.usage()["primary"][0] == 1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        assert await value(pools, Kind.PAGE, "SELECT 1") == 1


async def test_how_long_it_waited_is_told_by_pool(database_url: str) -> None:
    told: list[tuple[str, float]] = []
    async with opened(database_url) as pools:
        pools.observe_wait = lambda name, seconds: told.append((name, seconds))
        for kind in ALL:
            await value(pools, kind, "SELECT 1")
    assert [name for name, _ in told] == [kind.value for kind in ALL]
    assert all(0 < seconds < 5 for _, seconds in told)


async def test_a_dead_host_is_noticed_by_both_sides(database_url: str) -> None:
    """Without these a query would wait for a host that lost its power for a quarter of an hour."""
    async with opened(database_url) as pools, pools.connection(Kind.PAGE) as connection:
        given = {option.keyword.decode(): option.val for option in connection.pgconn.info}
        assert given["tcp_user_timeout"] not in {None, b"0"}
        assert given["keepalives_idle"] is not None
        cursor = await connection.execute("SHOW tcp_keepalives_idle")
        row = await cursor.fetchone()
        assert row is not None
        assert next(iter(row.values())) != "0"
