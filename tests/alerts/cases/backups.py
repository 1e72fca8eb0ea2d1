"""Cases of the alerts of backups and of the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Firing
from tests.alerts.series import CLUSTER, fires_when_due, labels, series, silent, up, vanishes

if TYPE_CHECKING:
    from tests.alerts.case import Case

AGENT = labels("backup", "backup-1")


def _of(name: str, instance: str = "backup-1", **more: str) -> str:
    """Return a series of the agent."""
    return series(f"simplicity_{name}", "backup", instance, **more)


# The clock of these cases begins in 1970, so what was done before has a negative time.
def _ages() -> tuple[Case, ...]:
    last, proven = "backup_last_timestamp_seconds", "backup_last_proven_timestamp_seconds"
    given = {_of(last, kind="full"): "-400000x20", _of(last, kind="incremental"): "-93540x20"}
    text = "The newest backup of main"
    old = Firing(summary=f"{text} is 1d 2h 6m 0s old", labels={"cluster": CLUSTER})
    unproven = Firing(summary=f"{text} that was restored in proof is 8d 0h 6m 0s old", labels=AGENT)
    never = Firing(summary="There is no backup of main", labels={"cluster": CLUSTER})
    unrestored = Firing(summary="No backup of main was ever restored in proof", labels=AGENT)
    return (
        *fires_when_due("BackupTooOld", "none ever", {_of(last, kind="full"): "-1.8e9x20"}, never, due="5m"),
        *fires_when_due("BackupUnproven", "none ever", {_of(proven): "-1.8e9x20"}, unrestored, due="5m"),
        *fires_when_due("BackupTooOld", "26 hours since the newest of any kind", given, old, due="7m"),
        *fires_when_due("BackupUnproven", "eight days", {_of(proven): "-691140x20"}, unproven, due="7m"),
    )


def _repository() -> tuple[Case, ...]:
    unusable = {_of("backup_unusable_count"): "0x2 1x10", _of("backup_unusable_count", "backup-2"): "0x20"}
    away = {_of("backup_repository_up"): "1x2 0x20", _of("backup_repository_up", "backup-2"): "1x20"}
    missing = {_of("wal_missing_segments"): "0x2 1x10", _of("wal_missing_segments", "backup-2"): "0x20"}
    damaged = Firing(summary="1 backups of main are damaged or forged", labels=AGENT)
    unread = Firing(summary="The repository of backups of main cannot be read", labels=AGENT)
    hole = Firing(summary="1 WAL segments after the newest backup of main are missing", labels=AGENT)
    return (
        *fires_when_due("BackupUnusable", "one backup", unusable, damaged, due="8m"),
        *fires_when_due("BackupRepositoryAway", "by one of two agents", away, unread, due="13m"),
        *fires_when_due("WalSegmentsMissing", "one segment", missing, hole, due="8m"),
    )


def _agent() -> tuple[Case, ...]:
    name, connected = "BackupAgentDown", _of("backup_agent_connected")
    text = "The agent of the backups of main is not there, hangs, or does not reach the database"
    firing = Firing(summary=text, labels=AGENT)
    other = {
        up("backup", "backup-2"): "1x30",
        _of("backup_agent_connected", "backup-2"): "1x30",
        up("api", "api-1"): "0x30",
    }
    dead = {up("backup", "backup-1"): "1x2 0x20", connected: "1x2 stale"} | other
    unconnected = {up("backup", "backup-1"): "1x30", connected: "1x2 0x20"} | other
    looked = _of("backup_agent_last_look_timestamp_seconds")
    alive = {up("backup", "backup-1"): "1x30", connected: "1x30"} | other
    hung, slow = alive | {looked: "0+60x2 170x30"}, alive | {looked: "-300+60x30"}
    gone = {up("backup", "backup-1"): "1x2 stale", up("api", "api-1"): "1x30"}
    return (
        *fires_when_due(name, "one of two hangs", hung, firing, due="18m"),
        *silent(name, "it looked five minutes ago", slow, at="25m"),
        *fires_when_due(name, "one of two does not answer", dead, firing, due="13m"),
        *fires_when_due(name, "one of two has no database", unconnected, firing, due="13m"),
        *vanishes(name, 'up{job="backup"}', gone, due="13m", job="backup"),
    )


def _trail() -> tuple[Case, ...]:
    altered = {_of("audit_anchor_mismatch"): "0x2 1x10", _of("audit_anchor_mismatch", "backup-2"): "0x20"}
    mismatch = Firing(summary="The audit trail of main and its copy contradict one another", labels=AGENT)
    ahead = {_of("audit_entries"): "9x2 10x20", _of("audit_anchored_entries"): "9x30"}
    level = {_of("audit_entries"): "9x30", _of("audit_anchored_entries"): "9x30"}
    uncopied = Firing(summary="1 entries of the audit trail of main have no copy", labels=AGENT)
    return (
        *fires_when_due("AuditTrailMismatch", "for one of two agents", altered, mismatch, due="150s", interval="30s"),
        *fires_when_due("AuditTrailNotCopied", "one entry", ahead, uncopied, due="18m"),
        *silent("AuditTrailNotCopied", "the copy has all", level, at="30m"),
    )


CASES: tuple[Case, ...] = (*_ages(), *_repository(), *_agent(), *_trail())
