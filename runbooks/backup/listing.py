"""The list of backups as a person reads it: what there is, how large, and whether it was ever proven."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from runbooks.backup import proofs
from runbooks.backup.engine import info
from runbooks.backup.keys import load_trusted

if TYPE_CHECKING:
    from pathlib import Path

    from runbooks.backup.proofs import Proof
    from runbooks.backup.repository import Repository, Unusable
    from runbooks.drivers.protocols import BackupInfo

UNPROVEN = "UNPROVEN"


@dataclass(frozen=True, slots=True)
class Listing:
    """All backups of a cluster, those that must not be used, those that were cut off, and failed proofs by backup."""

    cluster: str
    url: str
    backups: list[BackupInfo]
    unusable: list[Unusable]
    unfinished: list[str]
    failed: dict[str, Proof]

    @classmethod
    def of(cls, repository: Repository, keys: Path) -> Listing:
        """Read a repository."""
        trusted = load_trusted(keys)
        there, unusable = repository.backups(trusted)
        found = proofs.read(repository, trusted)
        proven = proofs.proven(found)
        failed = {backup: each[-1] for backup, each in found.items() if each[-1].failed}
        rows = [info(each, proven.get(each.id)) for each in there]
        return cls(repository.cluster, repository.store.url, rows, unusable, repository.unfinished(), failed)

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "cluster": self.cluster,
            "repository": self.url,
            "backups": [asdict(each) | {"proven": each.proven_at is not None} for each in self.backups],
            "unusable": [asdict(each) for each in self.unusable],
            "unfinished": self.unfinished,
            "failed_proofs": {backup: proof.failed for backup, proof in self.failed.items()},
        }

    def show(self) -> None:
        """Print it for a person."""
        console = Console()
        console.print(f"cluster {self.cluster} in {self.url}", markup=False, highlight=False)
        if not self.backups:
            console.print("no backup yet: `simplicity backup create` makes one", markup=False, highlight=False)
        else:
            console.print(self._table())
        for each in self.unusable:
            console.print(f"MUST NOT BE USED: {each.reason}", markup=False, highlight=False)
        for backup, proof in self.failed.items():
            console.print(f"PROOF FAILED: {backup} at {proof.at}: {proof.failed}", markup=False, highlight=False)
        for backup in self.unfinished:
            console.print(f"unfinished: {backup} (in the making, or cut off)", markup=False, highlight=False)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading, right in (("backup", False), ("block", True), ("MB", True), ("saved", True), ("proven", False)):
            table.add_column(heading, justify="right" if right else "left", no_wrap=True)
        for each in self.backups:
            table.add_row(
                each.id,
                "-" if each.tip_height is None else str(each.tip_height),
                f"{each.size / 1e6:.1f}",
                f"{1 - each.size / max(1, each.data_size):.0%}",
                f"[green]{each.proven_at[:16]}Z[/]" if each.proven_at else f"[red]{UNPROVEN}[/]",
            )
        return table
