"""The runbook that restarts a service, on a real envelope: also when its own process is killed in the middle."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from infra.environment import load
from infra.local.component import Probe, named
from runbooks.engine.arguments import ArgumentError, parse_arguments
from runbooks.engine.journal import all_runs
from runbooks.engine.model import Context, Unmet
from runbooks.engine.run import Place, RunError, start
from runbooks.engine.state import Standing
from runbooks.maintenance.books.restart_service import RUNBOOK
from runbooks.maintenance.checks import CHECKS
from runbooks.maintenance.looking import CHECKED_BY
from tests.runbooks.engine.support import Entries, Said, environment, place, said, trail
from tests.support.envelope import Throwaway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("restart-service")  # one worker has the envelope

RUN = ("runbook", "run", "restart-service")


@pytest.fixture(scope="module")
def envelope(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Throwaway]:
    made = Throwaway(tmp_path_factory.mktemp("restarted"))
    try:
        made.up()
        yield made
    finally:
        made.run("down")


@pytest.fixture
def here(envelope: Throwaway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """This process as what runs runbooks on the envelope."""
    monkeypatch.setenv("SIMPLICITY_HOME", str(envelope.home))
    document = envelope.layout.environment
    return Place(
        environment=load(document), document=document, runs=tmp_path / "runs", recorder=Entries(), teller=Said()
    )


def _restarted(here: Place, service: str) -> Any:  # noqa: ANN401 - a run
    return start(RUNBOOK, parse_arguments(RUNBOOK.parameters, [f"service={service}"]), here)


def test_a_service_comes_back_by_a_new_process_and_is_healthy(envelope: Throwaway, here: Place) -> None:
    before = envelope.pids()
    ended = _restarted(here, "api-2")
    assert ended.standing is Standing.DONE, ended.sentence
    after = envelope.pids()
    assert ended.facts == {"pid_before": before["api-2"], "pid_after": after["api-2"]}
    assert [name for name in before if before[name] != after[name]] == ["api-2"]
    assert any(line.startswith("verified: ") and "api is healthy" in line for line in said(here).lines)
    (entry,) = [entry for entry in trail(here).all if entry.action == "service.restart"]
    assert (entry.target, entry.before, entry.after) == ("api-2 on local", before["api-2"], after["api-2"])


def test_a_service_without_a_check_of_its_own_has_its_probe(here: Place) -> None:
    ended = _restarted(here, "traffic")
    assert ended.standing is Standing.DONE, ended.sentence
    assert any("traffic has no check of its own" in line for line in said(here).lines)


def test_a_run_killed_in_the_middle_of_the_restart_is_resumed_and_restarts_it_once(envelope: Throwaway) -> None:
    before = envelope.pids()["valkey"]
    begun = envelope.begin(*RUN, "--arg", "service=valkey")
    envelope.wait(lambda: bool(list(envelope.home.glob("runs/*/files/operations/*.json"))), within=60)
    begun.kill()
    begun.communicate()
    done = envelope.run("runbook", "resume", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["facts"] == {"pid_before": before, "pid_after": envelope.pids()["valkey"]}
    again = envelope.run("runbook", "resume")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1), "nothing is left to go on with"
    (run,) = all_runs(envelope.home / "runs")
    assert run.standing is Standing.DONE


def test_a_dry_run_looks_and_restarts_nothing(envelope: Throwaway) -> None:
    before = envelope.pids()
    done = envelope.run(*RUN, "--arg", "service=api-1", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "api-1: running" in done.stdout
    assert "restart: would: Stop the service and start it again" in done.stdout
    assert envelope.pids() == before


def test_a_service_that_does_not_come_back_fails_the_run_with_its_hint(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbooks.drivers.local_services.judged", lambda *_: Probe(ready=False, detail="says no"))
    hurried = [replace(component, ready_seconds=1.0) for component in named("prometheus")]
    monkeypatch.setattr("runbooks.drivers.local_services.named", lambda _: tuple(hurried))
    ended = _restarted(here, "prometheus")
    assert ended.standing is Standing.FAILED
    assert "prometheus is not ready after" in ended.why
    assert "says no; " in ended.why
    assert "restart" not in ended.facts


def test_only_services_of_the_envelope_can_be_named() -> None:
    for text in ("everything", "api-1;reboot", "../api-1", ""):
        with pytest.raises(ArgumentError, match=r"has to be one of .*postgresql"):
            parse_arguments(RUNBOOK.parameters, [f"service={text}"])
    with pytest.raises(ArgumentError, match="is required"):
        parse_arguments(RUNBOOK.parameters, [])
    assert set(CHECKED_BY.values()) <= set(CHECKS)


def test_the_document_of_another_envelope_stops_it_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing was done: this document is of the envelope with the socket None"):
        _restarted(place(tmp_path / "runs"), "api-1")


def test_no_envelope_stops_it_before_anything_is_done(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbooks.drivers.local_services.existing", lambda _: None)
    with pytest.raises(RunError, match="nothing was done: the envelope is not up; `simplicity up` starts it"):
        _restarted(here, "api-1")


def test_a_service_that_was_not_restarted_yet_does_not_count_as_back(here: Place, tmp_path: Path) -> None:
    (step,) = RUNBOOK.steps
    arguments = {"service": "api-1"}
    context = Context(environment=here.environment, arguments=arguments, run="r", folder=tmp_path, step="restart")
    with pytest.raises(Unmet, match="api-1 has not been restarted yet"):
        step.check(context)


def test_a_service_that_is_unhealthy_keeps_verify_asking(tmp_path: Path) -> None:
    (look,) = RUNBOOK.verify
    context = Context(environment=environment(), arguments={"service": "sync"}, run="r", folder=tmp_path)
    with pytest.raises(Unmet, match="sync is unhealthy"):
        look.see(context)
