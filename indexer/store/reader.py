"""What the API reads: rows and their counts by one statement, so that they are of one snapshot."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, LiteralString, Self

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from indexer.store.connection import CONNECT_TIMEOUT, OPTIONS, StoreUnavailableError, adapt
from indexer.store.rows import first_op_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from indexer.settings import Settings

Row = dict[str, Any]
Pool = AsyncConnectionPool[psycopg.AsyncConnection[Row]]

POOL_TIMEOUT = 5.0  # seconds that a request waits for a connection

# Holders are counted for the rows of the page only, so paging is done on `d`.
_TICKERS = """
    SELECT d.ticker, d.max_supply, d.limit_per_mint, d.minted, d.height, d.txid, d.deployer, b.time,
        (SELECT count(*) FROM index.balances h WHERE h.ticker_key = d.ticker_key AND h.amount > 0) AS holders
    FROM (SELECT * FROM index.deploys {}) d JOIN index.blocks b USING (height)
    ORDER BY d.height DESC, d.ticker"""
_PAGE_OF_TICKERS = _TICKERS.format("ORDER BY height DESC, ticker LIMIT %(limit)s OFFSET %(skip)s")
_ONE_TICKER = _TICKERS.format("WHERE ticker_key = index.ticker_key(%(ticker)s)")

# 20 is HEIGHT_SHIFT.
_OPERATIONS = """
    SELECT o.*, b.height, b.hash AS block_hash, b.time {}
    FROM index.operations o JOIN index.blocks b ON b.height = (o.op_id >> 20)::integer
    WHERE {} AND (o.error IS NULL OR %(include_invalid)s)
    ORDER BY o.op_id {} LIMIT %(limit)s OFFSET %(skip)s"""
_TICKER_HISTORY = _OPERATIONS.format(
    "",
    "o.ticker_key = index.ticker_key(%(ticker)s) AND (%(op)s::text IS NULL OR o.op = %(op)s)",
    "DESC",
)
_BLOCK_HISTORY = _OPERATIONS.format(", count(*) OVER () AS found", "o.op_id >= %(first)s AND o.op_id < %(end)s", "ASC")

# What a database answers that sync has not migrated or granted yet.
_NOT_YET = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedTable,
)


class Reader:
    """Read-only queries over a bounded pool. Every method raises StoreUnavailableError where the database fails."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.observe: Callable[[str, float], None] = lambda *_: None  # told each query's name and seconds

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return a reader whose pool opens with `open`; connections carry the statement time-out."""
        return cls(
            AsyncConnectionPool(
                settings.DATABASE_URL.get_secret_value(),
                kwargs={
                    "autocommit": True,
                    "row_factory": dict_row,
                    "connect_timeout": CONNECT_TIMEOUT,
                    "application_name": "simplicity-api",
                    "options": f"{OPTIONS} -c statement_timeout={settings.QUERY_TIMEOUT * 1000}",
                },
                connection_class=psycopg.AsyncConnection[Row],
                configure=_configure,
                check=AsyncConnectionPool.check_connection,
                min_size=1,
                max_size=settings.DB_POOL_SIZE,
                timeout=POOL_TIMEOUT,
                open=False,
            )
        )

    async def open(self) -> None:
        """Start the pool; a database that is down does not keep the process from starting."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    def connections(self) -> tuple[int, int]:
        """Return how many connections are in use and how many there may be."""
        stats = self._pool.get_stats()
        return stats.get("pool_size", 0) - stats.get("pool_available", 0), self._pool.max_size

    async def status(self) -> Row | None:
        """Return the indexed tip, the node's height and the last operation's id; None before the first sync."""
        return await self._one(
            "status",
            "SELECT c.node_height, c.tip_height, c.tip_hash, b.state_hash,"
            " (SELECT max(op_id) FROM index.operations) AS last_op_id"
            " FROM index.chain c LEFT JOIN index.blocks b ON b.height = c.tip_height",
            {},
        )

    async def state(self, height: int) -> Row | None:
        """Return the hashes and the digest of an indexed block."""
        return await self._one(
            "state",
            "SELECT height, hash, events_hash, state_hash, state_digest FROM index.blocks WHERE height = %(height)s",
            {"height": height},
        )

    async def tickers(self, skip: int, limit: int) -> list[Row]:
        """Return deployed tickers, the latest first."""
        return await self._all("tickers", _PAGE_OF_TICKERS, {"skip": skip, "limit": limit})

    async def ticker(self, ticker: str) -> Row | None:
        """Return a deployed ticker by its normalised name."""
        return await self._one("ticker", _ONE_TICKER, {"ticker": ticker})

    async def holders(self, ticker: str, skip: int, limit: int) -> list[Row]:
        """Return the non-zero balances of a ticker, the largest first."""
        return await self._all(
            "holders",
            "SELECT ticker, address, amount, height FROM index.balances"
            " WHERE ticker_key = index.ticker_key(%(ticker)s) AND amount > 0"
            " ORDER BY amount DESC, address LIMIT %(limit)s OFFSET %(skip)s",
            {"ticker": ticker, "skip": skip, "limit": limit},
        )

    async def balance(self, ticker: str, address: str) -> Row | None:
        """Return a balance, None where the address never had one."""
        return await self._one(
            "balance",
            "SELECT ticker, address, amount, height FROM index.balances"
            " WHERE ticker_key = index.ticker_key(%(ticker)s) AND address = %(address)s",
            {"ticker": ticker, "address": address},
        )

    async def ticker_history(
        self, ticker: str, *, op: str | None, include_invalid: bool, skip: int, limit: int
    ) -> list[Row]:
        """Return a ticker's operations, the latest first."""
        return await self._all(
            "ticker_history",
            _TICKER_HISTORY,
            {"ticker": ticker, "op": op, "include_invalid": include_invalid, "skip": skip, "limit": limit},
        )

    async def block_history(self, height: int, *, include_invalid: bool, skip: int, limit: int) -> list[Row]:
        """Return a block's operations in order of application, each row with how many were `found` in all."""
        edges = {"first": first_op_id(height), "end": first_op_id(height + 1)}
        return await self._all(
            "block_history", _BLOCK_HISTORY, edges | {"include_invalid": include_invalid, "skip": skip, "limit": limit}
        )

    async def _all(self, name: str, query: LiteralString, parameters: Row) -> list[Row]:
        async with self._connection() as connection:
            started = time.perf_counter()
            cursor = await connection.execute(query, parameters)
            rows = await cursor.fetchall()
            self.observe(name, time.perf_counter() - started)
            return rows

    async def _one(self, name: str, query: LiteralString, parameters: Row) -> Row | None:
        rows = await self._all(name, query, parameters)
        return rows[0] if rows else None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise StoreUnavailableError(" ".join(str(error).split())) from error
        except _NOT_YET as error:
            raise StoreUnavailableError("no index to read yet; simplicity sync makes it and grants it") from error


async def _configure(connection: psycopg.AsyncConnection[Row]) -> None:
    adapt(connection)
