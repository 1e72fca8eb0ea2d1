"""Which backups and which WAL stay: 7 days, 4 weeks, 12 months, 3 years."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.backup.manifest import Kind, Manifest
from runbooks.backup.retention import PERIODS, Kept, Policy, keep
from tests.support.backups import a_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTHING = Policy(0, 0, 0, 0, 0)
BEGIN = datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC)
SEGMENT = 1 << 24


def backup(
    moment: datetime, kind: Kind = "full", parent: str | None = None, segment: int | None = None, length: int = 2
) -> Manifest:
    number = segment if segment is not None else int((moment - BEGIN).total_seconds() // 600)
    return a_manifest(
        id=f"{moment:%Y%m%dT%H%M%SZ}-{kind}-0000",
        kind=kind,
        parent=parent,
        started_at=moment.isoformat(),
        ended_at=moment.isoformat(),
        start_lsn=f"{number * SEGMENT >> 32:X}/{number * SEGMENT + 40 & 0xFFFFFFFF:X}",
        stop_lsn=f"{(number + length - 1) * SEGMENT >> 32:X}/{(number + length - 1) * SEGMENT + 99 & 0xFFFFFFFF:X}",
    )


def daily(days: int) -> list[Manifest]:
    return [backup(BEGIN + timedelta(days=day)) for day in range(days)]


def days_of(backups: Sequence[Manifest]) -> list[str]:
    return [each.id[:8] for each in backups]


def lived(days: int, policy: Policy | None = None) -> list[Manifest]:
    """Return what is there after so many days with a backup and a prune each."""
    there: list[Manifest] = []
    for made in daily(days):
        there.append(made)
        kept = keep(there, (), policy or Policy())
        there = [each for each in there if each.id in kept.reasons]
    return there


def test_of_years_of_daily_backups_days_weeks_months_and_years_stay() -> None:
    there = lived(4 * 365 + 1)  # to 2025-02-02, a Sunday
    wanted = {f"202501{day}" for day in range(27, 32)} | {"20250201", "20250202"}  # days; the last one ends a week
    wanted |= {"20250112", "20250119", "20250126"}  # Sundays
    wanted |= {"20240331", "20240430", "20240531", "20240630", "20240731", "20240831"}
    wanted |= {"20240930", "20241031", "20241130", "20241231"}  # 2025-01-31 is one of the days
    wanted |= {"20231231"}  # 2024-12-31 and the newest of 2025 are there already
    assert set(days_of(there)) == wanted


def test_a_prune_every_day_keeps_what_a_single_prune_would() -> None:
    everything = daily(800)
    kept = keep(everything, (), Policy())
    assert days_of([each for each in everything if each.id in kept.reasons]) == days_of(lived(800))


def test_each_stays_for_a_reason_that_is_told() -> None:
    everything = daily(400)
    kept = keep(everything, (), Policy())
    assert kept.reasons[everything[-1].id] == ["daily", "weekly", "monthly", "yearly", "recent"]
    counts = {name: sum(name in why for why in kept.reasons.values()) for name in PERIODS}
    assert counts == {"daily": 7, "weekly": 4, "monthly": 12, "yearly": 2}


def test_a_policy_is_counted_in_periods_that_have_a_backup_so_a_pause_takes_none_away() -> None:
    old = daily(10)
    after = backup(BEGIN + timedelta(days=300))
    kept = keep([*old, after], (), Policy())
    assert {each.id for each in [*old[-6:], after]} <= kept.reasons.keys()


def test_of_several_backups_a_day_those_of_the_last_hours_and_the_newest_of_each_day_stay() -> None:
    there = [backup(BEGIN.replace(hour=0) + timedelta(hours=hour)) for hour in range(72)]
    kept = keep(there, (), Policy())
    assert [each for each in there if each.id in kept.reasons] == [there[23], *there[47:]]
    assert list(keep(there, (), Policy(recent=0)).reasons) == [there[71].id, there[47].id, there[23].id]


def test_the_newest_and_the_newest_proven_one_always_stay() -> None:
    there = daily(30)
    kept = keep(there, {there[3].id, there[5].id}, NOTHING)
    assert kept.reasons == {there[-1].id: ["recent"], there[5].id: ["newest proven"]}
    assert keep(there, {there[-1].id}, NOTHING).reasons == {there[-1].id: ["recent", "newest proven"]}


def test_what_another_one_builds_on_stays_over_every_generation() -> None:
    full = backup(BEGIN)
    first = backup(BEGIN + timedelta(days=20), "incremental", full.id)
    second = backup(BEGIN + timedelta(days=40), "incremental", first.id)
    loose = backup(BEGIN + timedelta(days=39))
    kept = keep([full, first, loose, second], (), replace(NOTHING, daily=1))
    assert kept.reasons[first.id] == [f"needed by {second.id}"]
    assert kept.reasons[full.id] == [f"needed by {first.id}"]
    assert loose.id not in kept.reasons


def test_a_parent_that_is_gone_is_no_error() -> None:
    orphan = backup(BEGIN, "incremental", "20200101T000000Z-full-0000")
    assert orphan.id in keep([orphan], (), Policy()).reasons


def test_all_wal_since_the_oldest_daily_backup_stays_and_before_that_what_a_backup_needs() -> None:
    there = daily(100)
    kept = keep(there, (), Policy())
    oldest_day, monthly = there[-7], there[-14]  # 2021-05-07, and the last day of April
    assert "monthly" in kept.reasons[monthly.id], monthly.id
    assert kept.since == oldest_day.first_segment
    assert kept.wants_segment(oldest_day.first_segment)
    assert kept.wants_segment(1 << 40)
    assert not kept.wants_segment(oldest_day.first_segment - 1)
    first, last = monthly.first_segment, monthly.last_segment
    assert [kept.wants_segment(n) for n in range(first - 1, last + 2)] == [False, True, True, False]


def test_wal_that_leads_on_from_a_single_proven_one_goes_once_it_is_consistent() -> None:
    there = daily(30)
    kept = keep(there, {there[4].id}, NOTHING)
    assert kept.since == there[-1].first_segment
    first = there[4].first_segment
    assert [kept.wants_segment(first + n) for n in range(-1, 3)] == [False, True, True, False]


def test_without_any_backup_nothing_is_taken_away() -> None:
    kept = keep([], (), Policy())
    assert kept == Kept({}, None, [])
    assert kept.wants_segment(0)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(), st.tuples(*[st.integers(0, 9)] * 5))
def test_what_stays_can_be_restored_and_pruning_again_takes_nothing(
    count: int, seed: int, numbers: tuple[int, int, int, int, int]
) -> None:
    rng, moment, there = Random(seed), BEGIN, list[Manifest]()
    for _ in range(count):
        moment += timedelta(hours=rng.randint(1, 100))
        parent = rng.choice(there) if there and rng.random() < 0.6 else None
        there.append(backup(moment, "full" if parent is None else "incremental", None if parent is None else parent.id))
    proven = {each.id for each in there if rng.random() < 0.1}
    policy = Policy(*numbers)
    kept = keep(there, proven, policy)
    rest = [each for each in there if each.id in kept.reasons]
    assert there[-1] in rest
    assert not proven or max(proven) in kept.reasons
    for each in rest:
        assert each.parent is None or each.parent in kept.reasons
        assert all(kept.wants_segment(n) for n in range(each.first_segment, each.last_segment + 1))
        if {"daily", "recent"} & set(kept.reasons[each.id]):
            assert all(kept.wants_segment(n) for n in range(each.first_segment, there[-1].last_segment + 9))
    assert keep(rest, proven, policy).reasons.keys() == kept.reasons.keys()


@pytest.mark.parametrize("days", [1, 6, 7, 8])
def test_within_the_first_days_nothing_but_the_eighth_day_goes(days: int) -> None:
    assert len(lived(days, Policy(recent=0, weekly=0, monthly=0, yearly=0))) == min(days, 7)
