"""Every query of the API goes by an index, and every index is there for a query: PostgreSQL's plans, large tables."""

from __future__ import annotations

import inspect
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from indexer.store.connection import connect
from indexer.store.reader import LAST_OP_ID, Filter, Page, Reader, Seen
from tests.support.indexing import open_writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    from indexer.store.connection import Connection
    from indexer.store.pools import Kind
    from tests.support.postgres import Cluster

BLOCKS = 20_000
SMALL = {"chain"}  # one row: reading the table is the quickest way

# Every question that a client can ask of the reader, in the forms that might be planned differently.
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ"
PAGE, SEEN = Page(0, 50), Seen(None, b"\x07" * 32)
OPS, BEFORE = (None, "mint"), (LAST_OP_ID, 9 << 20)
FILTERS = [
    Filter(op, invalid, before)
    for op in (None, "mint")
    for invalid in (True, False)
    for before in (LAST_OP_ID, 9 << 20)
]
QUESTIONS: dict[str, list[dict[str, Any]]] = {
    "status": [{}],
    "state": [{"height": 700}],
    "tickers": [{"page": PAGE, "after": after} for after in (None, (900, SEEN))],
    "ticker": [{"ticker": "T7"}],
    "holders": [{"ticker": "T7", "page": PAGE, "after": after} for after in (None, ("9.00000000", "a9"))],
    "address_balances": [{"address": "a7", "page": PAGE, "after": after} for after in (None, ("9.00000000", SEEN))],
    "balance": [{"ticker": "T7", "address": "a7"}],
    "ticker_history": [{"ticker": "T7", "only": only, "page": PAGE} for only in FILTERS],
    "ticker_transaction": [{"ticker": "T7", "txid": b"\x07" * 32}],
    "address_history": [
        {"address": "a7", "ticker": ticker, "only": only, "page": PAGE} for ticker in (None, "T7") for only in FILTERS
    ],
    "block_history": [{"height": 700, "include_invalid": invalid, "page": PAGE} for invalid in (True, False)],
    "path": [{"height": 700, "block_hash": b"\x07" * 32, "limit": 500}],
    "whole_ticker_history": [{"ticker": "T7", "only": only, "limit": 100} for only in FILTERS],
    "whole_address_history": [
        {"address": "a7", "ticker": ticker, "only": only, "limit": 100} for ticker in (None, "T7") for only in FILTERS
    ],
    "whole_block_history": [{"height": 700, "include_invalid": invalid, "limit": 100} for invalid in (True, False)],
    "all_holders": [{"ticker": "T7", "limit": 100}],
    "all_tickers": [{"limit": 50}],
}
# Every row of it is asked for and counted: reading the table is the quickest way.
WHOLE = {"all_tickers": {"deploys", "blocks"}}
# What is neither on the way to an answer nor a row to the client.
NOT_QUESTIONS = {"from_settings"}

_FILL = (
    """
    INSERT INTO index.blocks
    SELECT h, sha256(h::text::bytea), sha256(h::text::bytea), now(), 5, sha256(''), sha256(''), sha256('')
    FROM generate_series(1, {blocks}) h""",
    """
    INSERT INTO index.deploys (ticker, max_supply, limit_per_mint, minted, height, txid, deployer)
    SELECT 'T' || h, 1000, 10, 0, h, sha256(''), 'd' FROM generate_series(1, {blocks}) h""",
    "CREATE TABLE index.operations_p0 PARTITION OF index.operations FOR VALUES FROM (0) TO (131072::bigint << 20)",
    """
    INSERT INTO index.operations
        (op_id, tx_index, txid, vout, op, ticker, amount, sender, recipient, is_marketplace, error)
    SELECT (h::bigint << 20) + n, n, sha256((h * 5 + n)::text::bytea), 0,
        CASE n % 2 WHEN 0 THEN 'mint' ELSE 'transfer' END,
        'T' || (h * 5 + n) % 500, 1, 'a' || h % 1000, 'a' || (h * 7 + n) % 1000,
        false, CASE n WHEN 4 THEN 'INVALID_AMOUNT' END
    FROM generate_series(1, {blocks}) h, generate_series(0, 4) n""",
    """
    INSERT INTO index.balances (ticker, address, amount, height)
    SELECT 'T' || a % 500, 'a' || a, a, 5 FROM generate_series(1, {blocks} * 5) a""",
    """
    INSERT INTO ops.orphaned_blocks (hash, height, fork_height, fork_hash)
    SELECT sha256(('o' || h)::bytea), h, h - 1, sha256('') FROM generate_series(1, 10000) h""",
    "UPDATE index.chain SET tip_height = {blocks}, tip_hash = sha256({blocks}::text::bytea)",
    "ANALYZE",
)


@pytest.fixture(scope="module")
def large_database(cluster: Cluster, migrated_template: str) -> Iterator[Connection]:
    url = cluster.new_database(migrated_template)
    open_writer(url).close()
    with connect(url) as connection:
        for statement in _FILL:
            connection.execute(statement.format(blocks=BLOCKS))
        yield connection


class Recorder:
    """Stands in for the pools and their connections: keeps what it is asked to run."""

    replica_is_fit = primary_is_away = closed = False
    replica_floor = 0

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Any]] = []

    @asynccontextmanager
    async def connection(self, _kind: Kind) -> AsyncIterator[Recorder]:
        yield self

    async def rollback(self) -> None:
        pass

    @asynccontextmanager
    async def cursor(self, name: str) -> AsyncIterator[Recorder]:
        assert name
        yield self

    async def rows(self, _kind: Kind, _connection: object, query: object, parameters: object) -> list[Any]:
        return await (await self.execute(query, parameters)).fetchall()

    async def in_time(self, _kind: Kind, _connection: object, work: Awaitable[Any]) -> Any:  # noqa: ANN401 - its result
        return await work

    async def execute(self, query: object, parameters: object = None) -> Recorder:
        if query != BEGIN and parameters is not None:
            self.asked.append((query, parameters))
        return self

    async def fetchall(self) -> list[Any]:
        return [defaultdict(int, {"at_hash": b"a", "found": 1})]

    async def fetchmany(self, _size: int) -> list[Any]:
        return await self.fetchall()


async def asked_by(name: str, arguments: dict[str, Any]) -> list[tuple[Any, Any]]:
    recorder = Recorder()
    reader = Reader(recorder)  # type: ignore[arg-type]  # of the pools it needs the connections only
    asking = getattr(reader, name)(**arguments)
    if hasattr(asking, "__aenter__"):
        async with asking:
            pass
    else:
        await asking
    assert recorder.asked
    return recorder.asked


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


async def plan_of(connection: Connection, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for query, parameters in await asked_by(name, arguments):
        row = connection.execute(f"EXPLAIN (FORMAT JSON) {query}", parameters).fetchone()
        assert row is not None
        found += nodes(row[0][0]["Plan"])
    return found


def test_every_question_is_in_the_table() -> None:
    methods = {name for name, _ in inspect.getmembers(Reader, inspect.isfunction) if not name.startswith("_")}
    assert methods - NOT_QUESTIONS <= set(QUESTIONS)


@pytest.mark.parametrize(
    ("name", "arguments"), [(name, each) for name, forms in QUESTIONS.items() for each in forms], ids=str
)
async def test_every_query_of_the_api_goes_by_an_index(
    large_database: Connection, name: str, arguments: dict[str, Any]
) -> None:
    if not hasattr(Reader, name):
        pytest.fail(f"Reader has no {name}: take it out of the table")
    plan = await plan_of(large_database, name, arguments)
    whole = {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}
    assert whole <= SMALL | WHOLE.get(name, set()), plan


async def test_every_index_is_used_by_a_query_or_keeps_rows_apart(large_database: Connection) -> None:
    used = {
        node["Index Name"]
        for name, forms in QUESTIONS.items()
        for arguments in forms
        for node in await plan_of(large_database, name, arguments)
        if "Index Name" in node
    }
    rows = large_database.execute(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'index' AND NOT i.indisunique AND c.relkind = 'i'"
    ).fetchall()
    assert {name for (name,) in rows} <= used
    assert rows
