"""A release takes the place of another one, or nothing has changed: whatever fails, and wherever the process dies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from runbooks.deploy import healing, releasing
from runbooks.deploy.books import rollback
from runbooks.deploy.books.release import RUNBOOK
from runbooks.deploy.errors import DeployError
from runbooks.deploy.gates import Gate
from runbooks.deploy.history import rows
from runbooks.engine.arguments import parse_arguments
from runbooks.engine.journal import all_runs
from runbooks.engine.run import start
from runbooks.engine.state import Standing
from tests.runbooks.deploy.support import NEW, OLD, OLDEST, Fleet, Killed, fleet, made, put_in_place
from tests.runbooks.engine.support import place as usual_place
from tests.runbooks.engine.support import said

if TYPE_CHECKING:
    from pathlib import Path

    from runbooks.engine.run import Place


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made_up = Fleet()
    put_in_place(made_up, tmp_path, monkeypatch)
    monkeypatch.setattr(releasing, "WATCH_POLL", 0.01)
    return made_up


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return replace(usual_place(tmp_path / "runs"), environment=fleet(tmp_path))


def wanted(release: str = NEW, **rest: str) -> Any:  # noqa: ANN401 - arguments of any runbook
    usual = {"watch-seconds": "1", "watch-requests": "5000", "stage-seconds": "0"}
    return parse_arguments(RUNBOOK.parameters, [f"{k}={v}" for k, v in ({"release": release} | usual | rest).items()])


def is_as_before(there: Fleet) -> bool:
    """Clients, sync and both colours have what they had; the idle one still has what a roll back goes to."""
    return (
        there.shares == {"blue": 100, "green": 0}
        and there.releases == {"blue": OLD, "green": OLDEST}
        and there.active == {"blue": True, "green": False}
        and there.current == OLD
    )


def failing(step: str) -> Any:  # noqa: ANN401 - a hook of the fleet
    def breaks(what: str) -> None:
        if what == step:
            raise DeployError(f"{step} fails")

    return breaks


def test_a_good_release_gets_the_traffic_step_by_step(there: Fleet, here: Place) -> None:
    ended = start(RUNBOOK, wanted(), here)
    assert ended.standing is Standing.DONE, ended.sentence
    assert there.seen == [5, 25, 50, 100]
    assert there.releases == {"blue": OLD, "green": NEW}
    assert there.active == {"blue": False, "green": True}
    assert there.current == NEW
    # The schema is there before anything runs on it; sync and the old colour are touched last.
    assert there.done[:4] == ["install", "migrate", "start", "smoke"]
    assert there.done[-2:] == ["sync", "stop blue"]
    (row,) = rows(all_runs(here.runs), "made-up")
    assert (row.release, row.before, row.colour, row.standing) == (NEW, OLD, "green", "done")


@pytest.mark.parametrize("step", ["install", "migrate", "start", "smoke"])
def test_what_fails_before_the_switch_never_gets_a_request(there: Fleet, here: Place, step: str) -> None:
    there.breaks = failing(step)
    ended = start(RUNBOOK, wanted(), here)
    assert ended.standing is Standing.UNDONE, ended.sentence
    assert f"{step} fails" in rows(all_runs(here.runs), "made-up")[0].why
    assert set(there.seen) <= {0}
    assert is_as_before(there)


def test_a_slow_release_loses_its_traffic_and_says_why(there: Fleet, here: Place) -> None:
    there.slow_share = 0.2
    ended = start(RUNBOOK, wanted(), here)
    assert ended.standing is Standing.UNDONE, ended.sentence
    assert "too slow" in ended.why
    assert max(there.seen) == 5
    assert is_as_before(there)


def test_no_traffic_is_a_failed_gate(there: Fleet, here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    there.rate = 0.0
    steps = tuple(replace(each, within=1.5) if each.name == "watch" else each for each in RUNBOOK.steps)
    monkeypatch.setattr(releasing, "WATCH_POLL", 0.1)
    ended = start(replace(RUNBOOK, steps=steps), wanted(), here)
    assert ended.standing is Standing.UNDONE, ended.sentence
    assert "0 of 5000 requests" in ended.why
    assert is_as_before(there)


@pytest.mark.parametrize("step", ["sync", "stop blue"])
def test_what_fails_after_the_switch_gives_the_traffic_back_first(there: Fleet, here: Place, step: str) -> None:
    def breaks(what: str) -> None:
        if what == step and not there.done.count(f"{step} failed"):
            there.done.append(f"{step} failed")
            raise DeployError(f"{step} fails")

    there.breaks = breaks
    ended = start(RUNBOOK, wanted(), here)
    assert ended.standing is Standing.UNDONE, ended.sentence
    assert is_as_before(there)
    back = there.done[there.done.index(f"{step} failed") + 1 :]
    assert next(each for each in back if not each.startswith("start")) == "shift 0"


@pytest.mark.parametrize("gate", ["checks", "backup"])
def test_a_failed_gate_touches_nothing(there: Fleet, here: Place, gate: str) -> None:
    there.gates.append(Gate(gate, passed=False, words="it is not so"))
    ended = start(RUNBOOK, wanted(), here)
    assert ended.standing is Standing.UNDONE
    assert f"{gate}: FAILED" in ended.why
    assert not there.done


def test_what_is_live_is_not_deployed_again(there: Fleet, here: Place) -> None:
    ended = start(RUNBOOK, wanted(OLD), here)
    assert "is live already" in ended.why
    assert not there.done


@pytest.mark.parametrize(
    "moment", ["install", "migrate", "start", "smoke", "shift 5", "shift 50", "shift 100", "sync", "stop blue"]
)
def test_a_deployment_that_was_killed_is_healed_by_the_next(there: Fleet, here: Place, moment: str) -> None:
    def dies(what: str) -> None:
        if what == moment:
            raise Killed

    there.breaks = dies
    with pytest.raises(Killed):
        start(RUNBOOK, wanted(), here)
    assert all(there.active[colour] for colour, share in there.shares.items() if share)
    there.breaks = lambda _: None
    left = healing.heal(here)
    assert left is not None
    assert left.standing is Standing.UNDONE, left.sentence
    assert is_as_before(there)
    assert start(RUNBOOK, wanted(), here).standing is Standing.DONE


def test_the_same_release_goes_on_where_it_was_killed(there: Fleet, here: Place) -> None:
    there.breaks = lambda what: (_ for _ in ()).throw(Killed()) if what == "shift 50" else None
    with pytest.raises(Killed):
        start(RUNBOOK, wanted(), here)
    there.breaks = lambda _: None
    left = healing.heal(here, NEW)
    assert left is not None
    assert left.standing is Standing.DONE, left.sentence
    assert there.seen == [5, 25, 50, 100]
    assert there.done.count("install") == 1


@pytest.mark.usefixtures("there")
def test_nothing_is_healed_where_nothing_was_left(here: Place) -> None:
    assert start(RUNBOOK, wanted(), here).standing is Standing.DONE
    assert healing.heal(here) is None


def test_a_roll_back_returns_in_one_step_and_sync_follows(there: Fleet, here: Place) -> None:
    start(RUNBOOK, wanted(), here)
    there.done.clear()
    ended = start(rollback.RUNBOOK, {}, here)
    assert ended.standing is Standing.DONE, ended.sentence
    assert there.done == ["start blue", "shift 0"]
    assert start(rollback.AFTERWARDS, {}, here).standing is Standing.DONE
    assert there.current == OLD
    assert there.active == {"blue": True, "green": False}
    assert [row.release for row in rows(all_runs(here.runs), "made-up")][:2] == [NEW, OLD]


def test_a_roll_back_to_what_does_not_come_up_leaves_the_traffic(there: Fleet, here: Place) -> None:
    start(RUNBOOK, wanted(), here)
    there.breaks = failing("start blue")
    ended = start(rollback.RUNBOOK, {}, here)
    assert ended.standing is Standing.UNDONE, ended.sentence
    assert there.shares == {"blue": 0, "green": 100}


def test_there_is_no_way_back_behind_a_contract(there: Fleet, here: Place) -> None:
    there.manifests[OLD] = made("0.2.0", ("0001", "expand"), ("0002", "contract"))
    ended = start(rollback.RUNBOOK, {}, here)
    assert "took away what" in ended.why
    assert is_as_before(there)
    assert "preflight" in said(here).text
