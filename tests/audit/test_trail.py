"""The trail in a real database."""

from __future__ import annotations

import gc
import json
import random
import threading
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from audit import trail
from audit.chain import ChainError, Kind, examine
from tests.audit.forging import forge
from tests.audit.writing import append, made

if TYPE_CHECKING:
    from audit.trail import Connection


def test_an_entry_is_there_if_and_only_if_the_change_is(connection: Connection) -> None:
    with connection.transaction():
        connection.execute("CREATE TEMPORARY TABLE kept ()")
        link = trail.append(connection, made(1))
    with connection.transaction(force_rollback=True):
        trail.append(connection, made(2))

    assert list(trail.links(connection)) == [link]
    assert trail.head(connection) == link
    assert json.loads(link.body)["after"] == {"things": [{"id": 1}]}


def test_without_a_transaction_nothing_is_written(connection: Connection) -> None:
    with pytest.raises(RuntimeError, match="in the transaction of the change, and none is open"):
        trail.append(connection, made(1))

    assert trail.head(connection) is None


def test_the_same_entry_again_is_the_one_that_is_there(connection: Connection) -> None:
    entry = made(1)
    with connection.transaction():
        first = trail.append(connection, entry)
    append(connection, 1, begin=2)
    with connection.transaction():
        assert trail.append(connection, entry) == first

    assert len(list(trail.links(connection))) == 2


def test_secrets_do_not_reach_the_database(connection: Connection) -> None:
    with connection.transaction():
        trail.append(connection, made(1, arguments={"password": "hunter2", "url": "http://u:hunter2@h"}))

    assert "hunter2" not in str(connection.execute("SELECT a::text FROM ops.audit a").fetchall())


def test_what_text_and_json_hold_at_their_ends_is_stored(connection: Connection) -> None:
    with connection.transaction():
        link = trail.append(connection, made(1, after=["\x00", "\ud800", "\U0001f600", 10**30, -0.0, "\x1b[31m"]))

    assert list(trail.links(connection)) == [link]
    assert examine([link]) == []


@pytest.mark.parametrize("statement", ["UPDATE ops.audit SET seq = seq", "DELETE FROM ops.audit", "TRUNCATE ops.audit"])
def test_the_table_refuses_what_is_no_append(connection: Connection, statement: str) -> None:
    append(connection, 2)

    with pytest.raises(psycopg.errors.RestrictViolation, match=r"append-only: (UPDATE|DELETE|TRUNCATE) is refused"):
        connection.execute(statement)
    assert len(list(trail.links(connection))) == 2


@pytest.mark.parametrize("isolation", [None, psycopg.IsolationLevel.SERIALIZABLE])
def test_of_many_writers_at_once_each_gets_its_place(
    database_url: str, isolation: psycopg.IsolationLevel | None
) -> None:
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            with psycopg.connect(database_url, autocommit=True) as mine:
                mine.isolation_level = isolation
                append(mine, 20, begin=100 * writer)
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with psycopg.connect(database_url) as reader:
        links = list(trail.links(reader))
    assert [link.seq for link in links] == list(range(1, 81))
    assert examine(links) == []


def test_readers_do_not_wait_for_a_writer(connection: Connection, database_url: str) -> None:
    append(connection, 1)
    with connection.transaction(), psycopg.connect(database_url, options="-c lock_timeout=1s") as reader:
        trail.append(connection, made(2))
        assert [link.seq for link in trail.links(reader)] == [1]


def test_an_append_is_told_when_it_is_committed(connection: Connection, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN simplicity_audit")
        append(connection, 1)
        assert [each.payload for each in listener.notifies(timeout=10, stop_after=1)] == ["1"]


def test_links_are_given_in_order_from_a_number_on_and_from_the_end(connection: Connection) -> None:
    links = append(connection, 7)

    assert list(trail.links(connection)) == links
    assert list(trail.links(connection, 5)) == links[5:]
    assert list(trail.newest(connection)) == links[::-1]
    assert trail.at(connection, 3) == links[2]
    assert trail.at(connection, 8) is None


def test_a_server_that_goes_while_rows_are_given_is_an_error_and_leaves_no_cursor_open(
    connection: Connection, database_url: str
) -> None:
    append(connection, 2)
    with connection.transaction():
        (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    rows = trail.links(connection)
    next(rows)
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(psycopg.OperationalError):
            rows.close()
        del rows
        gc.collect()
    assert not seen


def test_a_restored_trail_adopts_what_it_lacks_exactly(connection: Connection, empty_database_url: str) -> None:
    from indexer.store.schema import migrate  # noqa: PLC0415 - imports SQLAlchemy, which few tests need

    links = append(connection, 9)
    migrate(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as restored:
        assert trail.adopt(restored, links[:4]) == 4
        assert trail.adopt(restored, links) == 5
        assert trail.adopt(restored, links) == trail.adopt(restored, links[:3]) == trail.adopt(restored, []) == 0
        assert list(trail.links(restored)) == links
        (new,) = append(restored, 1, begin=50)
        assert new.seq == 10


def test_a_long_tail_is_adopted_in_batches(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    links = append(connection, 7)
    with connection.transaction():
        connection.execute("ALTER TABLE ops.audit DISABLE TRIGGER append_only")
        connection.execute("DELETE FROM ops.audit WHERE seq > 1")
        connection.execute("ALTER TABLE ops.audit ENABLE TRIGGER append_only")
    monkeypatch.setattr(trail, "_BATCH", 2)

    assert trail.adopt(connection, links) == 6
    assert list(trail.links(connection)) == links


def test_what_does_not_continue_the_trail_is_not_adopted(connection: Connection) -> None:
    links = append(connection, 9)
    with pytest.raises(ChainError, match="entry 11 does not follow entry 9"):
        trail.adopt(connection, [replace(links[0], seq=11)])
    forge(connection, Kind.REWRITTEN, random.Random(0))
    before = list(trail.links(connection))

    with pytest.raises(ChainError, match="the two went different ways"):
        trail.adopt(connection, links)
    assert list(trail.links(connection)) == before


def test_a_schema_without_the_trail_is_recognised(connection: Connection, empty_database_url: str) -> None:
    assert trail.is_there(connection)
    with psycopg.connect(empty_database_url) as empty:
        assert not trail.is_there(empty)


def test_a_cluster_has_an_id(connection: Connection) -> None:
    assert trail.cluster_id(connection).isdecimal()
    assert len(trail.cluster_id(connection)) == 19


def test_a_reader_role_sees_nothing_of_it(empty_database_url: str) -> None:
    from indexer.store.schema import migrate  # noqa: PLC0415 - as above

    with psycopg.connect(empty_database_url, autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS audit_reader_test")
        owner.execute("CREATE ROLE audit_reader_test LOGIN")
        migrate(empty_database_url, reader_role="audit_reader_test")
        row = owner.execute("SELECT has_table_privilege('audit_reader_test', 'ops.audit', 'SELECT')").fetchone()
        assert row == (False,)
        owner.execute("DROP OWNED BY audit_reader_test")
        owner.execute("DROP ROLE audit_reader_test")
