"""The reader: rows of one snapshot that is named, from the right server, and the way on from any block ever seen."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from indexer.settings import Settings
from indexer.store.connection import StoreUnavailableError, connect
from indexer.store.pools import Kind, QueryTimeoutError
from indexer.store.reader import BATCH, Filter, NothingIndexedError, Page, Reader, Snapshot
from tests.support.api import Chain, chained, until
from tests.support.memory_node import hash_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def chain(database_url: str) -> Iterator[Chain]:
    with chained(database_url, 41, blocks=8, operations=8) as made:
        yield made


@asynccontextmanager
async def reading(url: str, **changes: object) -> AsyncIterator[Reader]:
    reader = Reader.from_settings(Settings(_env_file=None, DATABASE_URL=url, **changes))  # type: ignore[arg-type]  # as given
    await reader.pools.open()
    try:
        yield reader
    finally:
        await reader.pools.close()


async def returned(reader: Reader) -> None:
    """Wait until all connections are back."""
    await until(lambda: reader.pools.usage()["bulk"][0] == 0, what="giving the connection back")


def ticker_of(chain: Chain) -> str:
    with connect(chain.url) as connection:
        row = connection.execute("SELECT ticker FROM index.deploys ORDER BY height LIMIT 1").fetchone()
        assert row is not None
        return str(row[0])


def holder_of(chain: Chain) -> str:
    with connect(chain.url) as connection:
        row = connection.execute("SELECT address FROM index.balances WHERE amount > 0 LIMIT 1").fetchone()
        assert row is not None
        return str(row[0])


def tip_of(chain: Chain) -> Snapshot:
    with connect(chain.url) as connection:
        row = connection.execute("SELECT state_hash FROM index.blocks WHERE height = %s", (chain.height,)).fetchone()
        assert row is not None
        return Snapshot(chain.height, chain.tip_hash, bytes(row[0]))


async def test_every_answer_names_the_snapshot_it_is_of_also_where_there_are_no_rows(chain: Chain) -> None:
    ticker, address, page, only = ticker_of(chain), holder_of(chain), Page(), Filter()
    async with reading(chain.url) as reader:
        asked = [
            (reader.status(), True),
            (reader.state(1), True),
            (reader.state(10**6), False),
            (reader.tickers(page), True),
            (reader.tickers(Page(skip=10**5)), False),
            (reader.ticker(ticker), True),
            (reader.ticker("NOSUCH"), False),
            (reader.holders(ticker, page), True),
            (reader.holders("NOSUCH", page), False),
            (reader.address_balances(address, page), True),
            (reader.address_balances("nobody", page), False),
            (reader.balance(ticker, "nobody"), False),
            (reader.ticker_history(ticker, only, page), True),
            (reader.ticker_history("NOSUCH", only, page), False),
            (reader.ticker_transaction(ticker, bytes(32)), False),
            (reader.address_history(address, None, only, page), True),
            (reader.address_history("nobody", ticker, only, page), False),
            (reader.block_history(10**6, include_invalid=True, page=page), False),
        ]
        for answer, has_rows in asked:
            found = await answer
            assert found.at == tip_of(chain)
            assert bool(found.rows) is has_rows
            assert (found.first is not None) is has_rows


async def test_a_ticker_without_holders_is_told_from_none(chain: Chain) -> None:
    with connect(chain.url) as connection:
        connection.execute("DELETE FROM index.balances")
    async with reading(chain.url) as reader:
        for page in (Page(), Page(skip=50)):
            for after in (None, ("1", "x")):
                assert (await reader.holders(ticker_of(chain), page, after)).exists
                assert not (await reader.holders("NOSUCH", page, after)).exists


async def test_before_the_first_block_there_is_nothing_to_read(database_url: str) -> None:
    async with reading(database_url) as reader:
        with pytest.raises(NothingIndexedError):
            await reader.tickers(Page())
        with pytest.raises(NothingIndexedError):
            async with reader.all_tickers(5):
                raise AssertionError("there is nothing")
        await returned(reader)


async def test_a_chain_that_was_taken_back_to_nothing_is_as_one_before_its_first_block(chain: Chain) -> None:
    chain.writer.undo(0)
    async with reading(chain.url) as reader:
        with pytest.raises(NothingIndexedError):
            await reader.status()


async def test_without_a_schema_it_is_said_who_makes_one(empty_database_url: str) -> None:
    async with reading(empty_database_url) as reader:
        with pytest.raises(StoreUnavailableError, match="simplicity sync"):
            await reader.status()


async def test_whole_lists_come_in_batches_of_the_snapshot_in_which_they_were_counted(chain: Chain) -> None:
    with connect(chain.url) as connection:
        connection.execute(
            "INSERT INTO index.operations (op_id, tx_index, txid, vout, op, ticker, is_marketplace)"
            " SELECT (%s::bigint << 20) + 500 + n, n, 'x', 0, 'mint', %s, false FROM generate_series(1, %s) n",
            (chain.height, ticker_of(chain), 3 * BATCH),
        )
    begun = tip_of(chain)
    async with reading(chain.url) as reader:
        async with reader.whole_ticker_history(ticker_of(chain), Filter(), 10**5) as whole:
            chain.extend(2, 6)
            chain.writer.undo(2)
            sizes, rows = [], []
            async for batch in whole.rows:
                sizes.append(len(batch))
                rows += batch
            assert whole.at == begun
            assert whole.found == len(rows) > 3 * BATCH
            assert sizes[:-1] == [BATCH] * (len(sizes) - 1)
        await returned(reader)


async def test_who_stops_in_the_middle_gives_the_connection_back(chain: Chain) -> None:
    async with reading(chain.url, DB_BULK_POOL_SIZE=1) as reader:
        for _ in range(3):
            async with reader.all_tickers(10) as whole:
                assert reader.pools.usage()["bulk"][0] == 1
                async for _batch in whole.rows:
                    break
            await returned(reader)


async def test_reads_go_to_the_replica_only_while_it_is_fit(chain: Chain) -> None:
    asked: list[str] = []
    async with reading(chain.url, DATABASE_REPLICA_URL=chain.url) as reader:
        reader.pools.observe_wait = lambda name, _: asked.append(name)
        for is_fit in (False, True):
            reader.pools.replica_is_fit = is_fit
            await reader.tickers(Page())
            async with reader.all_tickers(5):
                pass
    assert asked == [kind.value for kind in (Kind.PAGE, Kind.BULK, Kind.REPLICA, Kind.BULK_REPLICA)]


async def test_each_query_is_told_by_name_with_its_time(chain: Chain) -> None:
    told: list[tuple[str, float]] = []
    async with reading(chain.url) as reader:
        reader.observe = lambda name, seconds: told.append((name, seconds))
        await reader.tickers(Page())
        async with reader.all_tickers(5):
            pass
    assert [name for name, _ in told] == ["tickers", "tickers_count", "tickers_all"]
    assert all(0 < seconds < 5 for _, seconds in told)


@asynccontextmanager
async def waiting(
    chain: Chain, told: list[str], **changes: object
) -> AsyncIterator[tuple[asyncio.Task[object], Reader]]:
    """A query that waits for a table which somebody holds, and the reader that asks it."""
    async with reading(chain.url, **changes) as reader:
        reader.observe = lambda name, seconds: told.append(f"{name} {seconds:.0f} s")
        with connect(chain.url) as holder, holder.transaction():
            holder.execute("LOCK TABLE index.deploys IN ACCESS EXCLUSIVE MODE")
            asking = asyncio.create_task(reader.tickers(Page()))
            waits = (
                "SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database"
                " WHERE NOT granted AND datname = current_database()"
            )
            await until(lambda: holder.execute(waits).rowcount == 1, what="the question")
            yield asking, reader


async def test_a_query_that_the_server_ended_when_its_time_was_over_is_told_as_the_slowest(chain: Chain) -> None:
    told: list[str] = []
    async with waiting(chain, told, QUERY_TIMEOUT=1, BULK_QUERY_TIMEOUT=1) as (asking, reader):
        with pytest.raises(QueryTimeoutError):
            await asking
        with pytest.raises(QueryTimeoutError):
            async with reader.all_tickers(5):
                pass
    assert told == ["tickers 1 s", "tickers_count 1 s"]


async def test_a_query_to_a_server_that_hangs_is_told_as_the_slowest(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server would end it after 30 s, and nobody waits for that long: as for one that hangs.
    monkeypatch.setattr("indexer.store.pools.GRACE", -29.0)
    told: list[str] = []
    async with waiting(chain, told, QUERY_TIMEOUT=30) as (asking, _):
        with pytest.raises(StoreUnavailableError, match="no answer within 1 s"):
            await asking
    assert told == ["tickers 1 s"]


async def test_a_query_that_was_cut_short_is_not_told_as_a_quick_one(chain: Chain) -> None:
    told: list[str] = []
    async with waiting(chain, told) as (asking, reader):
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        reader.pools.primary_is_away = True
        with pytest.raises(StoreUnavailableError):
            await reader.tickers(Page())
    async with waiting(chain, told) as (asking, _):
        with connect(chain.url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'simplicity-api'"
            )
        with pytest.raises(StoreUnavailableError):
            await asking
    assert told == []


async def test_the_way_from_a_block_that_stands_is_what_came_after_it(chain: Chain) -> None:
    async with reading(chain.url) as reader:
        for height in range(1, chain.height + 1):
            block_hash = hash_of(chain.source.blocks[height - 1])
            rows = await reader.path(height, block_hash, 500)
            assert {(row["fork_height"], row["fork_hash"]) for row in rows} == {(height, block_hash)}
            found = [row["hash"] for row in rows if row["height"] is not None]
            assert found == [hash_of(raw) for raw in chain.source.blocks[height:]]
        assert [row["height"] for row in await reader.path(1, hash_of(chain.source.blocks[0]), 2)] == [2, 3]


async def test_the_way_from_a_block_that_a_reorg_took_leads_back_to_where_the_chain_went_on(chain: Chain) -> None:
    before = chain.source.blocks[:]
    chain.fork(2, 3, name="one")
    between = chain.source.blocks[:]
    chain.fork(5, 6, name="two")
    async with reading(chain.url) as reader:
        for branch in (before, between):
            for height, raw in enumerate(branch, start=1):
                rows = await reader.path(height, hash_of(raw), 500)
                fork = min(height, len(between) - 5)
                assert {(row["fork_height"], row["fork_hash"]) for row in rows} == {
                    (fork, hash_of(chain.source.blocks[fork - 1]))
                }
                found = [row["hash"] for row in rows if row["height"] is not None]
                assert found == [hash_of(each) for each in chain.source.blocks[fork:]]


@pytest.mark.parametrize(("height", "block_hash"), [(3, b"\xab" * 32), (0, b"\xab" * 32), (2**31 - 1, bytes(32))])
async def test_there_is_no_way_from_a_block_that_nobody_knows(chain: Chain, height: int, block_hash: bytes) -> None:
    async with reading(chain.url) as reader:
        assert await reader.path(height, block_hash, 500) == []
        assert await reader.path(height, hash_of(chain.source.blocks[0]), 500) == [], "nor from one at another height"
