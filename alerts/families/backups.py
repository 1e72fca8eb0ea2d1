"""Alerts of the backups and of the audit trail, by the word of the repository and of the trail's copy."""

from __future__ import annotations

from alerts.model import Alert, Group, Severity

NEVER = "1e9"  # seconds, thirty years: so old is what is said to be of 1970


def _age_or_none(none: str, age: str) -> str:
    return f"{{{{ if gt $value {NEVER} }}}}{none}{{{{ else }}}}{age}{{{{ end }}}}"


AGES = (
    Alert(
        name="BackupTooOld",
        severity=Severity.WARNING,
        team="database",
        expr="time() - max by (cluster) (simplicity_backup_last_timestamp_seconds) > <26h>",
        hold="5m",
        reason="There is one a day, and two hours for it to run or to be run again. Never one counts from 1970.",
        summary=_age_or_none(
            "There is no backup of {{ $labels.cluster }}",
            "The newest backup of {{ $labels.cluster }} is {{ $value | humanizeDuration }} old",
        ),
        description="Nobody yet: a restore has to replay this much WAL, and is slower and hangs on all of it.",
        runbook="answer-backup-too-old",
        dashboard="backups",
    ),
    Alert(
        name="BackupUnproven",
        severity=Severity.WARNING,
        team="database",
        expr="time() - simplicity_backup_last_proven_timestamp_seconds > <8d>",
        hold="5m",
        reason="A restore is rehearsed every week, with a day for it to be run again.",
        summary=_age_or_none(
            "No backup of {{ $labels.cluster }} was ever restored in proof",
            "The newest backup of {{ $labels.cluster }} that was restored in proof is {{ $value | humanizeDuration }} "
            "old",
        ),
        description="Nobody yet: whether what was backed up since can be restored is not known.",
        runbook="answer-backup-too-old",
        dashboard="backups",
    ),
)

REPOSITORY = (
    Alert(
        name="BackupUnusable",
        severity=Severity.CRITICAL,
        team="database",
        expr="simplicity_backup_unusable_count > 0",
        hold="5m",
        reason=(
            "Backups are written once and signed: one that cannot be trusted any more was damaged or forged, and what "
            "did that may reach the others. Five minutes are a second look of the agent's."
        ),
        summary="{{ $value }} backups of {{ $labels.cluster }} are damaged or forged",
        description="Nobody yet: restores take another backup, as long as there is one that can be trusted.",
        runbook="answer-backup-too-old",
        dashboard="backups",
    ),
    Alert(
        name="BackupRepositoryAway",
        severity=Severity.WARNING,
        team="database",
        expr="simplicity_backup_repository_up == 0",
        hold="10m",
        reason="PostgreSQL keeps its WAL until it can be written, so that minutes of a network cost nothing.",
        summary="The repository of backups of {{ $labels.cluster }} cannot be read",
        description="Nobody yet: no backup can be made or restored, and WAL that waits fills the database's disk.",
        runbook="answer-backup-too-old",
        dashboard="backups",
    ),
    Alert(
        name="BackupAgentDown",
        places=frozenset({"local"}),  # pgBackRest has no agent: its timers and archiving have alerts of their own
        severity=Severity.WARNING,
        team="database",
        expr="""
            up{job="backup"} == 0
            or simplicity_backup_agent_connected == 0
            or time() - simplicity_backup_agent_last_look_timestamp_seconds > <5m>
        """,
        hold="10m",
        reason=(
            "It connects anew within seconds and catches up on what it missed; longer is not by itself. It looks every "
            "few seconds, also while it does long work: where the last look is old, it hangs."
        ),
        summary="The agent of the backups of {{ $labels.cluster }} is not there, hangs, or does not reach the database",
        description=(
            "Nobody: states of blocks are not recorded, and alerts of backups and of the state's hash are blind."
        ),
        runbook="answer-backup-too-old",
        dashboard="backups",
        absent='up{job="backup"}',
    ),
    Alert(
        name="WalSegmentsMissing",
        severity=Severity.WARNING,
        team="database",
        expr="simplicity_wal_missing_segments > 0",
        hold="5m",
        reason="Segments arrive in order, so a hole does not close by itself: a new backup has to begin after it.",
        summary="{{ $value }} WAL segments after the newest backup of {{ $labels.cluster }} are missing",
        description="Nobody yet: a restore ends before the hole, and what was written since would be lost.",
        runbook="answer-wal-archiving",
        dashboard="backups",
    ),
)

TRAIL = (
    Alert(
        name="AuditTrailMismatch",
        severity=Severity.CRITICAL,
        team="security",
        expr="simplicity_audit_anchor_mismatch == 1",
        hold="1m",
        reason="The copy is written once and never changed, so a contradiction is one of the two having been altered.",
        summary="The audit trail of {{ $labels.cluster }} and its copy contradict one another",
        description="Who did what cannot be trusted from the first entry on that differs; someone may be hiding it.",
        runbook="answer-audit-mismatch",
        dashboard="backups",
    ),
    Alert(
        name="AuditTrailNotCopied",
        severity=Severity.WARNING,
        team="security",
        expr="simplicity_audit_entries - simplicity_audit_anchored_entries > 0",
        hold="15m",
        reason="Entries are copied within seconds; a second place that is away for some minutes loses nothing.",
        summary="{{ $value }} entries of the audit trail of {{ $labels.cluster }} have no copy",
        description="Nobody yet: these entries could be altered without anyone being able to tell.",
        runbook="answer-audit-mismatch",
        dashboard="backups",
    ),
)

GROUP = Group(name="backups", alerts=AGES + REPOSITORY + TRAIL)
