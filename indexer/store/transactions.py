"""Classes of transactions: how isolated each is, and how long the server lets it run, wait and idle."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import psycopg
import stamina
from psycopg.pq import TransactionStatus

from audit import trail
from indexer.store.connection import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from indexer.store.connection import Connection

_Result = TypeVar("_Result")

_ATTEMPTS = 5
_PATIENCE = 20.0  # seconds after which no further attempt begins


@dataclass(frozen=True, slots=True)
class TransactionClass:
    """A kind of transaction; the server holds the times, in seconds, whatever becomes of the client."""

    name: str
    mode: str
    statement_timeout: int  # of one statement
    lock_timeout: int  # of one wait for a lock
    idle_timeout: int  # between two statements

    @property
    def sql(self) -> str:
        """Return what has to be said first in a transaction of this class."""
        return (
            f"SET TRANSACTION ISOLATION LEVEL {self.mode};"
            f" SET LOCAL statement_timeout = '{self.statement_timeout}s';"
            f" SET LOCAL lock_timeout = '{self.lock_timeout}s';"
            f" SET LOCAL idle_in_transaction_session_timeout = '{self.idle_timeout}s'"
        )


SHORT = TransactionClass("short", "READ COMMITTED", 30, 5, 30)
# What is changed by people and must not go wrong: keys, the maintenance switch. Goes with an entry of the audit trail.
SENSITIVE = TransactionClass("sensitive", "SERIALIZABLE", 30, 10, 30)
# One consistent look at much: a backup. It holds the clean-up of old rows up as long as it runs.
LONG = TransactionClass("long", "REPEATABLE READ READ ONLY", 300, 10, 300)
BATCH = TransactionClass("batch", "READ COMMITTED", 600, 60, 120)


@contextmanager
def transaction(connection: Connection, kind: TransactionClass) -> Iterator[None]:
    """Run the `with` as a transaction of a class. Raises RuntimeError within another, whose class cannot change."""
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        raise RuntimeError(f"a {kind.name} transaction cannot begin within another one")
    with connection.transaction():
        connection.execute(kind.sql)
        yield


def sensitive(connection: Connection, change: Callable[[], _Result]) -> _Result:
    """Make a change and its entry in the audit trail in one SENSITIVE transaction; return what `change` returns.

    The trail's lock is taken first, so that changes follow one another; what still collides with others (a
    serialization failure, a deadlock) is run again as a whole, so `change` may do nothing but ask the database. Within
    an open transaction it runs as a part of that one, which has the last word. Raises StoreError where the database
    has no trail yet.
    """
    if connection.info.transaction_status is TransactionStatus.INTRANS:
        with connection.transaction():
            _lock(connection)
            return change()
    retried = stamina.retry_context(
        on=(psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected),
        attempts=_ATTEMPTS,
        timeout=_PATIENCE,
        wait_initial=0.02,
        wait_max=1.0,
    )
    for attempt in retried:
        with attempt, transaction(connection, SENSITIVE):
            _lock(connection)
            return change()
    raise AssertionError("stamina gives at least one attempt")  # pragma: no cover - and raises the last one's error


def _lock(connection: Connection) -> None:
    try:
        trail.lock(connection)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise StoreError("database has no audit trail yet; run this release's: simplicity sync") from None
