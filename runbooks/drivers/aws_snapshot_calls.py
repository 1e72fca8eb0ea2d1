"""Snapshots in AWS's words: those of Aurora's clusters and those of RDS' instances are the same under other names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runbooks.drivers.aws import Aws, GoneError
from runbooks.drivers.aws_database import AURORA, ManagedDatabase, cluster, instance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot; `gib` is what it has at most, 0 where AWS does not tell.

    `type` is "manual" where somebody has made it, else AWS's own word: "automated", "awsbackup", "shared".
    """

    id: str
    type: str
    status: str
    percent: int
    made: datetime
    encrypted: bool
    key: str
    gib: int
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What is asked of AWS for one kind of database: `family` is part of a call's name, `word` of its fields."""

    aws: Aws
    identifier: str
    family: str
    word: str
    encrypted: str

    def all(self) -> list[Snapshot]:
        """Return the database's snapshots, the oldest first."""
        of = {self.of: self.identifier}
        found = self.aws.all("rds", f"describe_{self.family}_snapshots", f"{self.word}Snapshots", **of)
        return sorted((self._snapshot(each) for each in found), key=lambda each: (each.made, each.id))

    def one(self, name: str) -> Snapshot:
        """Return a snapshot. Raises GoneError where there is none of that name."""
        of = {f"{self.word}SnapshotIdentifier": name}
        found = self.aws.call("rds", f"describe_{self.family}_snapshots", **of)[f"{self.word}Snapshots"]
        if not found:
            raise GoneError(f"there is no snapshot {name} of {self.identifier}")
        return self._snapshot(found[0])

    def create(self, name: str, tags: Sequence[Mapping[str, str]]) -> None:
        """Begin a snapshot."""
        of = {f"{self.word}SnapshotIdentifier": name, self.of: self.identifier}
        self.aws.call("rds", f"create_{self.family}_snapshot", **of, Tags=tags)

    def delete(self, name: str) -> None:
        """Remove a snapshot."""
        self.aws.call("rds", f"delete_{self.family}_snapshot", **{f"{self.word}SnapshotIdentifier": name})

    def database(self, name: str) -> dict[str, Any] | None:
        """Return what AWS says of a database of this kind, None where there is none of that name."""
        try:
            return cluster(self.aws, name) if self.is_cluster else instance(self.aws, name)
        except GoneError:
            return None

    @property
    def of(self) -> str:
        """The field with the database's name."""
        return "DBClusterIdentifier" if self.is_cluster else "DBInstanceIdentifier"

    @property
    def is_cluster(self) -> bool:
        """Whether it is a cluster, whose servers are made apart from it."""
        return self.family == "db_cluster"

    def _snapshot(self, said: Mapping[str, Any]) -> Snapshot:
        return Snapshot(
            id=said[f"{self.word}SnapshotIdentifier"],
            type=said.get("SnapshotType", ""),
            status=said["Status"],
            percent=said.get("PercentProgress", 0),
            made=said.get("SnapshotCreateTime") or _EPOCH,
            encrypted=bool(said.get(self.encrypted)),
            key=said.get("KmsKeyId", ""),
            gib=said.get("AllocatedStorage", 0),
            tags={each["Key"]: each.get("Value", "") for each in said.get("TagList") or ()},
        )


def calls_of(database: ManagedDatabase) -> Calls:
    """Return the calls for a database."""
    is_cluster = database.kind == AURORA
    return Calls(
        aws=database.aws,
        identifier=database.identifier,
        family="db_cluster" if is_cluster else "db",
        word="DBCluster" if is_cluster else "DB",
        encrypted="StorageEncrypted" if is_cluster else "Encrypted",
    )
