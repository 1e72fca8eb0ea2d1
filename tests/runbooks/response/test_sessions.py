"""Sessions and tables of a real database: which are chosen, and how they are ended."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, LiteralString
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from runbooks.engine.model import Halt, Unmet
from runbooks.response.books.database import PRESSURE
from runbooks.response.database import Refusal, Session, Table, end, figures, logins, sessions, tables
from runbooks.response.sessions import chosen, gather_database, see_sessions
from tests.runbooks.response.support import carried_out, context, step_of, with_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.engine.model import Context

WRITER, READER, OTHER = "answers_writer", "answers_reader", "answers_other"
CHOOSE, END, VACUUM = (step_of(PRESSURE, name) for name in ("choose-sessions", "end-sessions", "vacuum"))


@pytest.fixture
def here(empty_database_url: str, tmp_path: Path) -> Environment:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        for role in (WRITER, READER, OTHER):
            connection.execute(
                sql.SQL("DO $$ BEGIN CREATE ROLE {} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$").format(
                    sql.Identifier(role)
                )
            )
        name = urlsplit(empty_database_url).path[1:]
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(WRITER))
        )
    return with_database(empty_database_url, tmp_path, writer=WRITER, reader=READER)


@contextmanager
def at_work(
    here: Environment, role: str, *statements: LiteralString
) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A session in a transaction."""
    where = here.endpoints.database
    connection = psycopg.connect(host=where.host, port=where.port, dbname=where.name, user=role)
    try:
        for statement in statements:
            connection.execute(statement)
        yield connection
    finally:
        connection.close()


def _ended(at: Context) -> tuple[Any, str]:
    """What came of choosing sessions and ending them."""
    facts, _ = carried_out(CHOOSE, at)
    return carried_out(END, replace(at, facts=facts))


def _session(pid: int, **parts: Any) -> Session:  # noqa: ANN401 - any part of a session
    usual: dict[str, Any] = {
        "role": "r",
        "application": "",
        "client": "",
        "state": "idle in transaction",
        "began": "2026-01-01",
        "in_transaction": 100.0,
        "in_state": 100.0,
        "waits_for": "",
        "query": "",
        "blocked_by": [],
    }
    return Session(pid=pid, **(usual | parts))


def test_who_idles_long_enough_is_chosen_and_of_those_that_block_the_first() -> None:
    there = [
        _session(1),
        _session(2, in_state=1.0, in_transaction=1.0),
        _session(3, state="active", blocked_by=[1]),
        _session(4, state="active", blocked_by=[3]),
        _session(5, state="idle in transaction (aborted)"),
        _session(6, state=""),
    ]

    def pids(asked: str, older_than: float = 60.0) -> list[int]:
        return [each.pid for each in chosen(there, asked, older_than)]

    assert pids("idle") == [1, 5]
    assert pids("blocking") == [1]
    assert pids("blocking", 1_000.0) == []
    assert (pids("none"), pids("4"), pids("99")) == ([], [4], [])


def test_a_session_of_any_role_of_the_document_is_seen_and_ended_and_another_ones_is_left(
    here: Environment, tmp_path: Path
) -> None:
    arguments = {"end": "idle", "older-than": 1}
    with at_work(here, WRITER, "SELECT 1") as one, at_work(here, READER, "SELECT 1") as two:
        with at_work(here, OTHER, "SELECT 1") as hidden:
            time.sleep(1.1)
            at = context(here, tmp_path, arguments=arguments)
            assert f"pid {one.info.backend_pid} of {WRITER}" in see_sessions(at)
            facts, seen = _ended(at)
            assert {each["pid"] for each in facts["ended"]} == {one.info.backend_pid, two.info.backend_pid}
            assert "what they had not committed is rolled back" in seen
            assert hidden.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError):
            one.execute("SELECT 1")
    _, seen = _ended(context(here, tmp_path, arguments=arguments, attempt=2))
    assert seen == "there is no such session"


def test_who_holds_the_lock_is_ended_and_who_waits_goes_on(here: Environment, tmp_path: Path) -> None:
    with at_work(here, WRITER, "CREATE TABLE t (n int)") as made:
        made.commit()
        made.execute("LOCK t")
        with at_work(here, WRITER) as waits:
            waiting = waits.pgconn
            waiting.send_query(b"SELECT count(*) FROM t")
            deadline = time.monotonic() + 10
            while not any(each.blocked_by for each in sessions(here)):
                assert time.monotonic() < deadline
            facts, _ = _ended(context(here, tmp_path, arguments={"end": "blocking", "older-than": 0}))
            assert [each["pid"] for each in facts["ended"]] == [made.info.backend_pid]
            answer = waiting.get_result()
            assert answer is not None
            assert answer.get_value(0, 0) == b"0"


def test_a_session_of_a_role_without_a_password_here_is_named_for_a_superuser(
    here: Environment, tmp_path: Path
) -> None:
    with at_work(here, OTHER, "SELECT 1") as hidden:
        pid = hidden.info.backend_pid
        at = context(here, tmp_path, step="end-sessions", arguments={"end": str(pid), "older-than": 1})
        with pytest.raises(Halt, match=rf"of {OTHER} cannot be ended: .*SELECT pg_terminate_backend\({pid}\)"):
            _ended(at)


def test_only_sessions_that_were_put_down_are_ended(here: Environment, tmp_path: Path) -> None:
    at = context(here, tmp_path, arguments={"end": "idle", "older-than": 0})
    with pytest.raises(Halt, match="begin at the step choose-sessions"):
        END.act(at)
    assert carried_out(CHOOSE, at)[1] == "there is no session to end"
    with at_work(here, WRITER, "SELECT 1") as one:
        facts, seen = carried_out(CHOOSE, at)
        assert seen.startswith(f"to be ended, and no other:\n  pid {one.info.backend_pid} of {WRITER}")
        with at_work(here, READER, "SELECT 1") as later:
            ended, _ = carried_out(END, replace(at, facts=facts))
            assert [each["pid"] for each in ended["ended"]] == [one.info.backend_pid]
            assert later.execute("SELECT 1").fetchone() == (1,)


def test_a_number_that_is_another_sessions_by_now_is_left_alone(here: Environment) -> None:
    with at_work(here, WRITER, "SELECT 1") as busy:
        pid = busy.info.backend_pid
        assert not end(here, {"pid": pid, "began": "2020-01-01T00:00:00+00:00", "role": WRITER})
        (seen,) = [each for each in sessions(here) if each.pid == pid]
        still = context(here, _folder(), facts={"ended": [{"pid": pid, "began": seen.began, "role": WRITER}]})
        with pytest.raises(Unmet, match=f"still there: {pid}"):
            END.check(still)
        assert end(here, {"pid": pid, "began": seen.began, "role": WRITER})


def _folder() -> Path:
    from pathlib import Path  # noqa: PLC0415 - a path that nothing is written to

    return Path("/nonexistent")


def test_dead_rows_are_vacuumed_unless_an_older_transaction_needs_them(here: Environment, tmp_path: Path) -> None:
    at = context(here, tmp_path, arguments={"vacuum": "needed", "end": "none", "older-than": 1})
    with at_work(here, WRITER, "CREATE TABLE dead (n int) WITH (autovacuum_enabled = off)") as connection:
        connection.execute("INSERT INTO dead SELECT generate_series(1, 3000)")
        connection.commit()
        with at_work(here, WRITER, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ") as older:
            older.execute("SELECT count(*) FROM dead")
            connection.execute("UPDATE dead SET n = n + 1")
            connection.commit()
            _told(here, "dead")
            facts = VACUUM.act(at)
            assert facts == {"vacuumed": ["public.dead"]}
            with pytest.raises(Unmet, match=r"public.dead has \d+ dead rows, .*an older transaction may need them"):
                VACUUM.check(context(here, tmp_path, arguments=at.arguments, facts=facts))
        facts, seen = carried_out(VACUUM, at)
        assert (facts["vacuumed"], seen) == (["public.dead"], "vacuumed: public.dead")
    assert carried_out(VACUUM, at)[1] == "no table needs it"
    assert carried_out(VACUUM, context(here, tmp_path, arguments={"vacuum": "none"}))[1] == "no table needs it"


def _told(here: Environment, name: str) -> Table:
    """Wait until the database's statistics tell of a table's dead rows."""
    deadline = time.monotonic() + 20
    while True:
        for each in tables(here):
            if each.name == name and each.needs_vacuum:
                return each
        assert time.monotonic() < deadline, "no dead rows are told"
        time.sleep(0.1)


def test_old_rows_need_a_vacuum_before_the_server_does_it_by_itself() -> None:
    def table(age: int, dead: int = 0) -> Table:
        return Table(schema="s", name="t", live=10, dead=dead, last_autovacuum="never", age=age, freeze_at=100)

    assert [table(50).needs_vacuum, table(51).needs_vacuum, table(0, 1_001).needs_vacuum] == [False, True, True]


def test_the_evidence_has_sessions_tables_and_the_servers_figures(here: Environment, tmp_path: Path) -> None:
    with at_work(here, WRITER, "SELECT 'a query'") as busy:
        found: Any = gather_database(context(here, tmp_path))
        assert busy.info.backend_pid in [each["pid"] for each in found["sessions"]]
    assert figures(here)["connections"] >= 1
    gone = logins(here).pop("gone")
    assert logins(here) == {WRITER: None, READER: None, "gone": gone}
    assert gone is not None
    assert (gone.kind, gone.secret) == (Refusal.PASSWORD, "database_backup_password"), "a start makes the role"


def test_a_role_that_has_no_connection_left_or_may_not_log_in_is_told_from_a_wrong_password(
    here: Environment, empty_database_url: str
) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        name, reader = sql.Identifier(urlsplit(empty_database_url).path[1:]), sql.Identifier(READER)
        connection.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 0").format(name))
        try:
            connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(reader))
            found = logins(here)
        finally:
            connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(reader))
    assert {role: each.kind for role, each in found.items() if each} == {
        WRITER: Refusal.FULL,
        READER: Refusal.OTHER,
        "gone": Refusal.PASSWORD,
    }


def test_a_database_that_is_away_is_one_line(here: Environment, tmp_path: Path) -> None:
    away = here.endpoints.database.model_copy(update={"port": 9})
    gone = here.model_copy(update={"endpoints": here.endpoints.model_copy(update={"database": away})})
    at = context(gone, tmp_path, step="end-sessions", arguments={"end": "idle", "older-than": 1, "vacuum": "needed"})
    with pytest.raises(Halt, match="the sessions cannot be seen: "):
        CHOOSE.act(at)
    with pytest.raises(psycopg.OperationalError):
        sessions(gone)
    assert {each.kind for each in logins(gone).values() if each} == {Refusal.OTHER}
    with pytest.raises(Halt, match="cannot vacuum: "):
        VACUUM.act(at)
    bare = gone.model_copy(update={"secrets": {}})
    assert {each.kind for each in logins(bare).values() if each} == {Refusal.SECRET}
    assert all("names no secret" in str(each) for each in logins(bare).values())
