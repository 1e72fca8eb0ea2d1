"""What the API reads. Every answer names the block that its snapshot stands at."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString, Self

from indexer.store import queries
from indexer.store.connection import StoreUnavailableError
from indexer.store.pools import OUT_OF_TIME, Kind, Pools, Row
from indexer.store.rows import first_op_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from indexer.settings import Settings
    from indexer.store.pools import Connection

LAST_OP_ID = 2**63 - 1
BATCH = 1_000  # rows that a bulk read takes from the database at once


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The block that an answer is of: height, hash in internal order, state hash (None before the first block)."""

    height: int
    block_hash: bytes
    state_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows and the snapshot that they are of; `exists` is False where what should have them does not."""

    at: Snapshot
    rows: list[Row]
    exists: bool = True

    @property
    def first(self) -> Row | None:
        """The only row, None where there is none."""
        return self.rows[0] if self.rows else None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: `limit` rows after `skip`."""

    skip: int = 0
    limit: int = 100

    @property
    def parameters(self) -> Row:
        """The statement's parameters."""
        return {"skip": self.skip, "limit": self.limit}


@dataclass(frozen=True, slots=True)
class Seen:
    """The ticker that a page ended with: its key, and its name (None: too long for a cursor)."""

    name: str | None
    key: bytes

    @property
    def parameters(self) -> Row:
        """The statement's parameters."""
        return {"name": self.name, "key": self.key}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which operations: of one kind or all, valid ones or all, below an op_id (a cursor)."""

    op: str | None = None
    include_invalid: bool = False
    before: int = LAST_OP_ID

    @property
    def parameters(self) -> Row:
        """The statement's parameters."""
        return {"op": self.op, "include_invalid": self.include_invalid, "before": self.before}


@dataclass(frozen=True, slots=True)
class Whole:
    """All of a list: how many there are, and the rows (at most as many as asked for) as they come.

    `exists` is False where what has the list does not.
    """

    at: Snapshot
    exists: bool
    found: int
    rows: AsyncIterator[list[Row]]


class NothingIndexedError(Exception):
    """The database has its schema, and no sync has begun to write to it."""


class Reader:
    """Read-only queries. Every method raises StoreUnavailableError where the database fails."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.observe: Callable[[str, float], None] = lambda *_: None  # told each query's name and seconds
        self.span: Callable[[str, str], AbstractContextManager[object]] = lambda *_: nullcontext()  # of query and pool

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return a reader whose pools open with `pools.open`."""
        return cls(Pools.from_settings(settings))

    async def status(self) -> Answer:
        """Return the node's height as sync saw it last, and the last operation's id."""
        return await self._ask("status", queries.STATUS, {}, "node_height")

    async def state(self, height: int) -> Answer:
        """Return the hashes and the digest of an indexed block."""
        return await self._ask("state", queries.STATE, {"height": height}, "height")

    async def tickers(self, page: Page, after: tuple[int, Seen] | None = None) -> Answer:
        """Return deployed tickers, the latest first; `after` is the last one seen and its height."""
        if after is None:
            return await self._ask("tickers", queries.TICKERS, page.parameters, "ticker")
        place = after[1].parameters | {"height": after[0]}
        return await self._ask("tickers", queries.TICKERS_AFTER, page.parameters | place, "ticker")

    async def ticker(self, ticker: str) -> Answer:
        """Return a deployed ticker by its normalised name."""
        return await self._ask("ticker", queries.TICKER, {"ticker": ticker}, "ticker")

    async def holders(self, ticker: str, page: Page, after: tuple[str, str] | None = None) -> Answer:
        """Return the non-zero balances of a ticker, the largest first.

        `after` is the amount (a decimal) and address of the last one seen.
        """
        parameters = page.parameters | {"ticker": ticker}
        query = queries.HOLDERS
        if after is not None:
            query, parameters = queries.HOLDERS_AFTER, parameters | {"amount": after[0], "name": after[1]}
        answer = await self._ask("holders", query, parameters, "deployed")
        rows = [row for row in answer.rows if row["address"] is not None]
        return Answer(answer.at, rows, answer.rows[0]["deployed"])

    async def address_balances(self, address: str, page: Page, after: tuple[str, Seen] | None = None) -> Answer:
        """Return the non-zero balances of an address, the largest first; `after` is the last one."""
        parameters = page.parameters | {"address": address}
        if after is None:
            return await self._ask("address_balances", queries.ADDRESS_BALANCES, parameters, "ticker")
        place = after[1].parameters | {"amount": after[0]}
        return await self._ask("address_balances", queries.ADDRESS_BALANCES_AFTER, parameters | place, "ticker")

    async def balance(self, ticker: str, address: str) -> Answer:
        """Return a balance; no row where the address never had one."""
        return await self._ask("balance", queries.BALANCE, {"ticker": ticker, "address": address}, "address")

    async def ticker_history(self, ticker: str, only: Filter, page: Page) -> Answer:
        """Return a ticker's operations, the latest first."""
        parameters = only.parameters | page.parameters | {"ticker": ticker}
        return await self._ask("ticker_history", queries.TICKER_HISTORY, parameters, "op_id")

    async def ticker_transaction(self, ticker: str, txid: bytes) -> Answer:
        """Return a transaction's operations on a ticker, invalid ones too, the latest first."""
        parameters = {"ticker": ticker, "txid": txid}
        return await self._ask("ticker_transaction", queries.TICKER_TRANSACTION, parameters, "op_id")

    async def address_history(self, address: str, ticker: str | None, only: Filter, page: Page) -> Answer:
        """Return the operations that an address sent or received, of one ticker or all, the latest first."""
        parameters = only.parameters | page.parameters | {"address": address, "ticker": ticker}
        query = queries.ADDRESS_HISTORY if ticker is None else queries.ADDRESS_TICKER_HISTORY
        return await self._ask("address_history", query, parameters, "op_id")

    async def block_history(self, height: int, *, include_invalid: bool, page: Page, after: int = -1) -> Answer:
        """Return a block's operations in order of application, those above the op_id `after`."""
        parameters = page.parameters | _block(height, include_invalid=include_invalid, after=after)
        return await self._ask("block_history", queries.BLOCK_HISTORY, parameters, "op_id")

    @asynccontextmanager
    async def all_tickers(self, limit: int) -> AsyncIterator[Whole]:
        """Return all deployed tickers, the latest first."""
        async with self._whole("tickers", queries.COUNT_TICKERS, queries.TICKERS, _all(limit)) as whole:
            yield whole

    @asynccontextmanager
    async def all_holders(self, ticker: str, limit: int) -> AsyncIterator[Whole]:
        """Return all non-zero balances of a ticker, the largest first."""
        parameters = _all(limit) | {"ticker": ticker}
        async with self._whole("holders", queries.COUNT_HOLDERS, queries.HOLDERS, parameters) as whole:
            yield whole

    @asynccontextmanager
    async def whole_ticker_history(self, ticker: str, only: Filter, limit: int) -> AsyncIterator[Whole]:
        """Return all operations of a ticker, the latest first."""
        parameters = _all(limit) | only.parameters | {"ticker": ticker}
        names = ("ticker_history", queries.COUNT_TICKER_HISTORY, queries.TICKER_HISTORY)
        async with self._whole(*names, parameters) as whole:
            yield whole

    @asynccontextmanager
    async def whole_address_history(
        self, address: str, ticker: str | None, only: Filter, limit: int
    ) -> AsyncIterator[Whole]:
        """Return all operations that an address sent or received, the latest first."""
        parameters = _all(limit) | only.parameters | {"address": address, "ticker": ticker}
        count, rows = queries.COUNT_ADDRESS_HISTORY, queries.ADDRESS_HISTORY
        if ticker is not None:
            count, rows = queries.COUNT_ADDRESS_TICKER_HISTORY, queries.ADDRESS_TICKER_HISTORY
        async with self._whole("address_history", count, rows, parameters) as whole:
            yield whole

    @asynccontextmanager
    async def whole_block_history(self, height: int, *, include_invalid: bool, limit: int) -> AsyncIterator[Whole]:
        """Return all operations of a block in order of application."""
        parameters = _all(limit) | _block(height, include_invalid=include_invalid)
        names = ("block_history", queries.COUNT_BLOCK_HISTORY, queries.BLOCK_HISTORY)
        async with self._whole(*names, parameters) as whole:
            yield whole

    async def path(self, height: int, block_hash: bytes, limit: int) -> list[Row]:
        """Return the blocks on from one that a client saw, each with where the chain left that one; [] if unknown."""
        parameters = {"height": height, "hash": block_hash, "limit": limit}
        # The primary's: to a replica that is a moment behind, what a client saw last may not be known yet.
        kind = Kind.REPLICA if self.pools.primary_is_away and self.pools.replica_is_fit else Kind.PAGE
        async with self.pools.connection(kind) as connection:
            return await self._rows(kind, connection, "path", queries.PATH, parameters)

    async def _ask(self, name: str, query: LiteralString, parameters: Row, key: str) -> Answer:
        """Run a statement of `queries`; `key` is a column that is NULL only where no row was found."""
        if self.pools.replica_is_fit:
            try:
                answer = await self._ask_one(Kind.REPLICA, name, query, parameters, key)
                if self._is_late_enough(answer.at):
                    return answer
            except StoreUnavailableError:
                self.pools.replica_is_fit = False  # until whoever watches it says otherwise
                if self.pools.primary_is_away:
                    raise
        return await self._ask_one(Kind.PAGE, name, query, parameters, key)

    def _is_late_enough(self, at: Snapshot) -> bool:
        # Since the replica was looked at the primary may have gone on, and a client may know.
        return at.height >= self.pools.replica_floor or self.pools.primary_is_away

    async def _ask_one(self, kind: Kind, name: str, query: LiteralString, parameters: Row, key: str) -> Answer:
        with self.span(name, kind.value):
            async with self.pools.connection(kind) as connection:
                rows = await self._rows(kind, connection, name, query, parameters)
        return Answer(_snapshot_of(rows), rows if rows[0][key] is not None else [])

    async def _rows(
        self, kind: Kind, connection: Connection, name: str, query: LiteralString, parameters: Row
    ) -> list[Row]:
        with self._timed(name):
            return await self.pools.rows(kind, connection, query, parameters)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Tell how long a query took, unless it was cut short: that would pass for a quick answer."""
        started = time.perf_counter()
        try:
            yield
        except OUT_OF_TIME:
            self.observe(name, time.perf_counter() - started)  # it is the slowest of all
            raise
        self.observe(name, time.perf_counter() - started)

    @asynccontextmanager
    async def _snapshot(self, kind: Kind, connection: Connection) -> AsyncIterator[None]:
        await self.pools.rows(kind, connection, "BEGIN ISOLATION LEVEL REPEATABLE READ", {})
        try:
            yield
        finally:
            if not connection.closed:
                await self.pools.in_time(kind, connection, connection.rollback())

    @asynccontextmanager
    async def _whole(
        self, name: str, count: LiteralString, query: LiteralString, parameters: Row
    ) -> AsyncIterator[Whole]:
        if self.pools.replica_is_fit:
            async with self._whole_of(Kind.BULK_REPLICA, name, count, query, parameters) as whole:
                if self._is_late_enough(whole.at):
                    yield whole
                    return
        async with self._whole_of(Kind.BULK, name, count, query, parameters) as whole:
            yield whole

    @asynccontextmanager
    async def _whole_of(
        self, kind: Kind, name: str, count: LiteralString, query: LiteralString, parameters: Row
    ) -> AsyncIterator[Whole]:
        async with self.pools.connection(kind) as connection, self._snapshot(kind, connection):
            counted = await self._rows(kind, connection, f"{name}_count", count, parameters)
            async with connection.cursor(name="whole") as cursor:
                with self._timed(f"{name}_all"):
                    await self.pools.in_time(kind, connection, cursor.execute(query, parameters))
                    head = await self.pools.in_time(kind, connection, cursor.fetchmany(BATCH))

                async def batches() -> AsyncIterator[list[Row]]:
                    rows = head if counted[0]["found"] else []
                    while rows:
                        yield rows
                        rows = await self.pools.in_time(kind, connection, cursor.fetchmany(BATCH))

                yield Whole(_snapshot_of(head), head[0].get("deployed", True), counted[0]["found"], batches())


def _snapshot_of(rows: list[Row]) -> Snapshot:
    if not rows or rows[0]["at_hash"] == b"":
        raise NothingIndexedError
    return Snapshot(rows[0]["at_height"], rows[0]["at_hash"], rows[0]["at_state"])


def _all(limit: int) -> Row:
    return {"skip": 0, "limit": limit}


def _block(height: int, *, include_invalid: bool, after: int = -1) -> Row:
    first = first_op_id(height)
    return {"first": first, "end": first_op_id(height + 1), "include_invalid": include_invalid, "after": after}
