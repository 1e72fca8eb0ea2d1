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

from indexer.store import schema
from indexer.store.connection import StoreError, StoreUnavailableError
from infra.local.layout import private_directory, read_object, write_private
from runbooks.backup import checkpoints, keys, operating, proofs, proving, restore, wal
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.retention import Policy, keep
from runbooks.backup.scratch import scratch
from runbooks.backup.target import Known, Target, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from indexer.progress import Progress
    from runbooks.backup.checkpoints import Checkpoint
    from runbooks.backup.keys import Opening
    from runbooks.backup.manifest import Manifest, Tip
    from runbooks.backup.place import Backups
    from runbooks.backup.repository import Repository
    from runbooks.backup.scratch import Scratch
    from runbooks.backup.target import Plan

STATE = "restore.json"
FETCHED, PROVEN = "fetched", "proven"
ARCHIVE_SECONDS = 20.0
# The agent looks once a second, and waits for the repository.
AGENT_SECONDS, POLL_SECONDS = 10.0, 0.5


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
        # Begun before, it goes on as it was planned, whatever has become of the live server since.
        live = int(state["timeline"]) if state else self.place.source.timeline(self.repository.cluster)
        if not state and live is not None:
            self.tell(self.place.source.archive_now(within=ARCHIVE_SECONDS))
        chosen = self._plan(backup or state.get("backup"), target, live)
        if not state:
            self.tell(f"from {chosen.backup.id} {'as it is' if chosen.as_it_is else f'to {target}'}")
            restore.fetch(self.repository, chosen, self.opening, self.folder, self.progress)
            self._note(stage=FETCHED, backup=chosen.backup.id, timeline=str(chosen.timeline))
        data = self.folder / restore.DATA
        with scratch(data, self.folder / "postgresql.log") as server:
            restore.recover(server, chosen, self.folder, within=max(1.0, deadline - time.monotonic()))
            try:
                checks, lost = self._compare_operating(server, chosen)
                self._bring_schema(server, chosen.backup)
                tip = self._trim(server, chosen, deadline)
                checks |= self._prove(server, tip, chosen, deadline)
            except RefusedError as error:
                self._record(chosen, target, time.monotonic() - began, None, {}, str(error))
                raise
        seconds = round(time.monotonic() - began, 2)
        self._record(chosen, target, seconds, tip, checks)
        self._note(stage=PROVEN, backup=chosen.backup.id, timeline=str(chosen.timeline))
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

    def _plan(self, backup: str | None, target: Target, live: int | None) -> Plan:
        trusted = self.opening.trusted
        there, unusable = self.repository.backups(trusted)
        for each in unusable:
            self.tell(f"not used: {each.reason}")
        wanted = None if backup is None else self.repository.manifest(backup, trusted)
        if not there and unusable:
            raise RefusedError(unusable[-1].reason)
        return plan(target, known_of(self.repository, self.opening, there, live), wanted)

    def _compare_operating(self, server: Scratch, chosen: Plan) -> tuple[dict[str, str], list[str]]:
        url = server.url(self._indexer().database)
        head = chosen.backup.audit
        checks, lost = operating.compare(url, self.place.anchor, self.repository.cluster, head)
        for name, what in checks.items():
            self.tell(f"{name}: {what}")
        for line in lost:
            self.tell(f"later than what is restored: {line}")
        return checks, lost

    def _bring_schema(self, server: Scratch, backup: Manifest) -> None:
        """Bring what an earlier release has left to this one's schema: only then can its rows be verified."""
        if backup.owner is None or backup.schema == schema.head():
            return
        database = self.place.environment.endpoints.database
        self.tell(f"schema {backup.schema} is brought to {schema.head()}")
        try:
            schema.migrate(server.url(database.name, role=database.writer_role))
        except (StoreError, StoreUnavailableError) as error:
            raise BackupError(f"the backup is of another release ({backup.release}): {error}") from None

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

    def _prove(self, server: Scratch, tip: Tip | None, chosen: Plan, deadline: float) -> dict[str, str]:
        if tip is None:
            if chosen.backup.tip is not None or chosen.checkpoint is not None:
                raise RefusedError("the restored database has no index, though the backup had one; use another backup")
            return {"recorded": "the index was empty"}
        recorded = self._recorded(tip)
        checks = {"recorded": proving.compare_recorded(tip, recorded)}
        if recorded[-1].height > tip.height and chosen.settings.keys() <= {"recovery_target_timeline"}:
            last = recorded[-1]
            checks["recorded"] += f"; blocks up to {last.height} were recorded later than what is archived"
        self.tell(f"recorded: {checks['recorded']}")
        checks |= proving.run_all(server, self._indexer(), tip, deadline=deadline, tell=self.tell)
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        return checks

    def _recorded(self, tip: Tip) -> list[Checkpoint]:
        """Read what was recorded; a block of this very moment may be on its way there."""
        patience = time.monotonic() + AGENT_SECONDS
        while True:
            recorded = list(checkpoints.read(self.repository, self.opening.trusted))
            if any(each.block_hash == tip.block_hash for each in recorded) or time.monotonic() > patience:
                return recorded
            time.sleep(POLL_SECONDS)

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
        if not (self.place.keys / keys.SIGNING).exists():
            self.tell("the proof is not kept: this host has no signing key")
            return
        proofs.record(self.repository, proof, keys.load_sealing(self.place.keys).signer)


def known_of(repository: Repository, opening: Opening, backups: Sequence[Manifest], live: int | None) -> Known:
    """Return what a plan is made from."""
    archived = wal.names(repository)
    return Known(
        backups=backups,
        recorded=list(checkpoints.read(repository, opening.trusted)),
        ancestry=wal.histories(repository, archived, opening),
        live=live,
        since=kept_since(repository, opening.trusted, backups),
    )


def kept_since(repository: Repository, trusted: Collection[bytes], backups: Sequence[Manifest]) -> int | None:
    """Return the segment from which on all WAL is kept, None where none is given up."""
    return keep(backups, proofs.proven(proofs.read(repository, trusted)), Policy()).since
