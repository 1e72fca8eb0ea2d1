"""Each gate passes and fails for its own reason, and says which."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbooks.deploy import freezing, gates
from runbooks.deploy.gates import Gate
from runbooks.deploy.store import checks_of, ran_of
from runbooks.deploy.watching import Counters, Limits, judge
from runbooks.drivers.protocols import BackupInfo
from tests.runbooks.deploy.support import NEW, made

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
LIMITS = Limits(requests=0, slow_share=0.05, error_share=0.001, seconds=0.02)


def backup_of(hours: float, *, proven: bool = True) -> BackupInfo:
    ended = (NOW - timedelta(hours=hours)).isoformat()
    return BackupInfo(
        id=f"backup-{hours:g}", kind="full", parent=None, started_at=ended, ended_at=ended, size=1, data_size=1,
        tip_height=None, tip_hash=None, proven_at=ended if proven else None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("results", "passed"),
    [
        ({"tests": "passed", "scans": "passed"}, True),
        ({"tests": "passed", "scans": "failed"}, False),
        ({"tests": "passed"}, False),
        ({"tests": "passed", "scans": "passed", "drills": "failed"}, False),
        (None, False),
    ],
)
def test_checks_of_this_very_commit(results: dict[str, str] | None, *, passed: bool) -> None:
    new = made("0.3.0")
    said = None if results is None else {"commit": new.commit, "at": "today", "results": results}
    assert gates.checks(new, {checks_of(new.commit): said}.get).passed is passed
    other = {checks_of(new.commit): {"commit": "d" * 40, "results": {"tests": "passed", "scans": "passed"}}}
    assert not gates.checks(new, other.get).passed


@pytest.mark.parametrize(
    ("backups", "passed"),
    [
        ([backup_of(1)], True),
        ([backup_of(25)], False),
        ([backup_of(30), backup_of(2)], True),
        ([backup_of(1, proven=False), backup_of(30)], False),
        ([], False),
    ],
)
def test_a_proven_backup_that_is_young_enough(backups: list[BackupInfo], *, passed: bool) -> None:
    assert gates.backup(backups, NOW).passed is passed


def test_a_freeze_holds_until_its_moment(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir(mode=0o700)
    freezing.write("here", freezing.Freeze((NOW + timedelta(hours=1)).isoformat(), "holidays", "me"))
    found = freezing.read("here")
    assert "holidays" in gates.freeze(found, NOW).words
    assert not gates.freeze(found, NOW).passed
    assert gates.freeze(found, NOW + timedelta(hours=2)).passed
    assert freezing.read("elsewhere") is None
    assert freezing.remove("here")
    assert not freezing.remove("here")
    assert gates.freeze(freezing.read("here"), NOW).passed


def test_production_takes_only_what_staging_ran() -> None:
    new = made("0.3.0")
    ran = {ran_of(NEW, "staging"): {"release": NEW, "environment": "staging", "at": "today"}}
    assert gates.promoted(new, "staging", ran.get).passed
    assert not gates.promoted(new, "staging", lambda _: None).passed
    assert not gates.promoted(new, "other", ran.get).passed
    assert gates.promoted(new, "", lambda _: None).passed


def test_a_difference_of_the_configuration_is_reviewed() -> None:
    assert gates.configuration(0, "", reviewed=False).passed
    assert "--yes" in gates.configuration(2, "app1: Settings", reviewed=False).words
    assert gates.configuration(2, "app1: Settings", reviewed=True).passed


def test_only_some_gates_can_be_passed_over_and_it_shows() -> None:
    failed = [Gate("backup", passed=False, words="none"), Gate("migrations", passed=False, words="drops")]
    found = gates.waived(failed, ["backup", "migrations"], "inc-42")
    assert [each.passed for each in found] == [True, False]
    assert "inc-42" in found[0].words


def counted(requests: float, slow: float = 0, errors: float = 0, processes: float = 10) -> Counters:
    return Counters(requests=requests, slow=slow, errors=errors, processes=processes)


@pytest.mark.parametrize(
    ("now", "bad"),
    [
        (counted(5000), ""),
        (counted(5000, slow=250), ""),
        (counted(5000, slow=251), "too slow"),
        (counted(5000, errors=5), ""),
        (counted(5000, errors=6), "fail"),
        (counted(100, slow=50), ""),
        (counted(10, errors=3), "fail"),
        (counted(5000, processes=999), "replaced"),
    ],
)
def test_a_colour_keeps_the_objectives_or_loses_its_traffic(now: Counters, bad: str) -> None:
    found = judge(counted(0), now, LIMITS, least=0)
    assert (bad in found.bad) if bad else not found.bad


def test_too_few_requests_are_waited_for() -> None:
    assert judge(counted(0), counted(4999), LIMITS, least=5000).waiting
    assert not judge(counted(0), counted(5000), LIMITS, least=5000).waiting
    assert not math.isnan(counted(0).requests)
