"""`simplicity runbook` as a person and as a machine use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from runbooks.engine import command, registry
from runbooks.engine.cli import app
from runbooks.engine.journal import all_runs
from runbooks.engine.state import Standing
from tests.runbooks.engine.support import environment

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

BOOKS = ("tests.runbooks.engine.books",)
PROGRAM = f"from runbooks.engine import registry; registry.BOOKS = {BOOKS}; from runbooks.cli import main; main()"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an environment whose database is away, and the test's runbooks."""
    environment().save(tmp_path / "environment.json")
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SIMPLICITY_ENVIRONMENT", str(tmp_path / "environment.json"))
    monkeypatch.setattr(registry, "BOOKS", BOOKS)
    return tmp_path / "home"


def _do(*arguments: str, **options: Any) -> Result:  # noqa: ANN401 - the runner's
    return CliRunner().invoke(app, arguments, **options)


@pytest.mark.usefixtures("home")
def test_the_list_names_every_runbook_and_what_destroys() -> None:
    done = _do("list")
    assert (done.exit_code, done.output.count("yes, asks first")) == (0, 1)
    names = [row["name"] for row in json.loads(_do("list", "--json").stdout)]
    assert names == ["risky", "steady", "unsure", "unwanted"]


@pytest.mark.usefixtures("home")
def test_a_page_is_raw_in_a_pipe_rendered_on_a_terminal_and_an_object_for_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = _do("show", "steady").stdout
    assert raw.startswith("# Do what is made up\n")
    assert json.loads(_do("show", "steady", "--json").stdout) == {"name": "steady", "page": raw}
    monkeypatch.setattr("runbooks.engine.cli.is_terminal", lambda: True)
    assert "## Meaning" not in _do("show", "steady").stdout
    missing = _do("show", "nothing")
    assert (missing.exit_code, missing.stderr) == (
        2,
        "simplicity: there is no runbook 'nothing'; there are risky, steady, unsure, unwanted\n",
    )


def test_a_run_tells_how_it_goes_and_what_it_came_to(home: Path) -> None:
    done = _do("run", "steady")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "How it is: as it should be"
    assert "  [bold]halves: 50 %" in lines
    assert lines[-2].endswith("is done")
    assert lines[-1] == "  done: only"
    (run,) = all_runs(home / "runs")
    assert run.id in lines[-2]


@pytest.mark.usefixtures("home")
def test_a_machine_gets_one_object_and_the_rest_goes_to_standard_error() -> None:
    done = _do("run", "steady", "--arg", "how=fails", "--json")
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["standing"], answer["left"]) == (1, "failed", ["only"])
    assert answer["next"] == f"simplicity runbook resume {answer['run']}, or undo {answer['run']}"
    assert "FAILED: only: it is [red]broken\N{REPLACEMENT CHARACTER}[31m; mend it" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nothing"], 2, "there is no runbook 'nothing'"),
        (["steady", "--arg", "how=nonsense"], 2, "argument how: has to be one of well, fails, hangs"),
        (["steady", "--arg", "how=$(reboot)"], 2, "argument how: has to be one of"),
        (["steady", "--arg", "--yes=1"], 2, "argument '--yes': not one of"),
        (["steady", "--from", "nowhere"], 2, "steady has no step 'nowhere'; there are only"),
        (["steady", "--environment", "/nowhere.json"], 2, "/nowhere.json: no environment here"),
        (["unwanted"], 1, "nothing was done: nothing is wrong here; leave it alone"),
        (["unwanted", "--dry-run"], 1, "a run would stop here: nothing was done"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_an_exit_code(
    home: Path, arguments: list[str], code: int, says: str
) -> None:
    done = _do("run", *arguments)
    assert (done.exit_code, done.stderr.count("\n")) == (code, 1), done.output
    assert says in done.stderr
    assert not list(all_runs(home / "runs"))


def test_an_unfinished_run_is_in_the_way_until_it_is_gone_on_with_or_taken_back(home: Path) -> None:
    _do("run", "steady", "--arg", "how=fails")
    (run,) = all_runs(home / "runs")
    blocked = _do("run", "risky", "--yes")
    assert blocked.exit_code == 3
    assert f"simplicity runbook resume {run.id}, or undo {run.id} first" in blocked.stderr
    assert _do("resume").exit_code == 1, "it fails again"
    listed = _do("runs", "--unfinished").stdout
    assert run.id in listed
    assert "failed" in listed
    assert f"go on with: simplicity runbook resume {run.id}" in listed
    undone = _do("undo", run.id, "--json")
    assert (undone.exit_code, json.loads(undone.stdout)["standing"]) == (0, "undone")
    assert _do("run", "steady").exit_code == 0
    assert [row["standing"] for row in json.loads(_do("runs", "--json").stdout)] == ["undone", "done"]
    assert len(json.loads(_do("runs", "--json", "--limit", "1").stdout)) == 1


@pytest.mark.usefixtures("home")
def test_a_failure_of_a_runbook_that_undoes_itself_has_its_own_exit_code() -> None:
    done = _do("run", "unsure")
    assert done.exit_code == 4
    assert "is undone: something earlier is missing" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["resume"], "no run is unfinished"),
        (["undo"], "no run is unfinished"),
        (["resume", "nonsense\x1b"], "there is no run 'nonsense"),
        (["close", "nonsense", "--why", "by hand"], "there is no run 'nonsense'"),
        (["close", "nonsense", "--why", " "], "say what was put right"),
        (["close", "nonsense", "--why", "a\nb"], "say what was put right"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_run_that_is_not_there_is_no_run(arguments: list[str], says: str) -> None:
    done = _do(*arguments)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert says in done.stderr


def test_of_several_unfinished_runs_one_has_to_be_named(home: Path, tmp_path: Path) -> None:
    environment("other").save(tmp_path / "other.json")
    _do("run", "steady", "--arg", "how=fails")
    _do("run", "steady", "--arg", "how=fails", "--environment", str(tmp_path / "other.json"))
    first, second = all_runs(home / "runs")
    done = _do("resume")
    assert done.exit_code == 2
    assert f"name one of the unfinished runs: {first.id}, {second.id}" in done.stderr
    # Its own document is found without naming it, whatever the variable says.
    other = next(run for run in (first, second) if run.environment == "other")
    assert _do("undo", other.id, env={"SIMPLICITY_ENVIRONMENT": ""}).exit_code == 0
    wrong = _do("undo", next(run.id for run in (first, second) if run is not other), "--environment", "/other.json")
    assert wrong.exit_code == 2


def test_a_run_put_right_by_hand_is_closed_and_its_target_free(home: Path) -> None:
    _do("run", "steady", "--arg", "how=fails")
    (run,) = all_runs(home / "runs")
    assert _do("close", run.id, "--why", "mended it").exit_code == 0
    (run,) = all_runs(home / "runs")
    assert (run.standing, run.why) == (Standing.CLOSED, "mended it")
    again = _do("resume", run.id)
    assert (again.exit_code, "nothing to go on with" in again.stderr) == (2, True)


def test_a_dry_run_reads_says_the_rest_and_changes_nothing(home: Path) -> None:
    done = _do("run", "risky", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "measure: 7 bytes" in done.stdout
    assert "destroy: would (DESTROYS): Do destroy; goes on only when: destroy holds" in done.stdout
    parts = json.loads(_do("run", "risky", "--dry-run", "--json", "--from", "destroy").stdout)["dry_run"]
    assert [(part["part"], part["carried_out"]) for part in parts] == [
        ("diagnosis", True),
        ("step", False),
        ("verify", False),
    ]
    assert "lost: cannot be told in a dry run: something earlier" in _do("run", "unsure", "--dry-run").stdout
    assert not (home / "runs").exists()


def test_what_destroys_is_not_done_without_a_yes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = _do("run", "risky")
    assert (done.exit_code, done.stderr) == (1, "simplicity: nothing was done; repeat it with --yes\n")
    assert "measure: 7 bytes" in done.stdout, "a dry run was shown"
    monkeypatch.setattr(command, "may_ask", lambda: True)
    assert _do("run", "risky", input="n\n").exit_code == 1
    assert not (home / "runs").exists()
    asked = _do("run", "risky", input="y\n")
    assert asked.exit_code == 0
    assert "risky destroys something. Carry it out?" in asked.stderr
    assert _do("run", "risky", "--yes").exit_code == 0


@pytest.mark.usefixtures("home")
def test_what_its_arguments_spare_is_not_asked_for() -> None:
    planned = _do("run", "risky", "--dry-run").stdout
    spared = _do("run", "risky", "--dry-run", "--arg", "wanted=no").stdout
    assert ("would (DESTROYS): Do destroy" in planned, "would: Do destroy" in spared) == (True, True)
    done = _do("run", "risky", "--arg", "wanted=no")
    assert done.exit_code == 0, done.output
    assert "dry run" not in done.stdout


@pytest.mark.usefixtures("home")
def test_a_terminal_gets_lines_and_a_bar_and_no_markup_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbooks.engine.cli.is_terminal", lambda: True)
    done = _do("run", "steady", "--arg", "how=fails")
    assert done.exit_code == 1
    assert "FAILED: only: it is [red]broken\N{REPLACEMENT CHARACTER}[31m; mend it" in done.stdout


def _begin(home: Path) -> subprocess.Popen[str]:
    """A run in a process of its own that hangs in the middle of its act."""
    arguments = ["runbook", "run", "steady", "--arg", "how=hangs"]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while not list(home.glob("runs/*/files/begun")):
        assert process.poll() is None
        assert time.monotonic() < deadline, "the act did not begin"
        time.sleep(0.02)
    return process


def test_a_run_killed_in_the_middle_is_resumed_by_the_next_command(home: Path) -> None:
    with _begin(home) as process:
        blocked = _do("run", "steady")
        assert blocked.exit_code == 3
        assert f"(pid {process.pid}) is at work there" in blocked.stderr
        process.kill()
    assert "simplicity runbook resume" in _do("run", "steady").stderr
    done = _do("resume")
    assert done.exit_code == 0, done.output
    (run,) = all_runs(home / "runs")
    assert run.standing is Standing.DONE


def test_ctrl_c_says_how_to_go_on(home: Path) -> None:
    with _begin(home) as process:
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)
    (run,) = all_runs(home / "runs")
    assert process.returncode == 130
    assert said == f"simplicity: interrupted; simplicity runbook resume {run.id}, or undo {run.id}\n"


def test_a_damaged_journal_and_a_home_that_cannot_be_used_are_one_line(home: Path, tmp_path: Path) -> None:
    _do("run", "steady")
    (journal,) = home.glob("runs/*/journal.ndjson")
    journal.write_text("nonsense\n")
    done = _do("runs")
    assert (done.exit_code, "is damaged" in done.stderr) == (1, True)
    (tmp_path / "file").touch()
    done = _do("runs", env={"SIMPLICITY_HOME": str(tmp_path / "file")})
    assert (done.exit_code, "cannot use" in done.stderr) == (2, True)
