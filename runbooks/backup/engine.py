"""The backup engine of the local envelope: PostgreSQL's own base backups and archived WAL, sealed and proven.

Every operation does its work in the process that polls it; when that process dies, the next one that polls the same
key looks at what is there and goes on.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from audit.objects import ObjectStoreError
from indexer.progress import quiet
from infra.local.layout import layout
from runbooks.backup import proofs
from runbooks.backup.create import Wanted, create
from runbooks.backup.errors import BackupError
from runbooks.backup.keys import load_opening, load_sealing, load_trusted
from runbooks.backup.manifest import KINDS, new_id
from runbooks.backup.place import Backups
from runbooks.backup.pruning import prune
from runbooks.backup.restoring import Restoring
from runbooks.backup.target import parse
from runbooks.backup.verifying import verify
from runbooks.drivers.operations import carried_out
from runbooks.drivers.protocols import BackupInfo, Operation, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from indexer.progress import Progress
    from infra.environment import Environment
    from runbooks.backup.keys import Opening
    from runbooks.backup.manifest import Manifest
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import BackupKind, Json

NAME = "local-backups"
# How long a restore and its proof may take: what B10 promises for a restore.
RESTORE_SECONDS = 900.0
# What B10 promises for a backup.
CREATE_SECONDS = 600.0
_BROKEN = (BackupError, ObjectStoreError)

Work = Callable[["LocalBackupEngine", Operation], "tuple[str, Mapping[str, Json]]"]


def local_backup_engine(environment: Environment, store: OperationStore) -> LocalBackupEngine:
    """Return the engine of an environment; nothing is asked of it yet."""
    return LocalBackupEngine(Backups(environment), store)


@dataclass(slots=True)
class LocalBackupEngine:
    """Implements BackupEngine. `progress` and `tell` hear how far the work is that this process does.

    Methods raise Refusal for what is asked wrongly, BackupError where the repository or the keys cannot be used.
    """

    place: Backups
    store: OperationStore
    progress: Progress = quiet
    tell: Callable[[str], None] = field(default=lambda _: None)
    within: float = RESTORE_SECONDS
    cluster: str | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do."""
        return frozenset({*KINDS, "point-in-time", "encrypted"})

    def create(self, key: str, kind: BackupKind) -> Operation:
        """Begin a backup; the result's `backup` is its id."""
        if kind not in KINDS:
            raise Refusal(f"there are no {kind} backups; there are {', '.join(KINDS)}")
        return self._begin(key, "create", self.place.environment.name, {"kind": kind})

    def verify(self, key: str, backup: str) -> Operation:
        """Begin to read a backup, and the WAL after it, to the last byte."""
        return self._begin(key, "verify", backup, {})

    def restore(self, key: str, backup: str | None, target: str) -> Operation:
        """Begin to restore into a second database, and to prove it; the result's `folder` has its files."""
        try:
            parse(target)
        except ValueError as error:
            raise Refusal(str(error)) from None
        return self._begin(key, "restore", backup or "", {"to": target, "cluster": self.cluster})

    def prune(self, key: str) -> Operation:
        """Begin to remove what retention no longer wants."""
        return self._begin(key, "prune", self.place.environment.name, {})

    def backups(self) -> list[BackupInfo]:
        """Return all backups that can be trusted, oldest first."""
        repository, trusted = self.place.repository(self.cluster), load_trusted(self.place.keys)
        there, _ = repository.backups(trusted)
        proven = proofs.proven(proofs.read(repository, trusted))
        return [info(each, proven.get(each.id)) for each in there]

    def archive_now(self, within: float) -> str:
        """Let the server archive what is not archived yet, and return what came of it."""
        return self.place.source.archive_now(within=within)

    def discard(self, run: str) -> None:
        """Delete the files of every restore that a run has begun."""
        discard(run)

    def left(self, run: str) -> list[str]:
        """Return the folders of restores of a run that are there still."""
        return [str(each) for each in sorted(restored_folder(run).parent.glob(f"{run}-*"))]

    def poll(self, key: str) -> Operation:
        """Do the work of an operation unless another process is at it, and return how it stands."""
        return carried_out(self.store, NAME, key, self._work, _BROKEN)

    def _begin(self, key: str, action: str, target: str, arguments: Mapping[str, Json]) -> Operation:
        return self.store.begin(key, driver=NAME, action=action, target=target, arguments=arguments)

    def _work(self, operation: Operation) -> tuple[str, Mapping[str, Json]]:
        return WORK[operation.action](self, operation)

    def _create(self, operation: Operation) -> tuple[str, Mapping[str, Json]]:
        sealing = load_sealing(self.place.keys)
        repository = self.place.repository()
        kind: Any = operation.arguments["kind"]
        backup = str(operation.result.get("backup") or new_id(datetime.now(UTC), kind))
        began = time.monotonic()
        if backup in repository.ids():  # it was complete when the process died
            made = repository.manifest(backup, sealing.trusted)
        else:
            repository.remove(backup)
            self.store.update(operation, detail=f"making {backup}", result={"backup": backup})
            wanted = Wanted(
                backup,
                kind,
                self.place.environment.name,
                self.place.configuration(),
                within=min(self.within, CREATE_SECONDS),
            )
            made = create(self.place.source, repository, sealing, wanted, self.progress)
        return made_sentence(made), {"backup": made.id, "seconds": round(time.monotonic() - began, 2), **sizes(made)}

    def _verify(self, operation: Operation) -> tuple[str, Mapping[str, Json]]:
        found = verify(self.place.repository(self.cluster), operation.target, self.place.keys, self.progress)
        return found.sentence, found.as_dict()

    def _prune(self, _: Operation) -> tuple[str, Mapping[str, Json]]:
        found = prune(self.place.repository(self.cluster), load_trusted(self.place.keys))
        return found.sentence, found.as_dict()

    def _restore(self, operation: Operation) -> tuple[str, Mapping[str, Json]]:
        folder = restored_folder(operation.key)
        restoring = Restoring(
            self.place,
            self.place.repository(str(operation.arguments["cluster"]) if operation.arguments["cluster"] else None),
            self._opening(),
            folder,
            self.progress,
            self.tell,
        )
        done = restoring.run(operation.target or None, parse(str(operation.arguments["to"])), within=self.within)
        return done.sentence, done.as_dict()

    def _opening(self) -> Opening:
        return load_opening(self.place.keys)


WORK: dict[str, Work] = {
    "create": LocalBackupEngine._create,  # noqa: SLF001 - this table is the class's own
    "verify": LocalBackupEngine._verify,  # noqa: SLF001
    "restore": LocalBackupEngine._restore,  # noqa: SLF001
    "prune": LocalBackupEngine._prune,  # noqa: SLF001
}


def restored_folder(key: str) -> Path:
    """Return where the files of a restore lie."""
    return layout().home / "restored" / key


def discard(run: str) -> None:
    """Delete the files of every restore that a run has begun."""
    from runbooks.backup.scratch import stop_leftover  # noqa: PLC0415 - only this needs it

    for folder in restored_folder(run).parent.glob(f"{run}-*"):
        stop_leftover(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)


def info(backup: Manifest, proven_at: str | None) -> BackupInfo:
    """Return a backup as the protocol has it."""
    return BackupInfo(
        id=backup.id,
        kind=backup.kind,
        parent=backup.parent,
        started_at=backup.started_at,
        ended_at=backup.ended_at,
        size=backup.stored_size,
        data_size=backup.data_size,
        tip_height=None if backup.tip is None else backup.tip.height,
        tip_hash=None if backup.tip is None else backup.tip.block_hash,
        proven_at=proven_at,
    )


def sizes(backup: Manifest) -> dict[str, Json]:
    """Return the sizes of a backup in bytes, and how much smaller than the data it is, as a share."""
    return {
        "size": backup.stored_size,
        "data_size": backup.data_size,
        "saved": round(1 - backup.stored_size / max(1, backup.data_size), 3),
    }


def made_sentence(backup: Manifest) -> str:
    """Say in a line what was made."""
    at = f", block {backup.tip.height}" if backup.tip else ""
    saved = 1 - backup.stored_size / max(1, backup.data_size)
    return f"{backup.id}: {backup.stored_size / 1e6:.1f} MB, {saved:.0%} less than the data{at}"
