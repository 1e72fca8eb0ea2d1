"""A run's entries reach the real trail, and a database that is away costs no more than a moment."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from rich.console import Console

from infra.environment import Database, SecretReference
from runbooks.engine.journal import JOURNAL, read_events
from runbooks.engine.model import Halt
from runbooks.engine.run import resume, start
from runbooks.engine.state import Standing
from runbooks.engine.telling import Lines, Terminal, plain
from runbooks.engine.wiring import place_of, recorder_of
from tests.runbooks.engine.support import Said, book, environment, step

if TYPE_CHECKING:
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.engine.model import Context


def _of(url: str, password: Path) -> Environment:
    where = conninfo_to_dict(url)
    database = Database(
        host=str(where["host"]),
        port=int(str(where["port"])),
        name=str(where["dbname"]),
        writer_role=str(where["user"]),
        reader_role="r",
    )
    password.write_text(str(where.get("password") or "none"))
    bare = environment()
    return bare.model_copy(
        update={
            "endpoints": bare.endpoints.model_copy(update={"database": database}),
            "secrets": {"database_writer_password": SecretReference(source="file", name=str(password))},
        }
    )


def test_every_entry_of_a_run_is_in_the_trail_once(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    broken = True

    def act(context: Context) -> None:
        context.record("test.changed", "it", before=1, after={"password": "hunter2"})
        if broken:
            raise Halt("broken; mend it")

    here = place_of(_of(database_url, tmp_path / "password"), tmp_path / "environment.json", Said())
    runbook = book(step("only", act=act, check=lambda context: f"{context.facts['a']}"))
    failed = start(runbook, {}, here)
    broken = False
    assert resume(book(step("only", act=act)), failed, here).standing is Standing.DONE
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT body::json ->> 'action', body::json ->> 'result' FROM ops.audit ORDER BY seq"
        ).fetchall()
        assert rows == [
            ("runbook.run", "begun"),
            ("runbook.step", "begun"),
            ("test.changed", "done"),
            ("runbook.step", "failed: broken; mend it"),
            ("runbook.run", "failed: only: broken; mend it"),
            ("runbook.run", "begun"),
            ("runbook.step", "begun"),
            ("test.changed", "done"),
            ("runbook.step", "done"),
            ("runbook.run", "done"),
        ]
        assert connection.execute("SELECT 1 FROM ops.audit WHERE body LIKE '%hunter2%'").fetchone() is None


def test_a_run_goes_on_without_its_database_and_the_entries_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    here = place_of(environment(), tmp_path / "environment.json", Said())
    began = time.monotonic()
    ended = start(book(), {}, here)
    assert ended.standing is Standing.DONE
    assert time.monotonic() - began < 5
    waiting = (here.runs / "audit-spool-made-up.ndjson").read_text().splitlines()
    kinds = [each.kind for each in read_events(here.runs / ended.id / JOURNAL)]
    assert (len(waiting), len(kinds)) == (4, 6)


def test_entries_of_one_environment_never_wait_with_those_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    for name in ("one", "../two"):
        start(book(), {}, place_of(environment(name), tmp_path / "environment.json", Said()))
    spools = sorted(path.name for path in (tmp_path / "home/runs").glob("audit-spool-*"))
    assert spools == ["audit-spool-..%2Ftwo.ndjson", "audit-spool-one.ndjson"]


def test_a_secret_that_is_not_to_be_had_is_a_database_that_is_away(tmp_path: Path) -> None:
    recorder = recorder_of(environment(), tmp_path / "spool.ndjson")
    with pytest.raises(psycopg.OperationalError, match="names no secret 'database_writer_password'"):
        recorder._connect()  # type: ignore[attr-defined]  # noqa: SLF001 - what it was given


def test_a_terminals_bar_goes_before_the_next_line_and_shows_no_markup_of_others() -> None:
    shown = io.StringIO()
    teller = Terminal(Console(file=shown, force_terminal=True, width=100))
    for done in (1, 2):
        teller.progress(done, 2, "[red]bytes\x07")
    teller.say("a [red]line\x1b]0;title\x07")
    teller.progress(1, 2, "more")
    teller.end()
    teller.end()
    assert "a [red]line\N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER}\n" in shown.getvalue()
    assert "(red)bytes\N{REPLACEMENT CHARACTER}" in shown.getvalue()


def test_lines_tell_progress_now_and_then_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Lines(err=True)
    for done in range(1, 101):
        teller.progress(done, 100, "bytes")
    assert capsys.readouterr().err.splitlines() == ["  bytes: 1 %", "  bytes: 100 %"]


def test_what_is_shown_loses_passwords_and_what_moves_the_cursor() -> None:
    assert plain("postgresql://a:hunter2@b/c\x1b[2J\nnext") == "postgresql://b/c\N{REPLACEMENT CHARACTER}[2J\nnext"
