"""Classes of transactions, as the server sees them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from audit import trail
from audit.entry import entry
from indexer.store.connection import StoreError, connect
from indexer.store.transactions import BATCH, LONG, SENSITIVE, SHORT, TransactionClass, sensitive, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.store.connection import Connection


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url, statement_timeout=10) as connection:
        yield connection


def shown(connection: Connection, name: str) -> str:
    row = connection.execute(f"SHOW {name}").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize(
    ("kind", "isolation", "read_only", "times"),
    [
        (SHORT, "read committed", "off", ("30s", "5s", "30s")),
        (SENSITIVE, "serializable", "off", ("30s", "10s", "30s")),
        (LONG, "repeatable read", "on", ("5min", "10s", "5min")),
        (BATCH, "read committed", "off", ("10min", "1min", "2min")),
    ],
)
def test_the_server_holds_what_a_class_says_and_forgets_it_afterwards(
    connection: Connection, kind: TransactionClass, isolation: str, read_only: str, times: tuple[str, str, str]
) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    with transaction(connection, kind):
        assert shown(connection, "transaction_isolation") == isolation
        assert shown(connection, "transaction_read_only") == read_only
        assert tuple(shown(connection, name) for name in names) == times

    assert tuple(shown(connection, name) for name in names) == ("10s", "0", "0")
    assert shown(connection, "transaction_isolation") == "read committed"


def _quick(**times: int) -> TransactionClass:
    given = {"statement_timeout": 30, "lock_timeout": 30, "idle_timeout": 30} | times
    return TransactionClass("quick", "READ COMMITTED", **given)


def test_a_statement_that_takes_too_long_is_ended_by_the_server(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled), transaction(connection, _quick(statement_timeout=1)):
        connection.execute("SELECT pg_sleep(20)")


def test_a_wait_for_a_lock_ends(connection: Connection, database_url: str) -> None:
    with connect(database_url) as other, other.transaction():
        other.execute("LOCK TABLE ops.maintenance")
        with pytest.raises(psycopg.errors.LockNotAvailable), transaction(connection, _quick(lock_timeout=1)):
            connection.execute("SELECT FROM ops.maintenance")


def test_a_client_that_falls_asleep_in_a_transaction_loses_it(connection: Connection, database_url: str) -> None:
    def asleep() -> None:
        with transaction(connection, _quick(idle_timeout=1)):
            connection.execute("LOCK TABLE ops.maintenance")
            with connect(database_url) as other:  # which gets the lock only when the sleeper was ended
                other.execute("SELECT FROM ops.maintenance")
            connection.execute("SELECT 1")

    with pytest.raises((psycopg.errors.IdleInTransactionSessionTimeout, psycopg.OperationalError)):
        asleep()


def test_in_a_long_transaction_nothing_is_written_and_nothing_moves(connection: Connection, database_url: str) -> None:
    with transaction(connection, LONG), connect(database_url) as other:
        before = connection.execute("SELECT message FROM ops.maintenance").fetchone()
        other.execute("UPDATE ops.maintenance SET message = 'changed meanwhile'")
        assert connection.execute("SELECT message FROM ops.maintenance").fetchone() == before
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), connection.transaction():
            connection.execute("DELETE FROM ops.maintenance")


def test_a_class_cannot_begin_within_a_transaction(connection: Connection) -> None:
    def nested() -> None:
        with connection.transaction(), transaction(connection, SHORT):
            pass

    with pytest.raises(RuntimeError, match="a short transaction cannot begin within another one"):
        nested()


def test_a_sensitive_change_has_the_trails_lock_before_it_looks(connection: Connection, database_url: str) -> None:
    """Else it would append behind a head that is not the head any more."""
    with connect(database_url) as other:
        with other.transaction():
            trail.append(other, entry("first", "x"))
            began = threading.Thread(target=lambda: sensitive(connection, lambda: _append(connection, "second")))
            began.start()
            with connect(database_url) as observer:
                while observer.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is None:
                    assert began.is_alive()
        began.join(20)
        assert [link.facts["action"] for link in trail.links(other)] == ["first", "second"]


def _append(connection: Connection, action: str) -> None:
    assert shown(connection, "transaction_isolation") == "serializable"
    trail.append(connection, entry(action, "x"))


@pytest.mark.parametrize("error", [psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected])
def test_a_change_that_collides_is_made_again_as_a_whole(connection: Connection, error: type[psycopg.Error]) -> None:
    tries: list[int] = []

    def change() -> str:
        tries.append(1)
        trail.append(connection, entry(f"try {len(tries)}", "x"))
        if len(tries) < 3:
            raise error("collided")
        return "done"

    assert sensitive(connection, change) == "done"
    assert [link.facts["action"] for link in trail.links(connection)] == ["try 3"]


def test_two_sensitive_changes_that_read_what_the_other_writes_are_made_one_after_the_other(
    database_url: str,
) -> None:
    """Write skew: each switches something off only where the other one's is on."""
    with connect(database_url) as owner:
        owner.execute("CREATE TABLE switches (name text PRIMARY KEY, is_on boolean NOT NULL)")
        owner.execute("INSERT INTO switches VALUES ('a', true), ('b', true)")

    def switch_off(mine: str, other: str) -> None:
        with connect(database_url) as connection:

            def change() -> None:
                row = connection.execute("SELECT is_on FROM switches WHERE name = %s", (other,)).fetchone()
                if row == (True,):
                    connection.execute("UPDATE switches SET is_on = false WHERE name = %s", (mine,))

            sensitive(connection, change)

    threads = [threading.Thread(target=switch_off, args=names) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with connect(database_url) as owner:
        assert owner.execute("SELECT count(*) FROM switches WHERE is_on").fetchone() == (1,)


def test_a_change_that_goes_on_colliding_is_given_up(connection: Connection) -> None:
    def change() -> None:
        raise psycopg.errors.SerializationFailure("collided")

    with pytest.raises(psycopg.errors.SerializationFailure):
        sensitive(connection, change)


def test_a_change_that_is_refused_is_not_made_again(connection: Connection) -> None:
    tries: list[int] = []

    def change() -> None:
        tries.append(1)
        raise StoreError("no")

    with pytest.raises(StoreError):
        sensitive(connection, change)
    assert tries == [1]


def test_within_a_transaction_a_change_is_a_part_of_it(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        sensitive(connection, lambda: trail.append(connection, entry("undone", "x")))

    assert trail.head(connection) is None


def test_a_database_without_the_trail_is_told_what_to_do(empty_database_url: str) -> None:
    with (
        connect(empty_database_url) as connection,
        pytest.raises(StoreError, match="no audit trail yet; run this release's: simplicity sync"),
    ):
        sensitive(connection, lambda: None)
