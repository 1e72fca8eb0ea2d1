"""How far a restore goes, and from which backup it gets there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbooks.backup import wal
from runbooks.backup.checkpoints import Checkpoint
from runbooks.backup.errors import BackupError
from runbooks.backup.lsn import Lsn, Segment, Switch
from runbooks.backup.manifest import Manifest, Tip
from runbooks.backup.target import Known, Plan, Target, parse, plan
from tests.support.backups import HASH, a_manifest

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
OTHER = "cd" * 32


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("latest", Target("latest")),
        ("0", Target("height", height=0)),
        ("901350", Target("height", height=901_350)),
        (HASH, Target("hash", block_hash=HASH)),
        ("0" * 64, Target("hash", block_hash="0" * 64)),
        ("2026-11-30T12:00:00Z", Target("time", moment=NOON)),
        ("2026-11-30T13:00:00+01:00", Target("time", moment=NOON)),
        ("2026-11-30 12:00:00.5+00:00", Target("time", moment=NOON + timedelta(seconds=0.5))),
    ],
)
def test_a_target_is_read_by_its_form(text: str, wanted: Target) -> None:
    assert parse(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "Latest", "-1", "1.5", "tomorrow", "2026-11-30", "2026-11-30T12:00:00", HASH.upper(), HASH[1:], "١٢"]
)
def test_anything_else_says_what_can_be_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"say latest, a height, a block hash, or a time with its zone"):
        parse(text)


@pytest.mark.parametrize("text", ["9999999999", "4294967296"])
def test_a_height_that_no_block_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no height of a block"):
        parse(text)


def test_a_target_says_what_it_is() -> None:
    said = [str(parse(text)) for text in ("latest", "7", HASH, "2026-11-30T12:00:00Z", "0")]
    assert said == ["the end of the archive", "block 7", f"block {HASH}", "2026-11-30T12:00:00+00:00", "block 0"]


def point(height: int, at: int, block: str = "", **changes: Any) -> Checkpoint:  # noqa: ANN401 - fields
    """Return what was recorded of a block at a megabyte of the WAL, as many seconds after noon."""
    fields: dict[str, Any] = {
        "height": height,
        "block_hash": block or f"{height:064x}",
        "state_hash": HASH,
        "state_digest": HASH,
        "xid": 1_000 + at,
        "timeline": 1,
        "lsn": str(Lsn(at << 20)),
        "seen_at": NOON.timestamp() + at,
    }
    return Checkpoint(**(fields | changes))


def made(at: int, tip: int | None, **changes: Any) -> Manifest:  # noqa: ANN401 - fields
    """Return a backup that was complete at a megabyte of the WAL, as many seconds after noon."""
    fields: dict[str, Any] = {
        "id": f"20261130T{120000 + at:06}Z-full-0000",
        "start_lsn": str(Lsn((at << 20) - 4_096)),
        "stop_lsn": str(Lsn((at << 20) - 100)),
        "ended_at": (NOON + timedelta(seconds=at)).isoformat(),
        "tip": None if tip is None else Tip(tip, f"{tip:064x}", HASH, HASH),
    }
    return a_manifest(**(fields | changes))


BACKUPS = [made(10, None), made(20, 5), made(27, 8)]
RECORDED = [point(height, 2 * height + 10) for height in range(1, 20)]  # block 5 at 20, block 8 at 26


def planned(text: str, backups: list[Manifest] = BACKUPS, recorded: list[Checkpoint] = RECORDED, **more: Any) -> Plan:  # noqa: ANN401 - fields of Known
    return plan(parse(text), Known(backups, recorded, **more))


def test_latest_goes_from_the_newest_backup_to_the_end_of_the_archive() -> None:
    assert planned("latest") == Plan(BACKUPS[-1], 1, {"recovery_target_timeline": "1"})


def test_a_height_is_reached_by_the_transaction_that_was_recorded_of_it() -> None:
    found = planned("9")
    settings = {"recovery_target_xid": "1028", "recovery_target_timeline": "1"}
    assert found == Plan(BACKUPS[-1], 1, settings, Lsn(28 << 20), RECORDED[8])
    assert planned(RECORDED[8].block_hash) == found


@pytest.mark.parametrize(("height", "index"), [(1, 0), (5, 0), (6, 1), (8, 1), (9, 2)])
def test_a_height_is_reached_from_the_newest_backup_that_is_older(height: int, index: int) -> None:
    assert planned(str(height)).backup == BACKUPS[index]


def test_a_height_before_every_backup_is_refused() -> None:
    with pytest.raises(BackupError, match=r"^no backup is old enough to lead to block 5; `simplicity backup list`"):
        planned("5", BACKUPS[1:])


def test_a_height_that_was_never_recorded_says_what_was() -> None:
    with pytest.raises(BackupError, match=r"block 20 was not recorded by the backup agent \(blocks up to 19 are\)"):
        planned("20")
    with pytest.raises(BackupError, match=r"\(none is recorded yet\); choose another, or a time"):
        planned("20", recorded=[])
    with pytest.raises(BackupError, match=f"block {OTHER} was not recorded"):
        planned(OTHER)


def test_without_any_backup_nothing_can_be_reached() -> None:
    for text in ("latest", "5", "2026-11-30T12:00:00Z"):
        with pytest.raises(BackupError, match="no backup is old enough"):
            planned(text, [])


def test_a_time_is_reached_from_the_newest_backup_that_was_complete_by_then() -> None:
    found = planned("2026-11-30T12:00:26.000001Z")
    assert found.backup == BACKUPS[1]
    settings = {"recovery_target_time": "2026-11-30 12:00:26.000001+00", "recovery_target_timeline": "1"}
    assert found.settings == settings
    assert found.checkpoint is None
    assert planned("2026-11-30T12:00:30Z").backup == BACKUPS[2]
    with pytest.raises(BackupError, match=r"lead to 2026-11-30T12:00:09\+00:00"):
        planned("2026-11-30T12:00:09Z")


def test_wal_up_to_a_time_ends_with_what_was_seen_a_good_while_after_it() -> None:
    recorded = [point(1, 12), point(2, 84), point(3, 86)]
    assert planned("2026-11-30T12:00:25Z", recorded=recorded).last == Lsn(86 << 20), "a minute between the clocks"
    assert planned("2026-11-30T12:00:26Z", recorded=recorded).last is None, "then all there is"


def test_after_a_reorg_a_height_means_the_block_that_came_last_and_a_hash_means_its_own() -> None:
    recorded = [*RECORDED[:10], point(9, 32, "ee" * 32), point(10, 34, OTHER), point(11, 36)]
    assert planned("10", recorded=recorded).checkpoint == recorded[-2]
    old = planned(RECORDED[9].block_hash, [made(25, 7)], recorded)
    assert old.checkpoint == RECORDED[9]
    assert old.last == Lsn(30 << 20)


def test_a_block_of_a_branch_that_was_left_before_a_backup_is_not_looked_for_after_it() -> None:
    # Blocks 8 to 10 were taken back: the backup was made at block 7, but block 10 of the old branch is before it.
    recorded = [*RECORDED[:10], point(8, 42, OTHER)]
    old, late = made(20, 4), made(40, 7)
    assert planned(RECORDED[9].block_hash, [old, late], recorded).backup == old
    with pytest.raises(BackupError, match="no backup is old enough"):
        planned(RECORDED[9].block_hash, [late], recorded)
    assert planned(OTHER, [old, late], recorded).backup == late


ANCESTRY = {2: [Switch(1, Lsn(25 << 20))], 3: [Switch(1, Lsn(25 << 20)), Switch(2, Lsn(40 << 20))]}


def test_a_checkpoint_of_a_later_timeline_is_reached_from_a_backup_that_it_goes_on_from() -> None:
    recorded = [point(9, 28, timeline=2), point(10, 42, timeline=3)]
    for text in ("9", "10"):
        assert planned(text, BACKUPS, recorded, ancestry=ANCESTRY).backup == BACKUPS[1], "the switch was at 25"
    settings = planned("10", BACKUPS, recorded, ancestry=ANCESTRY).settings
    assert settings["recovery_target_timeline"] == "3"


def test_a_backup_of_a_timeline_that_was_left_leads_nowhere_else() -> None:
    recorded = [point(9, 28, timeline=2)]
    with pytest.raises(BackupError, match="no backup is old enough"):
        planned("9", BACKUPS[2:], recorded, ancestry=ANCESTRY)
    with pytest.raises(BackupError, match="no backup is old enough"):
        planned("9", [made(27, 5, timeline=3)], recorded, ancestry=ANCESTRY)


def test_a_backup_of_the_later_timeline_itself_is_taken() -> None:
    recorded = [point(9, 28, timeline=2)]
    on_two = made(27, 5, timeline=2)
    assert planned("9", [*BACKUPS[:2], on_two], recorded, ancestry=ANCESTRY).backup == on_two


# Timeline 2 went on from 25 and lived until 35: the restore that had made it was undone, and timeline 1 went on.
UNDONE = {2: [Switch(1, Lsn(25 << 20))]}
TRIED = [*RECORDED[:8], point(6, 27, timeline=2), point(7, 30, timeline=2), point(8, 40), point(9, 44)]


def test_a_timeline_that_was_tried_and_left_is_not_followed() -> None:
    late = made(43, 8)
    for backups in ([*BACKUPS, late], [*BACKUPS, made(32, 6, timeline=2), late]):
        found = planned("latest", backups, TRIED, ancestry=UNDONE)
        assert found == Plan(late, 1, {"recovery_target_timeline": "1"})
    assert planned("9", [*BACKUPS, late], TRIED, ancestry=UNDONE).timeline == 1


def test_latest_follows_the_live_server_or_else_what_was_recorded_last() -> None:
    backups = [*BACKUPS, made(32, 6, timeline=2)]
    assert planned("latest", backups, TRIED, ancestry=UNDONE, live=2) == Plan(
        backups[-1], 2, {"recovery_target_timeline": "2"}
    )
    assert planned("latest", backups, TRIED, ancestry=UNDONE, live=1).backup == BACKUPS[-1]
    assert planned("latest", backups, TRIED[:10], ancestry=UNDONE).timeline == 2
    assert planned("latest", BACKUPS, TRIED[:10], ancestry=UNDONE).backup == BACKUPS[1], "the third was after the fork"


def test_a_moment_is_reached_on_the_timeline_that_was_live_then() -> None:
    kept = [*TRIED[:10], point(8, 100, timeline=2)]  # this time the restore was not undone
    for recorded, live in ((kept, 2), (TRIED, 1)):
        before = planned("2026-11-30T12:00:26.5Z", BACKUPS, recorded, ancestry=UNDONE, live=live)
        assert (before.timeline, before.settings["recovery_target_timeline"]) == (1, "1")
        between = planned("2026-11-30T12:00:31Z", BACKUPS, recorded, ancestry=UNDONE, live=live)
        assert (between.backup, between.timeline) == (BACKUPS[1], 2), "the third does not lead there"
    assert planned("2026-11-30T12:00:50Z", BACKUPS, TRIED, ancestry=UNDONE).timeline == 1


def test_wal_up_to_a_moment_ends_by_what_was_seen_later_on_its_own_timeline() -> None:
    recorded = [point(1, 12), point(2, 90, timeline=2), point(3, 99)]
    assert planned("2026-11-30T12:00:25Z", recorded=recorded).last == Lsn(99 << 20)
    assert planned("2026-11-30T12:00:25Z", recorded=recorded[:2]).last is None


def test_a_backup_that_is_older_than_the_wal_that_is_kept_is_brought_back_as_it_is() -> None:
    old, newer, newest = BACKUPS
    known = Known(BACKUPS, RECORDED, since=newer.first_segment)
    settings = {"recovery_target": "immediate", "recovery_target_timeline": "1"}
    found = plan(Target("latest"), known, old)
    assert (found.backup, found.settings, found.as_it_is) == (old, settings, True)
    assert wal.way(needed(old), old, {}, timeline=found.timeline, until=found.last) == wal.Way(1, needed(old), [])
    assert plan(Target("latest"), known, newer) == Plan(newer, 1, {"recovery_target_timeline": "1"})
    assert plan(Target("latest"), known) == Plan(newest, 1, {"recovery_target_timeline": "1"})


def test_a_backup_that_does_not_lead_to_the_live_timeline_is_brought_back_as_it_is() -> None:
    tried = made(32, 6, timeline=2)
    found = plan(Target("latest"), Known([*BACKUPS, tried], TRIED, UNDONE, live=1), tried)
    assert (found.timeline, found.as_it_is) == (2, True)
    found = plan(Target("latest"), Known([*BACKUPS, tried], TRIED, UNDONE, live=2), BACKUPS[2])
    assert (found.timeline, found.as_it_is) == (1, True)


@pytest.mark.parametrize("stop", ["0/5000000", "0/4FFFFF8", "0/4000158"])
def test_as_it_is_a_backup_asks_for_no_wal_after_its_last_byte(stop: str) -> None:
    old = a_manifest(start_lsn="0/4000028", stop_lsn=stop)
    found = plan(Target("latest"), Known([old], [], since=9), old)
    kept = [*needed(old), "000000010000000000000009"]
    assert wal.way(kept, old, {}, timeline=1, until=found.last) == wal.Way(1, ["000000010000000000000004"], [])


def needed(backup: Manifest) -> list[str]:
    """Return the names of the WAL that retention keeps for a backup alone."""
    numbers = range(backup.first_segment, backup.last_segment + 1)
    return [Segment(backup.timeline, number).name(backup.segment_size) for number in numbers]
