"""What Prometheus reads of the backups: the repository's own word, not the word of who made them."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge

from audit.objects import MissingObjectError
from runbooks.backup import proofs, wal
from runbooks.backup.manifest import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from runbooks.backup.checkpoints import Checkpoint
    from runbooks.backup.manifest import Manifest
    from runbooks.backup.repository import Repository


class Metrics:
    """The gauges of one agent; moments in seconds since the epoch, 0 for never, so that never has an age too.

    What is not known yet is NaN: an agent that begins while the repository is away must not say that there never was a
    backup. Only whether it is connected, and whether the repository is there, is known from the beginning.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._count = self._gauge("backup_count", "Backups that can be trusted.", "proven")
        self._unusable = self._gauge("backup_unusable_count", "Backups that must not be used: damaged or forged.")
        self._last = self._gauge("backup_last_timestamp_seconds", "When the newest backup ended.", "kind")
        self._proven = self._gauge("backup_last_proven_timestamp_seconds", "When the newest proven backup ended.")
        self._proof = self._gauge("backup_last_proof_timestamp_seconds", "When a restore was last proven.")
        self._failed = self._gauge("backup_last_failed_proof_timestamp_seconds", "When a proof last failed.")
        self._stored = self._gauge("backup_stored_bytes", "What all backups take in the repository, without WAL.")
        self._saved = self._gauge("backup_saved_ratio", "How much smaller than the data the newest full backup is.")
        self._missing = self._gauge("wal_missing_segments", "WAL files missing after the newest backup.")
        self._archived = self._gauge("wal_last_archived_timestamp_seconds", "When WAL last reached the repository.")
        self.checkpoint = self._gauge("checkpoint_height", "The last block whose state was recorded outside.")
        self.checkpoint_at = self._gauge("checkpoint_timestamp_seconds", "When that block was recorded.")
        self.state_mismatch = self._gauge(
            "state_hash_mismatch",
            "1 while the index contradicts what was recorded of a block outside of it; NaN until all was compared.",
        )
        self.entries = self._gauge("audit_entries", "Entries of the audit trail.")
        self.anchored = self._gauge("audit_anchored_entries", "Entries that its copy in a second place has.")
        self.mismatch = self._gauge("audit_anchor_mismatch", "1 while trail and copy contradict one another.")
        self.connected = self._gauge("backup_agent_connected", "1 while the agent watches the database.")
        self.repository_up = self._gauge("backup_repository_up", "1 while the repository can be read.")
        self.looked = self._gauge(
            "backup_agent_last_look_timestamp_seconds", "When the agent last went on with its work: old where it hangs."
        )
        self.connected.set(0)
        self.repository_up.set(0)
        for proven in ("yes", "no"):
            self._count.labels(proven).set(math.nan)
        for kind in KINDS:
            self._last.labels(kind).set(math.nan)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        gauge = Gauge(f"simplicity_{name}", help_text, labels, registry=self.registry)
        if not labels:
            gauge.set(math.nan)
        return gauge

    def refresh(self, repository: Repository, trusted: Collection[bytes]) -> None:
        """Read the repository anew. Raises ObjectStoreError where it cannot be read."""
        there, unusable = repository.backups(trusted)
        found = proofs.read(repository, trusted)
        proven = proofs.proven(found)
        self._unusable.set(len(unusable))
        self._count.labels("yes").set(sum(each.id in proven for each in there))
        self._count.labels("no").set(sum(each.id not in proven for each in there))
        for kind in KINDS:
            self._last.labels(kind).set(_ended([each for each in there if each.kind == kind]))
        self._proven.set(_ended([each for each in there if each.id in proven]))
        self._proof.set(max((_seconds(at) for at in proven.values()), default=0.0))
        self._failed.set(_last_failure(found))
        self._stored.set(sum(each.stored_size for each in there))
        full = [each for each in there if each.kind == "full"]
        self._saved.set(1 - full[-1].stored_size / max(1, full[-1].data_size) if full else 0.0)
        self._wal(repository, there)

    def recorded(self, last: Sequence[Checkpoint]) -> None:
        """Tell of the last one of the blocks whose state is recorded."""
        self.checkpoint.set(last[-1].height if last else 0)
        self.checkpoint_at.set(last[-1].seen_at if last else 0)

    def _wal(self, repository: Repository, there: Sequence[Manifest]) -> None:
        archived = wal.names(repository)
        # Timelines are told apart by number alone: reading their histories takes the key that only a restore has.
        lost = wal.way(archived, there[-1], {}, timeline=there[-1].timeline).lost if there else []
        self._missing.set(len(lost))
        try:
            at = repository.store.modified(repository.name("wal", archived[-1])) if archived else 0.0
        except MissingObjectError:
            return  # pruned since it was listed
        self._archived.set(at)


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _ended(backups: Sequence[Manifest]) -> float:
    return max((each.ended.timestamp() for each in backups), default=0.0)


def _last_failure(found: Mapping[str, Sequence[proofs.Proof]]) -> float:
    return max((_seconds(proof.at) for each in found.values() for proof in each if proof.failed), default=0.0)
