"""Answers on a real envelope: every one can be tried, and those to a process that hangs, to a session that idles and
to a backup that is missing put it right."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from infra.environment import load
from runbooks.engine.arguments import parse_arguments
from runbooks.engine.dry import dry_run
from runbooks.engine.registry import runbooks
from runbooks.engine.run import Place, start
from runbooks.engine.state import Standing
from runbooks.response import looks
from runbooks.response.answers import ALERTS
from runbooks.response.database import connected, logins, sessions
from runbooks.response.prometheus import ask
from tests.runbooks.engine.support import Entries, Said, said, trail
from tests.support.envelope import Throwaway, own_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.environment import Environment

pytestmark = [
    pytest.mark.proof,  # minutes: each answer waits until its alert is over
    pytest.mark.xdist_group("response"),  # one worker has the envelope
    pytest.mark.timeout(300),
]

BOOKS = runbooks(("runbooks.response.books",))
SCRAPED_SECONDS = 30.0


@pytest.fixture(scope="module")
def envelope(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Throwaway]:
    made = Throwaway(tmp_path_factory.mktemp("answered"), settings=own_ports())
    try:
        made.up("--rate", "4")
        yield made
    finally:
        made.run("reset", "--yes")


@pytest.fixture
def here(envelope: Throwaway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """This process as what runs runbooks on the envelope."""
    monkeypatch.setenv("SIMPLICITY_HOME", str(envelope.home))
    document = envelope.layout.environment
    return Place(
        environment=load(document), document=document, runs=tmp_path / "runs", recorder=Entries(), teller=Said()
    )


def _answered(here: Place, name: str, *arguments: str) -> Any:  # noqa: ANN401 - a run
    return start(BOOKS[name], parse_arguments(BOOKS[name].parameters, arguments), here)


def _scraped(environment: Environment) -> None:
    """Wait until Prometheus has seen the API: it begins to scrape seconds after its start."""
    deadline = time.monotonic() + SCRAPED_SECONDS
    while not ask(environment, 'up{job="api",HERE} == 1'):
        assert time.monotonic() < deadline, f"nothing was scraped within {SCRAPED_SECONDS} s"
        time.sleep(0.2)


@pytest.mark.parametrize("name", ["answer-api-down", "answer-database-pressure", "answer-state-mismatch"])
def test_a_dry_run_sees_what_the_answer_looks_at_and_changes_nothing(
    name: str, envelope: Throwaway, here: Place
) -> None:
    _scraped(here.environment)
    book, before = BOOKS[name], envelope.pids()
    planned = list(dry_run(book, parse_arguments(book.parameters, []), here.environment, here.teller))
    assert [each.name for each in planned if each.part == "step"] == [step.name for step in book.steps]
    assert not [each.sentence for each in planned if each.stops]
    looked = [each for each in planned if each.carried_out]
    assert not [each.sentence for each in looked if "cannot be told" in each.text]
    assert "no such alert is firing" in looked[0].text or " is " in looked[0].text
    assert envelope.pids() == before


@pytest.mark.parametrize("name", ALERTS)
def test_an_answer_to_what_is_well_sees_all_of_it_and_restarts_nothing(
    name: str, envelope: Throwaway, here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The machine that runs the tests may be busy, and there is no backup yet: alerts may fire for good reasons.
    monkeypatch.setattr(looks, "active", lambda *_: [])
    _scraped(here.environment)
    before, spared = (
        envelope.pids(),
        {"answer-backup-too-old": ("make=no", "prove=no"), "answer-wal-archiving": ("make=no",)},
    )
    ended = _answered(here, name, *spared.get(name, ()))
    assert ended.standing is Standing.DONE, ended.sentence
    assert envelope.pids() == before
    assert not [line for line in said(here).lines if "cannot be told" in line]
    if "evidence" in ended.facts:
        assert json.loads(Path(ended.facts["evidence"]).read_text())


def test_a_process_of_the_api_that_hangs_is_replaced(envelope: Throwaway, here: Place) -> None:
    before = envelope.pids()
    os.kill(before["api-1"], signal.SIGSTOP)
    ended = _answered(here, "answer-api-down")
    assert ended.standing is Standing.DONE, ended.sentence
    after = envelope.pids()
    assert ended.facts["restart"] == {"api-1": {"before": before["api-1"], "after": after["api-1"]}}
    assert [name for name in before if before[name] != after[name]] == ["api-1"]
    assert [entry.target for entry in trail(here).all if entry.action == "service.restart"] == ["api-1 on local"]


def test_a_session_that_idles_in_a_transaction_is_ended_and_others_are_not(here: Place) -> None:
    database = here.environment.endpoints.database
    with connected(here.environment, database.reader_role) as idle:
        idle.execute("BEGIN")
        idle.execute("SELECT 1")
        pid = idle.info.backend_pid
        time.sleep(1.1)
        ended = _answered(here, "answer-database-pressure", "older-than=1s", "alert=LongTransaction")
        assert ended.standing is Standing.DONE, ended.sentence
        assert [each["pid"] for each in ended.facts["ended"]] == [pid]
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    assert pid not in {each.pid for each in sessions(here.environment)}
    before: list[Any] = [entry.before for entry in trail(here).all if entry.action == "database.session.end"]
    assert [each["pid"] for each in before] == [pid]


def test_a_missing_backup_is_made_and_proven_and_nothing_of_the_proof_is_left(envelope: Throwaway, here: Place) -> None:
    ended = _answered(here, "answer-backup-too-old")
    assert ended.standing is Standing.DONE, ended.sentence
    assert ended.facts["proven"] == ended.facts["backup"]
    listed = envelope.run("backup", "list", "--json")
    assert f'"id": "{ended.facts["backup"]}"' in listed.stdout
    assert '"proven": true' in listed.stdout
    assert not list((envelope.home / "restored").glob("*"))


def test_a_password_that_the_database_refuses_is_set_anew_by_its_start(envelope: Throwaway, here: Place) -> None:
    database = here.environment.endpoints.database
    with connected(here.environment, database.reader_role) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD 'another'").format(sql.Identifier(database.reader_role)))
    assert logins(here.environment)[database.reader_role]
    ended = _answered(here, "answer-database-down")
    assert ended.standing is Standing.DONE, ended.sentence
    assert list(ended.facts["restart"]) == ["postgresql"]
    assert not any(logins(here.environment).values())
    assert envelope.is_up()


def test_a_row_that_somebody_changed_is_found_and_indexed_anew(envelope: Throwaway, here: Place) -> None:
    database = here.environment.endpoints.database
    with connected(here.environment, database.writer_role) as connection:
        row = connection.execute(
            "UPDATE index.blocks SET state_hash = sha256(state_hash)"
            " WHERE height = (SELECT tip_height - 5 FROM index.chain) RETURNING height"
        ).fetchone()
    assert row is not None
    ended = _answered(here, "answer-state-mismatch", "mend=yes")
    assert ended.standing is Standing.DONE, ended.sentence
    assert (ended.facts["consistent"], ended.facts["wrong_from"]) == (False, row[0])
    assert f"kept up to block {row[0] - 1}" in ended.facts["mended"]
    verified = envelope.run("state", "verify", f"--env-file={envelope.layout.env_file}")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_key_that_leaked_is_revoked(envelope: Throwaway, here: Place) -> None:
    env_file = f"--env-file={envelope.layout.env_file}"
    made = json.loads(
        envelope.run("auth", "keys", "create", "--name=leaked", "--role=reader", env_file, "--json").stdout
    )
    key = made["key"].split("_")[1]
    ended = _answered(here, "answer-security", f"key={key}", "alert=FailedLogins")
    assert ended.standing is Standing.DONE, ended.sentence
    assert ended.facts["revoked"] == "leaked"
    assert made["key"] not in str(ended.facts) + said(here).text
    listed = json.loads(envelope.run("auth", "keys", "list", env_file, "--json").stdout)
    assert [each["revoked_at"] is not None for each in listed if key in json.dumps(each)] == [True]


def test_a_forged_trail_is_kept_as_evidence_and_not_copied(here: Place) -> None:
    database = here.environment.endpoints.database
    with connected(here.environment, database.writer_role) as connection:
        connection.execute("ALTER TABLE ops.audit DISABLE TRIGGER USER")
        row = connection.execute("SELECT seq, body FROM ops.audit ORDER BY seq LIMIT 1").fetchone()
        assert row is not None
        try:
            connection.execute("UPDATE ops.audit SET body = %s WHERE seq = %s", (row[1].replace("a", "b"), row[0]))
            ended = _answered(here, "answer-audit-mismatch")
        finally:
            connection.execute("UPDATE ops.audit SET body = %s WHERE seq = %s", (row[1], row[0]))
            connection.execute("ALTER TABLE ops.audit ENABLE TRIGGER USER")
    assert ended.standing is Standing.FAILED
    assert "the trail contradicts its copy, nothing is copied" in ended.why
    kept = {each.name for each in here.runs.glob("*/files/*.ndjson")}
    assert kept == {"trail.ndjson", "copy.ndjson"}
