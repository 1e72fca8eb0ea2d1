"""`simplicity audit` as an operator types it."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from typer.testing import CliRunner

from audit import trail
from audit.chain import Kind
from audit.entry import entry
from indexer.settings import ConfigurationError
from runbooks.audit import listing
from runbooks.cli import app
from tests.audit.forging import forge
from tests.audit.writing import append
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result

    from audit.trail import Connection

    Run = Callable[..., Result]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def anchor_url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/second"


@pytest.fixture
def run(database_url: str, anchor_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a sub-command; settings given as keywords replace those of the environment, None takes one away."""
    monkeypatch.chdir(tmp_path)
    given = {"DATABASE_URL": database_url, "AUDIT_ANCHOR_URL": anchor_url, "COLUMNS": "200"}

    def invoke(*arguments: str, **changes: str | None) -> Result:
        done = CliRunner().invoke(app, ["audit", *arguments], env=given | changes)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return invoke


def listed(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    value: list[dict[str, Any]] = json.loads(done.stdout)
    return value


def add(connection: Connection, action: str, target: str, **more: Any) -> None:  # noqa: ANN401 - fields of an entry
    with connection.transaction():
        trail.append(connection, entry(action, target, **more))


def test_entries_are_shown_the_newest_last(run: Run, connection: Connection) -> None:
    append(connection, 4)

    lines = run("show", "--limit", "2").stdout.splitlines()
    assert lines[0].split() == ["seq", "at", "actor", "origin", "action", "target", "result"]
    assert [line.split()[0] for line in lines[1:]] == ["3", "4"]
    assert "alice" in lines[1]
    newest = listed(run("show", "--json"))[-1]
    assert (newest["seq"], newest["target"], newest["after"]) == (4, "thing 4", {"things": [{"id": 4}]})
    assert len(newest["hash"]) == 64


def test_without_entries_that_is_said(run: Run) -> None:
    assert run("show").stdout == "there are no such entries\n"
    assert listed(run("show", "--json")) == []


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--actor", "bob"), ["two"]),
        (("--action", "auth."), ["one", "two"]),
        (("--action", "keys"), []),
        (("--target", "w"), ["two"]),
        (("--run", "r1"), ["three"]),
        (("--run", "r"), []),
        (("--since", "1h"), ["one", "two", "three"]),
        (("--since", "2026-01-01"), ["old", "one", "two", "three"]),
        (("--since", "1h", "--action", "auth", "--actor", "al"), ["one"]),
        (("--since", "2999-01-01T00:00+02:00"), []),
    ],
)
def test_entries_are_chosen_by_who_what_and_when(
    run: Run, connection: Connection, options: tuple[str, ...], found: list[str]
) -> None:
    add(connection, "auth.keys.create", "old", actor="carol", at="2026-01-05T00:00:00.000000+00:00")
    add(connection, "auth.keys.create", "one", actor="alice")
    add(connection, "auth.keys.revoke", "two", actor="bob")
    add(connection, "runbook.step", "three", actor="carol", run="r1")
    expected = ["old", *found] if options == ("--action", "auth.") else found

    assert [each["target"] for each in listed(run("show", "--json", *options))] == expected


def test_nothing_in_an_entry_plays_with_the_terminal(run: Run, connection: Connection) -> None:
    add(connection, "x", "[bold red]\x1b[31m\u202ered\x07", actor="[link=http://evil]a", origin="o\r\n")

    shown = run("show").stdout
    assert "[bold red]\\x1b[31m\\u202ered\\x07" in shown
    assert "[link=http://evil]a" in shown
    assert "\x1b" not in shown + run("show", "--json").stdout


def test_an_entry_that_cannot_be_read_is_shown_as_such(run: Run, connection: Connection) -> None:
    append(connection, 2)
    with connection.transaction():
        connection.execute("ALTER TABLE ops.audit DISABLE TRIGGER append_only")
        connection.execute("UPDATE ops.audit SET body = 'gone' WHERE seq = 1")

    assert run("show", "--actor", "alice").stdout.splitlines()[1].split() == ["1", "?", "?", "?", "?", "?"]


@pytest.mark.parametrize("text", ["", "yesterday", "24x", "1d2h", "99999999999d", "2026-13-01"])
def test_a_time_that_is_none_is_refused(run: Run, text: str) -> None:
    done = run("show", "--since", text)

    assert done.exit_code == 2
    assert done.stderr.startswith("simplicity: --since")


def test_times_are_read_as_utc() -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)

    assert listing.since("30m", now) == "2026-11-30T11:30:00.000000+00:00"
    assert listing.since("2026-11-30T12:00+02:00", now) == "2026-11-30T10:00:00.000000+00:00"
    assert listing.since("2026-11-30", now) == "2026-11-30T00:00:00.000000+00:00"
    with pytest.raises(ConfigurationError):
        listing.since("-1d", now)


def test_an_intact_trail_is_said_to_be_and_up_to_where_it_is_anchored(run: Run, connection: Connection) -> None:
    append(connection, 3)
    assert run("anchor").stdout == "3 entries copied; anchored up to entry 3\n"
    assert run("anchor").stdout == "0 entries copied; anchored up to entry 3\n"
    done = run("verify")
    assert (done.exit_code, done.stdout) == (0, "the trail is intact: 3 entries\nanchored up to entry 3\n")
    append(connection, 1, begin=4)

    done = run("verify")
    assert done.exit_code == 0
    assert "anchored up to entry 3; what is newer rests on the chain alone" in done.stdout
    assert json.loads(run("verify", "--json").stdout) | {"anchor": ""} == {
        "status": "intact",
        "entries": 4,
        "anchor": "",
        "anchored_to": 3,
        "forgeries": [],
    }


@pytest.mark.parametrize("kind", Kind)
def test_a_forged_trail_is_told_and_each_forgery_named(run: Run, connection: Connection, kind: Kind) -> None:
    append(connection, 9)
    run("anchor")
    expected = forge(connection, kind, random.Random(2))

    done = run("verify")
    assert done.exit_code == 1
    assert f"{expected.seq}" in done.stdout
    assert f" {kind}: " in done.stdout
    assert "the trail was FORGED" in done.stdout
    told = json.loads(run("verify", "--json").stdout)
    assert told["status"] == "forged"
    assert (kind, expected.seq) in [(each["kind"], each["first"]) for each in told["forgeries"]]


def test_a_trail_that_lost_its_anchored_end_is_not_anchored_on(run: Run, connection: Connection) -> None:
    append(connection, 9)
    run("anchor")
    forge(connection, Kind.TRUNCATED, random.Random(2))

    done = run("anchor")
    assert done.exit_code == 1
    assert "entry 9 of the trail is anchored" in done.stderr


def test_without_an_anchor_it_is_said_what_cannot_be_told(run: Run, connection: Connection) -> None:
    append(connection, 5)
    forge(connection, Kind.TRUNCATED, random.Random(1))

    done = run("verify", AUDIT_ANCHOR_URL=None)
    assert done.exit_code == 0
    assert "no anchor was given: that entries were cut off at the end, or the whole chain" in done.stdout


def test_an_anchor_that_holds_nothing_proves_nothing(run: Run, connection: Connection) -> None:
    append(connection, 2)

    done = run("verify")
    assert done.exit_code == 2
    assert "cannot tell: nothing of this trail is anchored at file:///" in done.stdout
    assert json.loads(run("verify", "--json").stdout)["status"] == "unknown"


def test_an_export_is_verified_without_the_database(run: Run, connection: Connection, tmp_path: Path) -> None:
    append(connection, 5)
    run("anchor")
    assert run("export", "-o", "trail.ndjson").stdout == "trail.ndjson: 5 entries\n"
    offline = ("verify", "--file", "trail.ndjson", "--trail", trail.cluster_id(connection))

    assert run(*offline, DATABASE_URL=None).exit_code == 0
    export = tmp_path / "trail.ndjson"
    export.write_bytes(b"".join(export.read_bytes().splitlines(keepends=True)[:-1]))
    done = run(*offline, DATABASE_URL=None)
    assert done.exit_code == 1
    assert "entry 5 truncated" in done.stdout
    assert run("verify", "--file", "trail.ndjson", DATABASE_URL=None).exit_code == 2
    export.write_text("no line\n")
    done = run(*offline, DATABASE_URL=None)
    assert (done.exit_code, done.stderr) == (2, "simplicity: --file trail.ndjson: line 1 is none of an export\n")
    done = run("verify", "--file", "none.ndjson", AUDIT_ANCHOR_URL=None)
    assert (done.exit_code, done.stderr) == (2, "simplicity: --file none.ndjson: No such file or directory\n")


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("verify", "--trail", "a/b"), {}, "--trail: trail 'a/b': must be the id of a database cluster"),
        (("verify", "--anchor", "ftp://x"), {}, "must look like file:///"),
        (("anchor",), {"AUDIT_ANCHOR_URL": None}, "AUDIT_ANCHOR_URL is not set"),
        (("anchor",), {"AUDIT_LOCK_DAYS": "0"}, "AUDIT_LOCK_DAYS: must be 1 to 36500 days"),
        (("show",), {"DATABASE_URL": None}, "DATABASE_URL is not set"),
        (("anchor", "--env-file", "none.env"), {}, "none.env: no such file"),
        (("verify", "--file", "x", "--env-file", "none.env"), {}, "none.env: no such file"),
        (("export", "-o", "none/trail.ndjson"), {}, "--output none/trail.ndjson: No such file or directory"),
    ],
)
def test_what_cannot_work_is_told_in_a_line(
    run: Run, arguments: tuple[str, ...], settings: dict[str, str | None], words: str
) -> None:
    done = run(*arguments, **settings)

    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("command", "code"), [("show", 1), ("verify", 2), ("anchor", 2), ("export", 1)])
def test_a_database_that_is_away_is_told(run: Run, command: str, code: int) -> None:
    rest = ("-o", "trail.ndjson") if command == "export" else ()
    done = run(command, *rest, DATABASE_URL=f"postgresql://u:hunter2@127.0.0.1:{free_port()}/none")

    assert done.exit_code == code
    assert "cannot be reached" in done.stderr
    assert "hunter2" not in done.output


def test_a_database_of_an_earlier_release_is_told(run: Run, empty_database_url: str) -> None:
    done = run("show", DATABASE_URL=empty_database_url)

    assert done.exit_code == 2
    assert "no audit trail yet; run this release's: simplicity sync" in done.stderr


def test_a_damaged_anchor_cannot_tell(run: Run, connection: Connection, tmp_path: Path) -> None:
    append(connection, 2)
    run("anchor")
    (segment,) = (tmp_path / "second").rglob("*.ndjson")
    segment.write_bytes(b"")

    done = run("verify")
    assert done.exit_code == 2
    assert "the anchor is damaged" in done.stderr


def test_settings_may_come_from_a_file(run: Run, connection: Connection, database_url: str, tmp_path: Path) -> None:
    append(connection, 1)
    (tmp_path / "ops.env").write_text(
        f"DATABASE_URL={database_url}\nAUDIT_ANCHOR_URL=file://{tmp_path}/third\nAUDIT_LOCK_DAYS=30\n"
    )
    done = run("anchor", "--env-file", "ops.env", DATABASE_URL=None, AUDIT_ANCHOR_URL=None)

    assert done.exit_code == 0, done.output
    (segment,) = (tmp_path / "third").rglob("*.ndjson")
    assert oct(segment.stat().st_mode & 0o777) == "0o400"


def test_help_names_exit_codes_and_examples(run: Run) -> None:
    for command in ("show", "verify", "export", "anchor"):
        said = " ".join(run(command, "--help").stdout.split())
        assert "Exit code" in said
        assert "Example" in said
