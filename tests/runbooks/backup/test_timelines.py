"""Which timeline is the live one, and which backups lead to it, after restores that were kept and that were undone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from runbooks.backup import timelines
from runbooks.backup.checkpoints import Checkpoint
from runbooks.backup.lsn import Lsn, Switch
from tests.support.backups import HASH, a_manifest

if TYPE_CHECKING:
    from runbooks.backup.manifest import Manifest

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
FORK = Switch(1, Lsn.parse("0/5000000"))
ANCESTRY = {2: [FORK], 3: [FORK, Switch(2, Lsn.parse("0/7000000"))]}


def seen(minute: int, timeline: int) -> Checkpoint:
    moment = (NOON + timedelta(minutes=minute)).timestamp()
    return Checkpoint(minute, f"{minute:064x}", HASH, HASH, 700 + minute, timeline, "0/1000028", moment)


def made(minute: int, timeline: int = 1, stop: str = "0/2000158") -> Manifest:
    moment = NOON + timedelta(minutes=minute)
    return a_manifest(ended_at=moment.isoformat(), timeline=timeline, stop_lsn=stop)


@pytest.mark.parametrize("stop", ["0/4FFFFF8", "0/5000000"])
def test_a_backup_that_ended_before_the_fork_leads_to_both_sides(stop: str) -> None:
    backup = made(0, stop=stop)
    assert [timelines.leads_to(backup, number, ANCESTRY) for number in (1, 2, 3)] == [True, True, True]


@pytest.mark.parametrize("stop", ["0/5000001", "0/6000158", "1/2000158"])
def test_a_backup_of_timeline_1_that_ended_after_the_fork_does_not_lead_to_2(stop: str) -> None:
    backup = made(0, stop=stop)
    assert [timelines.leads_to(backup, number, ANCESTRY) for number in (1, 2, 3)] == [True, False, False]


def test_a_backup_leads_to_no_timeline_before_its_own_and_to_none_that_nothing_is_known_of() -> None:
    backup = made(0, timeline=2, stop="0/6000158")
    assert [timelines.leads_to(backup, number, ANCESTRY) for number in (1, 2, 3, 4)] == [False, True, True, False]


def test_the_live_servers_word_counts_before_what_was_recorded() -> None:
    assert timelines.now([seen(1, 2)], [made(0, timeline=3)], 1) == 1
    assert timelines.now([], [], 4) == 4


def test_without_a_live_server_the_last_that_was_recorded_counts_though_a_higher_one_was_tried() -> None:
    recorded = [seen(1, 1), seen(2, 2), seen(3, 1)]
    assert timelines.now(recorded, [made(2, timeline=2)], None) == 1
    assert timelines.now(recorded[:2], [made(2, timeline=1)], None) == 2


def test_without_anything_recorded_the_last_backup_counts_though_one_of_a_higher_timeline_was_made() -> None:
    assert timelines.now([], [], None) == 1
    assert timelines.now([], [made(0), made(1, timeline=2)], None) == 2
    assert timelines.now([], [made(0), made(1, timeline=2), made(2)], None) == 1


@pytest.mark.parametrize(("minute", "timeline"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 1), (60, 1)])
def test_a_moment_has_the_timeline_on_which_blocks_were_recorded_then(minute: int, timeline: int) -> None:
    recorded = [seen(1, 1), seen(3, 2), seen(5, 1)]
    assert timelines.at(NOON + timedelta(minutes=minute, seconds=30), recorded, [made(0, timeline=9)]) == timeline


def test_a_moment_before_anything_was_recorded_has_that_of_the_last_backup_by_then() -> None:
    backups = [made(10, timeline=2), made(20, timeline=3)]
    recorded = [seen(30, 4)]
    found = [timelines.at(NOON + timedelta(minutes=minute), recorded, backups) for minute in (5, 10, 15, 20, 29, 30)]
    assert found == [1, 2, 2, 3, 3, 4]
