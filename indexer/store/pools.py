"""Bounded pools of read-only connections: the primary, a replica where it is fit to be read, and long reads apart."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, LiteralString, Self, TypeVar

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from indexer.store.connection import CONNECT_TIMEOUT, LIVELINESS, OPTIONS, StoreUnavailableError, adapt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from indexer.settings import Settings

T = TypeVar("T")
Row = dict[str, Any]
Connection = psycopg.AsyncConnection[Row]
Pool = AsyncConnectionPool[Connection]

POOL_TIMEOUT = 2.0  # seconds that a request waits for a connection
PING_AFTER = 1.0  # seconds of rest after which a connection is asked whether it still lives
PING_SECONDS = 1.0
GRACE = 1.0  # seconds beyond a statement's time-out, which the server keeps
_MAX_WAITING = 500  # requests in the queue of a pool: more would wait for nothing

# What a database answers that sync has not migrated or granted yet.
_NOT_YET = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
)
_LOST = (PoolTimeout, PoolClosed, psycopg.OperationalError, psycopg.InterfaceError)


async def bounded(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Await a question to a database for at most so long; raises TimeoutError then.

    A server that hangs, or that is gone without a word, answers the question's cancellation as little: nobody waits
    for that either. The connection is of no use afterwards.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        return task.result()
    while not task.done():
        task.cancel()  # first the question, then psycopg's asking the server to cancel it
        await asyncio.sleep(0)
    raise TimeoutError(f"no answer within {seconds:g} s")


class QueryTimeoutError(Exception):
    """A query took longer than its class of statements may."""


# What the store's statements raise on a borrowed connection where they were given all of their time: the server ended
# them, or it hangs. Lost connections and cancelled requests end whenever they do.
OUT_OF_TIME = (psycopg.errors.QueryCanceled, StoreUnavailableError)


class Kind(Enum):
    """What a connection is for."""

    PAGE = "primary"
    REPLICA = "replica"
    BULK = "bulk"
    BULK_REPLICA = "bulk_replica"


_OF_PRIMARY = frozenset({Kind.PAGE, Kind.BULK})


class Pools:
    """Connections by what they are for.

    Whoever watches the databases sets `replica_is_fit` (its lag is within bounds), `replica_floor` (the lowest tip at
    which it still is) and `primary_is_away`.
    """

    def __init__(self, pools: dict[Kind, Pool], seconds: dict[Kind, int]) -> None:
        self._pools = pools
        self._seconds = seconds  # that a statement may take
        self.replica_is_fit = False
        self.replica_floor = 0
        self.primary_is_away = False
        self.observe_wait: Callable[[str, float], None] = lambda *_: None  # told a pool's name and seconds

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return pools that connect when they are opened; each statement is bounded by its class's time-out."""
        primary = settings.DATABASE_URL.get_secret_value()
        replica = settings.DATABASE_REPLICA_URL.get_secret_value() if settings.DATABASE_REPLICA_URL else None
        page, bulk = settings.QUERY_TIMEOUT, settings.BULK_QUERY_TIMEOUT
        recycle = settings.DB_POOL_RECYCLE
        pools = {
            Kind.PAGE: _pool(primary, settings.DB_POOL_SIZE, page, recycle),
            Kind.BULK: _pool(primary, settings.DB_BULK_POOL_SIZE, bulk, recycle),
        }
        if replica:
            pools[Kind.REPLICA] = _pool(replica, settings.DB_POOL_SIZE, page, recycle)
            pools[Kind.BULK_REPLICA] = _pool(replica, settings.DB_BULK_POOL_SIZE, bulk, recycle)
        is_bulk = {Kind.BULK, Kind.BULK_REPLICA}
        return cls(pools, {kind: bulk if kind in is_bulk else page for kind in pools})

    @property
    def has_replica(self) -> bool:
        """Whether a replica is configured."""
        return Kind.REPLICA in self._pools

    async def open(self) -> None:
        """Start the pools; a database that is down does not keep the process from starting."""
        for pool in self._pools.values():
            await pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.close(timeout=1)

    def usage(self) -> dict[str, tuple[int, int, int]]:
        """Return by pool how many connections are in use, how many there may be, and how many requests wait."""
        found = {}
        for kind, pool in self._pools.items():
            stats = pool.get_stats()
            used = stats.get("pool_size", 0) - stats.get("pool_available", 0)
            found[kind.value] = (used, pool.max_size, stats.get("requests_waiting", 0))
        return found

    @asynccontextmanager
    async def connection(self, kind: Kind) -> AsyncIterator[Connection]:
        """Borrow one. Raises StoreUnavailableError where the database fails, QueryTimeoutError where it is too slow."""
        if self.primary_is_away and kind in _OF_PRIMARY:
            raise StoreUnavailableError("the primary does not answer")  # whoever watches it asks on
        started = time.perf_counter()
        try:
            connection = await _living(self._pools[kind])
            try:
                self.observe_wait(kind.value, time.perf_counter() - started)
                yield connection
            finally:
                await self._pools[kind].putconn(connection)
        except psycopg.errors.QueryCanceled as error:
            raise QueryTimeoutError("the database took too long for this; ask for less") from error
        except _LOST as error:
            raise StoreUnavailableError(" ".join(str(error).split())) from error
        except _NOT_YET as error:
            raise StoreUnavailableError("no index to read yet; simplicity sync makes it and grants it") from error

    async def rows(self, kind: Kind, connection: Connection, query: LiteralString, parameters: Row) -> list[Row]:
        """Run a statement. Raises StoreUnavailableError also where the server hangs."""
        return await self.in_time(kind, connection, _rows(connection, query, parameters))

    async def in_time(self, kind: Kind, connection: Connection, work: Coroutine[Any, Any, T]) -> T:
        """Await a question on a borrowed connection for as long as its class of statements may take."""
        try:
            return await bounded(work, self._seconds[kind] + GRACE)
        except TimeoutError as error:
            await connection.close()  # or whoever gives it back would wait for the server again
            raise StoreUnavailableError(str(error)) from None


async def _rows(connection: Connection, query: LiteralString, parameters: Row) -> list[Row]:
    cursor = await connection.execute(query, parameters)
    return await cursor.fetchall() if cursor.description else []


def read_only_options(seconds: int) -> str:
    """Return libpq's `options` of a connection that only reads, each statement bounded."""
    return (
        f"{OPTIONS} -c default_transaction_read_only=on -c statement_timeout={seconds * 1000}"
        " -c idle_in_transaction_session_timeout=60s"
    )


def _pool(url: str, size: int, timeout: int, recycle: int) -> Pool:
    return AsyncConnectionPool(
        url,
        kwargs={
            "autocommit": True,
            "row_factory": dict_row,
            "connect_timeout": CONNECT_TIMEOUT,
            **LIVELINESS,
            "application_name": "simplicity-api",
            "options": read_only_options(timeout),
        },
        connection_class=psycopg.AsyncConnection[Row],
        configure=_configure,
        reset=_used,
        min_size=1,
        max_size=size,
        max_lifetime=recycle,
        max_waiting=_MAX_WAITING,
        timeout=POOL_TIMEOUT,
        # Short: a pool that waits longer and longer between its tries would still wait when the database is back. Given
        # up, it tries at the next request, and while the database is away none comes here.
        reconnect_timeout=2,
        open=False,
    )


async def _configure(connection: Connection) -> None:
    adapt(connection)
    await _used(connection)


async def _used(connection: Connection) -> None:
    connection.__dict__["rested_since"] = time.monotonic()


async def _living(pool: Pool) -> Connection:
    """Borrow a connection that answers. The pool's own check waits longer and longer between those that do not."""
    for _ in range(pool.max_size):
        connection = await pool.getconn()
        if await _answers(connection):
            return connection
        await pool.putconn(connection)  # closed: another takes its place
    return await pool.getconn()


async def _answers(connection: Connection) -> bool:
    # A ping before each query would double the round trips; a server that went away meanwhile is noticed all the same.
    if time.monotonic() - connection.__dict__["rested_since"] <= PING_AFTER:
        return True
    try:
        await bounded(AsyncConnectionPool.check_connection(connection), PING_SECONDS)
    except (psycopg.Error, TimeoutError):
        await connection.close()
        return False
    return True
