"""Where backups lie: one repository, a part of it for each database cluster.

clusters/<system identifier>/
  cluster.json                whose index it is; WAL is kept from the moment it is there
  backups/<id>/               base.tar.zst.age, files.zst.age, configuration.tar.zst.age; manifest.json last
  wal/<name>                  one signed, sealed object a file that PostgreSQL archived
  checkpoints/<number>.ndjson what the agent recorded of each block
  proofs/<id>/<time>.json     what restores of a backup came to
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import msgspec

from audit.objects import MissingObjectError, ObjectExistsError, ObjectStoreError, open_store
from runbooks.backup import manifest as manifests
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.manifest import Owner  # noqa: TC001 - msgspec reads the annotations when it runs
from runbooks.backup.sealed import sign, signed_body

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from audit.objects import ObjectStore
    from runbooks.backup.manifest import Manifest

_CLUSTERS = "clusters/"


class Cluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose backups they are."""

    cluster: str
    environment: str
    owner: Owner | None


@dataclass(frozen=True, slots=True)
class Unusable:
    """A backup that is there and must not be used, with the reason."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Repository:
    """One cluster's part of a repository. Methods raise ObjectStoreError where the place cannot be reached."""

    store: ObjectStore
    cluster: str

    def name(self, *parts: str) -> str:
        """Return an object's name."""
        return _CLUSTERS + "/".join((self.cluster, *parts))

    @property
    def is_begun(self) -> bool:
        """Tell whether backups of this cluster are kept here: its WAL is worth nothing before the first one."""
        return bool(self.store.names(self.name("cluster.json")))

    def begin(self, environment: str, owner: Owner | None, key: Ed25519PrivateKey) -> None:
        """Keep this cluster's WAL from now on."""
        body = msgspec.json.encode(Cluster(self.cluster, environment, owner))
        try:
            self.store.put(self.name("cluster.json"), sign(body, key))
        except ObjectExistsError:
            return

    def about(self, trusted: Collection[bytes]) -> Cluster:
        """Return whose backups these are. Raises RefusedError, or BackupError where there are none."""
        try:
            data = self.store.get(self.name("cluster.json"))
        except MissingObjectError:
            raise BackupError(f"{self.store.url} has no backups of cluster {self.cluster}; make one first") from None
        name = f"cluster.json of {self.cluster}"
        found = msgspec.json.decode(signed_body(data, trusted, name=name), type=Cluster)
        if found.cluster != self.cluster:
            raise RefusedError(f"{name} is of another database cluster ({found.cluster})")
        return found

    def ids(self) -> list[str]:
        """Return the ids of all finished backups, oldest first."""
        prefix = self.name("backups", "")
        names = (name.removeprefix(prefix).split("/") for name in self.store.names(prefix))
        return sorted(parts[0] for parts in names if parts[1:] == ["manifest.json"])

    def unfinished(self) -> list[str]:
        """Return the ids of backups whose making was cut off, or goes on."""
        prefix = self.name("backups", "")
        there = {name.removeprefix(prefix).split("/")[0] for name in self.store.names(prefix)}
        return sorted(there - set(self.ids()))

    def manifest(self, backup: str, trusted: Collection[bytes]) -> Manifest:
        """Return a backup's manifest. Raises RefusedError, or BackupError where there is no such backup."""
        if not manifests.is_id(backup):
            raise BackupError(f"{backup} is no id of a backup; `simplicity backup list` shows them")
        try:
            data = self.store.get(self.name("backups", backup, "manifest.json"))
        except MissingObjectError:
            raise BackupError(f"there is no backup {backup}; `simplicity backup list` shows them") from None
        return manifests.unpack(data, trusted, backup=backup, cluster=self.cluster)

    def backups(self, trusted: Collection[bytes]) -> tuple[list[Manifest], list[Unusable]]:
        """Return the backups by time, and those that must not be used."""
        good, bad = [], []
        for backup in self.ids():
            try:
                good.append(self.manifest(backup, trusted))
            except RefusedError as error:
                bad.append(Unusable(backup, str(error)))
        return good, bad

    def chain(self, backup: Manifest, trusted: Collection[bytes]) -> list[Manifest]:
        """Return a backup and those it builds on, the full one first.

        Raises RefusedError where one of them is missing or not to be trusted.
        """
        chain = [backup]
        while (parent := chain[0].parent) is not None:
            if parent in {each.id for each in chain}:
                raise RefusedError(f"{backup.id} builds on itself: its manifest is damaged; use another backup")
            try:
                chain.insert(0, self.manifest(parent, trusted))
            except RefusedError:
                raise
            except BackupError:
                raise RefusedError(f"{backup.id} builds on {parent}, which is gone; use another backup") from None
        return chain

    @contextmanager
    def reading(self, backup: str, part: str) -> Iterator[IO[bytes]]:
        """Open a part of a backup. Raises RefusedError where it is missing."""
        try:
            with self.store.reading(self.name("backups", backup, part)) as source:
                yield source
        except MissingObjectError:
            raise RefusedError(f"{part} of {backup} is missing; use another backup") from None

    def remove(self, backup: str) -> None:
        """Delete a backup, its manifest first: what is cut off here is an unfinished backup, never a damaged one."""
        self.store.delete(self.name("backups", backup, "manifest.json"))
        for folder in ("backups", "proofs"):
            for name in self.store.names(self.name(folder, backup, "")):
                self.store.delete(name)


def clusters(store: ObjectStore) -> list[str]:
    """Return the system identifiers of the clusters whose backups lie in a repository."""
    names = (name.removeprefix(_CLUSTERS).split("/") for name in store.names(_CLUSTERS))
    return sorted({parts[0] for parts in names if parts[1:] == ["cluster.json"]})


def opened(url: str) -> ObjectStore:
    """Open the place of a repository. Raises BackupError."""
    try:
        return open_store(url)
    except ObjectStoreError as error:
        raise BackupError(f"the backup repository: {error}") from None
