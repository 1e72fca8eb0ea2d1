"""Snapshots of a managed database, and restores of it: always to a new one beside it, never over it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from runbooks.drivers.aws import Aws, GoneError, ThereError
from runbooks.drivers.aws_database import AVAILABLE, ManagedDatabase
from runbooks.drivers.aws_operating import Seen, Way, go_on
from runbooks.drivers.aws_restores import OPERATION, begun_of, tags_of
from runbooks.drivers.aws_restores import look as look_at_restore
from runbooks.drivers.aws_snapshot_calls import Calls, Snapshot, calls_of
from runbooks.drivers.operations import own
from runbooks.drivers.protocols import BackupInfo, Refusal

if TYPE_CHECKING:
    from infra.environment import Environment
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import BackupKind, Operation

NAME = "managed-snapshots"
CREATE, VERIFY, RESTORE, PRUNE = "create", "verify", "restore", "prune"
# A terabyte takes an hour and more; AWS goes on with it whether somebody polls or not.
SECONDS = {CREATE: 6 * 3600.0, VERIFY: 60.0, RESTORE: 6 * 3600.0, PRUNE: 600.0}
KEEP_DAYS = 35
GIB = 2**30
_MANUAL = "manual"
# What it restores to: a name of ours, and at which moment; without one the last that can be restored.
_TARGET = re.compile(r"([a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?:@(\S+))?", re.ASCII)
_LONGEST = 58  # of 63 characters: a server's number comes after it


@dataclass(frozen=True, slots=True)
class SnapshotEngine:
    """BackupEngine of Aurora and RDS. AWS itself makes one a day and keeps the log in between, for some days.

    `verify` asks whether AWS has a snapshot, whole and encrypted; what is in it only a restore shows.
    """

    environment: Environment
    store: OperationStore

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do."""
        return frozenset({"full", "point-in-time", "encrypted"})

    @property
    def database(self) -> ManagedDatabase:
        """The database that they are of."""
        return ManagedDatabase(self.environment)

    @property
    def aws(self) -> Aws:
        """Where it is asked."""
        return self.database.aws

    @property
    def calls(self) -> Calls:
        """AWS's words for it: those of clusters, or of instances."""
        return calls_of(self.database)

    def create(self, key: str, kind: BackupKind) -> Operation:
        """Make a snapshot; the result's `backup` is its id. Refused for other kinds than full."""
        if kind != "full":
            raise Refusal(f"snapshots are full ones, not {kind}; AWS stores only what has changed by itself")
        return self._begin(key, CREATE, _snapshot_name(self.database.identifier, key))

    def backups(self) -> list[BackupInfo]:
        """Return all snapshots, the oldest first. Raises AwsError."""
        return [_info(each) for each in self.calls.all()]

    def verify(self, key: str, backup: str) -> Operation:
        """Ask whether a snapshot is there, whole and encrypted."""
        return self._begin(key, VERIFY, backup)

    def restore(self, key: str, backup: str | None, target: str) -> Operation:
        """Restore a snapshot, or for None the moment in `target` (NAME@MOMENT), to the new database NAME.

        Refused where NAME is there already, or the moment cannot be restored; what runs is not touched.
        """
        name, moment = parsed(self.aws, target)
        if self.store.find(key) is None:
            if backup is not None and moment is not None:
                raise Refusal("a snapshot is of its own moment: name a snapshot, or a moment")
            if self.calls.database(name) is not None and begun_of(self.calls, name) != key:
                raise Refusal(
                    f"there is a database {name} already; nothing is ever restored over one: take another name"
                )
            if backup is not None:
                self.calls.one(backup)
            self._check_moment(moment)
        told = moment.isoformat() if moment is not None else ""
        self.store.begin(
            key, driver=NAME, action=RESTORE, target=name, arguments={"backup": backup or "", "moment": told}
        )
        return self.poll(key)

    def prune(self, key: str) -> Operation:
        """Remove snapshots that were made by create() and are older than KEEP_DAYS; the newest of them stays."""
        return self._begin(key, PRUNE, self.database.identifier)

    def poll(self, key: str) -> Operation:
        """Go on with an operation."""
        operation = own(self.store.get(key), NAME)
        action = operation.action
        looks = {CREATE: self._created, VERIFY: self._verified, RESTORE: self._restored, PRUNE: self._pruned}
        # Once begun, AWS makes it whether somebody polls or not: whoever comes back late is told how it has ended.
        moves = action != VERIFY and "begun" not in operation.result
        way = Way(look=looks[action], patience=SECONDS[action], hint="AWS goes on with it; see it there", moves=moves)
        return go_on(self.store, NAME, key, way, pause=self.aws.pause)

    def _begin(self, key: str, action: str, target: str) -> Operation:
        self.store.begin(key, driver=NAME, action=action, target=target)
        return self.poll(key)

    def _check_moment(self, moment: datetime | None) -> None:
        if moment is None:
            return
        said = self.database.described()
        earliest, latest = said.get("EarliestRestorableTime"), said.get("LatestRestorableTime")
        if (earliest is not None and moment < earliest) or latest is None or moment > latest:
            first = earliest.astimezone(UTC).isoformat(timespec="seconds") if earliest else "its oldest snapshot"
            last = latest.astimezone(UTC).isoformat(timespec="seconds") if latest else "nothing yet"
            raise Refusal(f"{moment.isoformat()} cannot be restored; what can: from {first} to {last}")

    def _created(self, operation: Operation) -> Seen:
        try:
            found = self.calls.one(operation.target)
        except GoneError:
            with suppress(ThereError):  # of a call whose answer was lost, or not ours: its tag tells the next look
                self.calls.create(operation.target, tags_of(self.database.described(), operation.key))
            return Seen(f"{operation.target} is begun", {"begun": True})
        if found.tags.get(OPERATION) != operation.key:
            raise Refusal(f"there is a snapshot {found.id} already that is not of this operation; take another key")
        noted = {"backup": found.id}
        if found.status == "failed":
            return Seen(
                f"{found.id} has failed; see the events of {self.database.identifier} in AWS", noted, failed=True
            )
        if found.status != AVAILABLE:
            return Seen(f"{found.id}: {found.percent} %", noted)
        return Seen(f"{found.id} is made", noted, over=True)

    def _verified(self, operation: Operation) -> Seen:
        found = self.calls.one(operation.target)
        if found.status != AVAILABLE or not found.encrypted:
            why = f"is {found.status}" if found.status != AVAILABLE else "is not encrypted"
            return Seen(f"{found.id} {why}", failed=True)
        return Seen(
            f"AWS has {found.id}, whole and encrypted; what is in it only a restore shows",
            {"backup": found.id, "key": found.key},
            over=True,
        )

    def _restored(self, operation: Operation) -> Seen:
        return look_at_restore(self.database, self.calls, operation)

    def _pruned(self, _: Operation) -> Seen:
        days = int(self.environment.drivers["backup"].settings.get("keep_days", KEEP_DAYS))
        before = datetime.now(UTC) - timedelta(days=days)
        whole = [each for each in self.calls.all() if self._is_ours(each) and each.status == AVAILABLE]
        old = [each.id for each in whole[:-1] if each.made < before]
        for each in old:
            with suppress(GoneError):
                self.calls.delete(each)
        return Seen(f"{len(old)} snapshots older than {days} days are removed", {"removed": old}, over=True)

    def _is_ours(self, each: Snapshot) -> bool:
        # A snapshot has its database's tags, and a database that was restored has an operation's: the name decides.
        made_by = each.tags.get(OPERATION, "")
        return each.type == _MANUAL and each.id == _snapshot_name(self.database.identifier, made_by)


def parsed(aws: Aws, target: str) -> tuple[str, datetime | None]:
    """Return the new database's name, `simplicity-ENVIRONMENT-` before it, and the moment. Raises Refusal."""
    found = _TARGET.fullmatch(target)
    if found is None:
        raise Refusal(
            f"{target[:80]!r} is no target; take NAME or NAME@MOMENT, as before-migration@2026-11-30T05:12:00Z"
        )
    prefix = aws.name("")
    name = found[1] if found[1].startswith(prefix) else f"{prefix}{found[1]}"
    if len(name) > _LONGEST:
        raise Refusal(f"{name} is too long; {_LONGEST} characters are the most")
    if found[2] is None:
        return name, None
    try:
        moment = datetime.fromisoformat(found[2])
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Refusal(f"{found[2][:40]!r} is no moment with its zone; take one like 2026-11-30T05:12:00Z")
    return name, moment.astimezone(UTC)


def _snapshot_name(identifier: str, key: str) -> str:
    return f"{identifier}-{re.sub('[^a-z0-9]+', '-', key.lower()).strip('-')}"


def _info(each: Snapshot) -> BackupInfo:
    moment = each.made.astimezone(UTC).isoformat(timespec="seconds")
    return BackupInfo(
        id=each.id,
        kind="full",
        parent=None,
        started_at=moment,
        ended_at=moment if each.status == AVAILABLE else "",
        size=each.gib * GIB,
        data_size=each.gib * GIB,
        tip_height=None,
        tip_hash=None,
        proven_at=None,
    )
