"""A restore from its beginning to its proof, in stages that a new process goes on with."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg

from infra.local.layout import private_directory, read_object, write_private
from runbooks.backup import checkpoints, keys, operating, proofs, proving, restore, wal
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.scratch import scratch
from runbooks.backup.target import Target, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from indexer.progress import Progress
    from runbooks.backup.checkpoints import Checkpoint
    from runbooks.backup.keys import Opening
    from runbooks.backup.manifest import Tip
    from runbooks.backup.place import Backups
    from runbooks.backup.repository import Repository
    from runbooks.backup.scratch import Scratch
    from runbooks.backup.target import Plan

STATE = "restore.json"
FETCHED, PROVEN = "fetched", "proven"
ARCHIVE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Restored:
    """A second database that was proven: its files, where it stands, and what each check saw."""

    backup: str
    target: str
    folder: str
    tip: dict[str, Any] | None
    checks: dict[str, str]
    lost: list[str]
    seconds: float

    @property
    def sentence(self) -> str:
        """It in a line."""
        at = f"block {self.tip['height']}" if self.tip else "an empty index"
        return f"{self.backup} restored to {at} and proven in {self.seconds:.1f} s: {self.folder}"

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self)


@dataclass(slots=True)
class Restoring:
    """One restore into a folder of its own. Raises BackupError, RefusedError for what is not to be trusted."""

    place: Backups
    repository: Repository
    opening: Opening
    folder: Path
    progress: Progress
    tell: Callable[[str], None]

    def run(self, backup: str | None, target: Target, *, within: float) -> Restored:
        """Restore to a target, from a backup or from the best one, and prove it; `within` seconds."""
        began, deadline = time.monotonic(), time.monotonic() + within
        private_directory(self.folder.parent)
        private_directory(self.folder)
        state = read_object(self.folder / STATE)
        self._require_ours()
        if not state:
            self.tell(self.place.source.archive_now(within=ARCHIVE_SECONDS))
        recorded = list(checkpoints.read(self.repository, self.opening.trusted))
        chosen = self._plan(backup or state.get("backup"), target, recorded)
        if not state:
            self.tell(f"from {chosen.backup.id} to {target}")
            restore.fetch(self.repository, chosen, self.opening, self.folder, self.progress)
            self._note(stage=FETCHED, backup=chosen.backup.id)
        data = self.folder / restore.DATA
        with scratch(data, self.folder / "postgresql.log") as server:
            restore.recover(server, chosen, self.folder, within=max(1.0, deadline - time.monotonic()))
            try:
                tip = self._trim(server, chosen, deadline)
                checks, lost = self._prove(server, tip, recorded, deadline)
            except RefusedError as error:
                self._record(chosen, target, time.monotonic() - began, None, {}, str(error))
                raise
        seconds = round(time.monotonic() - began, 2)
        self._record(chosen, target, seconds, tip, checks)
        self._note(stage=PROVEN, backup=chosen.backup.id)
        shutil.rmtree(self.folder / restore.WAL, ignore_errors=True)
        plain = None if tip is None else msgspec.to_builtins(tip)
        return Restored(chosen.backup.id, str(target), str(self.folder), plain, checks, lost, seconds)

    def _note(self, **state: str) -> None:
        write_private(self.folder / STATE, json.dumps(state) + "\n")

    def _require_ours(self) -> None:
        """Refuse the backups of another network's or cluster's index."""
        about, here = self.repository.about(self.opening.trusted), self.place.environment
        owner = about.owner
        if owner is not None and (owner.cluster, owner.network) != (here.name, here.network):
            raise RefusedError(
                f"the backups of {self.repository.cluster} are of {owner}, this is {here.name} ({here.network});"
                " name the document of their environment"
            )

    def _plan(self, backup: str | None, target: Target, recorded: Sequence[Checkpoint]) -> Plan:
        trusted = self.opening.trusted
        there, unusable = self.repository.backups(trusted)
        for each in unusable:
            self.tell(f"not used: {each.reason}")
        if backup is not None:
            there = [self.repository.manifest(backup, trusted)]
        elif not there and unusable:
            raise RefusedError(unusable[-1].reason)
        archived = wal.names(self.repository)
        return plan(target, there, recorded, wal.histories(self.repository, archived, self.opening))

    def _trim(self, server: Scratch, chosen: Plan, deadline: float) -> Tip | None:
        """Bring the index to the very block that was asked for, where its transaction committed later ones with it."""
        indexer = self._indexer()
        tip, wanted = proving.tip_of(server, indexer.database), chosen.checkpoint
        if wanted is None or tip is None or tip.block_hash == wanted.block_hash:
            return tip
        if tip.height > wanted.height:
            words = ("state", "repair", "--yes", "--no-replay", f"--from-height={wanted.height + 1}")
            done = indexer.run(server.url(indexer.database), *words, deadline=deadline)
            if done.returncode != 0:
                raise BackupError(f"cannot take back what came after block {wanted.height}: {done.stderr.strip()}")
            tip = proving.tip_of(server, indexer.database)
        if tip is None or tip.block_hash != wanted.block_hash:
            at = "an empty index" if tip is None else f"block {tip.height} {tip.block_hash}"
            raise RefusedError(f"the archive leads to {at}, not to block {wanted.height} {wanted.block_hash}")
        return tip

    def _prove(
        self, server: Scratch, tip: Tip | None, recorded: Sequence[Checkpoint], deadline: float
    ) -> tuple[dict[str, str], list[str]]:
        checks, lost = operating.compare(
            server.url(self._indexer().database), self.place.anchor, self.repository.cluster
        )
        for name, what in checks.items():
            self.tell(f"{name}: {what}")
        for line in lost:
            self.tell(f"later than what is restored: {line}")
        if tip is None:
            return checks | {"recorded": "the index was empty"}, lost
        checks["recorded"] = proving.compare_recorded(tip, recorded)
        self.tell(f"recorded: {checks['recorded']}")
        checks |= proving.run_all(server, self._indexer(), tip, deadline=deadline, tell=self.tell)
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        return checks, lost

    def _indexer(self) -> proving.Indexer:
        return proving.Indexer(self.place.env_file, self.place.environment.endpoints.database.name)

    def _record(  # noqa: PLR0913, PLR0917 - what a proof says
        self, chosen: Plan, target: Target, seconds: float, tip: Tip | None, checks: dict[str, str], failed: str = ""
    ) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        proof = proofs.Proof(
            backup=chosen.backup.id,
            target=str(target),
            at=at,
            seconds=round(seconds, 2),
            tip=tip,
            checks=checks,
            failed=failed,
        )
        proofs.record(self.repository, proof, keys.load_sealing(self.place.keys).signer)
