"""`simplicity deploy` as a person and a machine meet it: one line, an exit code, one summary."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from runbooks.deploy import network, releasing, status
from runbooks.deploy.cli import app
from runbooks.drivers.haproxy_switch import HaproxySwitch, Reading
from runbooks.engine.journal import all_runs
from tests.runbooks.deploy.support import NEW, OLD, Fleet, Killed, fleet, put_in_place

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

SHORT = ("--watch-seconds", "1", "--stage-seconds", "0")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = Fleet()
    put_in_place(made, tmp_path, monkeypatch)
    (tmp_path / "home").chmod(0o700)
    here = fleet(tmp_path)
    here.save(tmp_path / "environment.json")
    monkeypatch.setenv("SIMPLICITY_ENVIRONMENT", str(tmp_path / "environment.json"))
    monkeypatch.setattr(releasing, "WATCH_POLL", 0.01)
    monkeypatch.setattr(network, "enter", lambda _: None)
    monkeypatch.setattr(status, "look", lambda _: (made.hosts(None), {}))  # type: ignore[arg-type]
    weights = {f"app1-{colour}": share for colour, share in made.shares.items()}
    monkeypatch.setattr(HaproxySwitch, "readings", lambda _: ({"lb1": Reading(weights, frozenset())}, {}))
    return made


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_a_release_is_deployed_and_told_in_one_summary(there: Fleet) -> None:
    done = run("release", NEW, *SHORT)
    assert done.exit_code == 0, done.output
    assert f"release {NEW}: done" in done.stdout.splitlines()[-1]
    assert there.shares == {"blue": 0, "green": 100}
    (row,) = json.loads(run("history", "--json").stdout)
    assert (row["release"], row["before"], row["standing"]) == (NEW, OLD, "done")


def test_what_was_taken_back_says_why_by_json_and_exit_code(there: Fleet) -> None:
    there.slow_share = 0.5
    done = run("release", NEW, *SHORT, "--json")
    assert done.exit_code == 4, done.output
    said = json.loads(done.stdout)
    assert said["standing"] == "undone"
    assert "too slow" in said["deployment"]["why"]


def test_a_dry_run_changes_nothing(there: Fleet, tmp_path: Path) -> None:
    done = run("release", NEW, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "would: Give the new colour 5 %" in done.stdout
    assert not [each for each in there.done if each != "smoke"]
    assert not list(all_runs(tmp_path / "home" / "runs"))


def test_a_roll_back_takes_back_what_was_killed(there: Fleet) -> None:
    there.breaks = lambda what: (_ for _ in ()).throw(Killed()) if what == "shift 50" else None
    with pytest.raises(Killed):
        CliRunner().invoke(app, ["release", NEW, *SHORT], catch_exceptions=False)
    there.breaks = lambda _: None
    assert "unfinished" in run("status").stdout
    done = run("rollback")
    assert done.exit_code == 0, done.output
    assert there.shares == {"blue": 100, "green": 0}
    assert there.releases["blue"] == OLD


def test_a_roll_back_after_a_deployment_lets_sync_follow(there: Fleet) -> None:
    assert run("release", NEW, *SHORT).exit_code == 0
    done = run("rollback")
    assert done.exit_code == 0, done.output
    assert there.shares == {"blue": 100, "green": 0}
    assert there.current == OLD


def test_the_next_deployment_heals_first(there: Fleet) -> None:
    there.breaks = lambda what: (_ for _ in ()).throw(Killed()) if what == "sync" else None
    with pytest.raises(Killed):
        CliRunner().invoke(app, ["release", NEW, *SHORT], catch_exceptions=False)
    there.breaks = lambda _: None
    done = run("release", NEW, *SHORT)
    assert done.exit_code == 0, done.output
    assert "gone on with first" in done.output
    assert there.done.count("install") == 1
    assert there.current == NEW


def test_what_fails_when_it_is_gone_on_with_is_not_tried_again(there: Fleet) -> None:
    there.breaks = lambda what: (_ for _ in ()).throw(Killed()) if what == "shift 50" else None
    with pytest.raises(Killed):
        CliRunner().invoke(app, ["release", NEW, *SHORT], catch_exceptions=False)
    there.breaks, there.slow_share = (lambda _: None), 0.5
    done = run("release", NEW, *SHORT)
    assert done.exit_code == 4, done.output
    assert there.done.count("install") == 1
    assert there.shares == {"blue": 100, "green": 0}


@pytest.mark.usefixtures("there")
def test_status_is_one_look_and_says_whether_it_is_good() -> None:
    done = run("status", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["live"], said["good"]) == ("blue", True)
    assert said["hosts"]["app1"]["releases"]["blue"] == OLD


@pytest.mark.usefixtures("there")
def test_a_freeze_is_seen_and_ended() -> None:
    assert run("freeze", "--until", "2099-01-01T00:00:00Z", "--reason", "holidays").exit_code == 0
    assert "holidays" in run("status").stdout
    assert "ended" in run("unfreeze").stdout
    assert "not frozen" in run("unfreeze").stdout


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("freeze", "--until", "tomorrow", "--reason", "x"), 2),
        (("attest", "tests=perhaps"), 2),
        (("release", "not-an-id"), 2),
        (("release", NEW, "--waive", "migrations"), 2),
        (("switch", "red"), 2),
        (("promote", NEW, "--from", "/nowhere.json"), 2),
    ],
)
def test_wrong_words_are_one_line(words: tuple[str, ...], code: int) -> None:
    done = run(*words)
    assert done.exit_code == code, done.output
    assert done.stderr.startswith("simplicity: ")
    assert done.stderr.count("\n") == 1
