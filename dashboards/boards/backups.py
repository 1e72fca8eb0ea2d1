"""Backups, and the rehearsals that prove them: how much would be lost, and how sure that is."""

from __future__ import annotations

from dashboards.model import Dashboard, Panel, Row, Unit
from dashboards.writing import above, one

AGES = Row(
    title="How old",
    panels=(
        Panel(
            title="Newest backup",
            description="The age of the newest backup of any kind. Decades: there is none.",
            unit=Unit.SECONDS,
            queries=one('time() - max(simplicity_backup_last_timestamp_seconds{cluster="$cluster"})', "newest"),
            witness="backup",
            lines=(above(93_600, "BackupTooOld"),),
        ),
        Panel(
            title="Newest proven backup",
            description="The age of the newest backup that was restored and proven by the index itself.",
            unit=Unit.SECONDS,
            queries=one('time() - max(simplicity_backup_last_proven_timestamp_seconds{cluster="$cluster"})', "proven"),
            witness="backup",
            lines=(above(691_200, "BackupUnproven"),),
        ),
        Panel(
            title="Last rehearsal",
            description="Since when no restore has been rehearsed to its end.",
            unit=Unit.SECONDS,
            queries=one(
                'time() - max(simplicity_backup_last_proof_timestamp_seconds{cluster="$cluster"})', "rehearsal"
            ),
            witness="backup",
        ),
    ),
)

STREAM = Row(
    title="What is written since",
    panels=(
        Panel(
            title="Newest WAL in the repository",
            description="How much would be lost with the database's host: what was written since.",
            unit=Unit.SECONDS,
            queries=one('time() - max(simplicity_wal_last_archived_timestamp_seconds{cluster="$cluster"})', "archived"),
            witness="archive-broken",
        ),
        Panel(
            title="WAL that was not taken",
            description="Times a minute that the server could not hand its WAL over. It keeps it until it can, and its"
            " disk fills.",
            unit=Unit.NUMBER,
            queries=one(
                '60 * sum by (instance) (rate(pg_stat_archiver_failed_count{cluster="$cluster"}[$__rate_interval]))',
                "{{instance}}",
            ),
            witness="archive-broken",
        ),
        Panel(
            title="Newest recorded state",
            description="The age of the last block whose state was recorded outside of the database: what a restore is"
            " measured by. It grows between blocks.",
            unit=Unit.SECONDS,
            queries=one('time() - max(simplicity_checkpoint_timestamp_seconds{cluster="$cluster"})', "recorded"),
            witness="sync-stopped",
        ),
    ),
)

REPOSITORY = Row(
    title="Repository",
    panels=(
        Panel(
            title="Added to the repository",
            description="Bytes a second by which the backups grow; below 0 old ones were pruned.",
            unit=Unit.BYTES_PER_SECOND,
            queries=one('max(deriv(simplicity_backup_stored_bytes{cluster="$cluster"}[$__rate_interval]))', "added"),
            witness="backup",
            width=12,
        ),
        Panel(
            title="Entries of the audit trail",
            description="Entries a minute that the trail of who did what grew by.",
            unit=Unit.NUMBER,
            queries=one('60 * max(deriv(simplicity_audit_entries{cluster="$cluster"}[$__rate_interval]))', "entries"),
            witness="backup",
            width=12,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="backups",
    title="Backups and rehearsals",
    description="How much would be lost, how sure a restore is, and what keeps it so.",
    rows=(AGES, STREAM, REPOSITORY),
)
