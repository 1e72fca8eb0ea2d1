"""Read a backup to the last byte: what it holds is what was signed, and the WAL after it has no gap."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from indexer.progress import quiet
from runbooks.backup import wal
from runbooks.backup.create import read_list
from runbooks.backup.keys import IDENTITY, load_opening, load_trusted
from runbooks.backup.restoring import kept_since, known_of
from runbooks.backup.sealed import require_stored, unseal
from runbooks.backup.target import Known, Target, plan

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from indexer.progress import Progress
    from runbooks.backup.keys import Opening
    from runbooks.backup.manifest import Manifest
    from runbooks.backup.repository import Repository


@dataclass(frozen=True, slots=True)
class Whole:
    """A backup that is whole: the backups it builds on included, sizes in bytes, and the last WAL file after it."""

    backup: str
    chain: list[str]
    stored: int
    content: int
    wal_files: int
    until: str
    decrypted: bool

    @property
    def sentence(self) -> str:
        """It in a line."""
        parts = f" with {len(self.chain) - 1} that it builds on" if len(self.chain) > 1 else ""
        read = f"{self.stored / 1e6:.1f} MB read"
        how = "" if self.decrypted else " (as stored: this host has no identity to decrypt by)"
        return (
            f"{self.backup}{parts} is whole: {read}, {self.wal_files} WAL files without a gap up to {self.until}{how}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self)


def verify(repository: Repository, backup: str, keys: Path, progress: Progress = quiet) -> Whole:
    """Read everything that a restore of this backup would. Raises RefusedError for what is damaged or missing.

    A host that has no identity in the directory of keys checks signatures and what is stored, and decrypts nothing.
    """
    trusted = load_trusted(keys)
    opening = load_opening(keys) if (keys / IDENTITY).exists() else None
    chain = repository.chain(repository.manifest(backup, trusted), trusted)
    found = _way(repository, chain[-1], trusted, opening)
    wal.require_unbroken(found.lost, chain[-1])
    total = sum(each.stored_size for each in chain)
    content = done = 0
    with progress("reading the backup", total) as advance:
        for each in chain:
            content += _read(repository, each, opening)
            done += each.stored_size
            advance(done)
    with progress("reading WAL", len(found.there)) as advance:
        for number, name in enumerate(found.there):
            wal.check(repository, name, trusted, opening)
            advance(number)
    last = found.there[-1] if found.there else "its own end"
    ids = [each.id for each in chain]
    return Whole(backup, ids, total, content, len(found.there), last, decrypted=opening is not None)


def _way(repository: Repository, backup: Manifest, trusted: Collection[bytes], opening: Opening | None) -> wal.Way:
    """Return the WAL that a restore of this backup to the end of the archive would take."""
    archived = wal.names(repository)
    there, _ = repository.backups(trusted)
    if opening is None:  # the histories of timelines are encrypted: it is looked along the backup's own
        known = Known(there, [], live=backup.timeline, since=kept_since(repository, trusted, there))
    else:
        known = known_of(repository, opening, there, None)
    chosen = plan(Target("latest"), known, backup)
    return wal.way(archived, backup, known.ancestry, timeline=chosen.timeline, until=chosen.last)


def _read(repository: Repository, backup: Manifest, opening: Opening | None) -> int:
    """Read a backup's parts; return the size that they unpack to."""
    read_list(repository, backup)
    for part in (backup.base, backup.configuration):
        name = f"{part.name} of {backup.id}"
        with repository.reading(backup.id, part.name) as source:
            if opening is None:
                require_stored(source, part.sums, name=name)
            else:
                unseal(source, None, part.sums, opening.identity, name=name)
    return backup.base.content_size + backup.configuration.content_size
