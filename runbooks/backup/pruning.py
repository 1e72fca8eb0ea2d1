"""Remove what retention no longer wants: backups, WAL that leads nowhere, and what was cut off long ago."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from audit.objects import MissingObjectError
from runbooks.backup import proofs, wal
from runbooks.backup.lsn import Segment
from runbooks.backup.retention import Policy, keep

if TYPE_CHECKING:
    from collections.abc import Collection

    from runbooks.backup.repository import Repository

# Longer than any backup takes: until then it may be in the making.
_UNFINISHED_SECONDS = 86_400
_SEGMENT_NAME = 24


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed and what stays, with the reasons; `wal_files` counts what was removed of them."""

    removed: list[str]
    kept: dict[str, list[str]]
    unfinished: list[str]
    wal_files: int

    @property
    def sentence(self) -> str:
        """It in a line."""
        gone = f"{len(self.removed)} backups, {len(self.unfinished)} unfinished ones and {self.wal_files} WAL files"
        return f"removed {gone}; {len(self.kept)} backups stay"

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self)


def plan(repository: Repository, trusted: Collection[bytes], policy: Policy) -> tuple[Pruned, list[str]]:
    """Return what would be removed, and the names of the WAL files. Backups that are not to be trusted stay."""
    there, _ = repository.backups(trusted)
    kept = keep(there, proofs.proven(proofs.read(repository, trusted)), policy)
    size = there[-1].segment_size if there else 1 << 24
    files = []
    for name in wal.names(repository):
        segment = Segment.parse(name[:_SEGMENT_NAME], size)  # marks of backups and cut-off segments go with theirs
        if segment is not None and not kept.wants_segment(segment.number):
            files.append(name)
    removed = [each.id for each in there if each.id not in kept.reasons]
    reasons = {backup: list(why) for backup, why in sorted(kept.reasons.items())}
    return Pruned(
        removed, reasons, [each for each in repository.unfinished() if _is_old(repository, each)], len(files)
    ), files


def prune(repository: Repository, trusted: Collection[bytes], policy: Policy | None = None) -> Pruned:
    """Remove what retention no longer wants; cut off anywhere, it leaves only whole backups and goes on next time."""
    found, files = plan(repository, trusted, policy or Policy())
    for backup in reversed([*found.removed, *found.unfinished]):  # what builds on others goes before them
        repository.remove(backup)
    for name in files:
        repository.store.delete(repository.name("wal", name))
    return found


def _is_old(repository: Repository, backup: str) -> bool:
    written = []
    for name in repository.store.names(repository.name("backups", backup, "")):
        try:
            written.append(repository.store.modified(name))
        except MissingObjectError:
            continue
    return time.time() - max(written, default=0.0) > _UNFINISHED_SECONDS
