"""What an Environment document says of its backups: where they are, with which keys, of which database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit.entry import Json, entry
from audit.objects import ObjectStoreError, open_store
from infra.environment import EnvironmentFileError
from infra.local.layout import layout
from runbooks.backup.errors import BackupError
from runbooks.backup.repository import Repository, clusters, opened
from runbooks.backup.source import Source, server
from runbooks.engine.model import Silent
from runbooks.engine.wiring import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit.objects import ObjectStore
    from infra.environment import Environment

DRIVER = "physical"
# Databases that AWS runs and backs up itself.
SNAPSHOTS = frozenset({"aurora", "rds"})
# Configuration of an environment lies in files of a few kilobytes.
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Backups:
    """The backups of one environment."""

    environment: Environment

    def setting(self, name: str) -> str:
        """Return a setting of the backup driver. Raises BackupError where the environment has none of this kind."""
        driver = self.environment.drivers.get("backup")
        if driver is not None and driver.kind in SNAPSHOTS:
            raise BackupError(
                f"AWS backs {self.environment.name} up: `simplicity infrastructure snapshots` looks after its snapshots"
            )
        if driver is None or driver.kind != DRIVER or name not in driver.settings:
            raise BackupError(f"{self.environment.name} has no backups of this kind; `simplicity up` makes them ready")
        return driver.settings[name]

    @property
    def store(self) -> ObjectStore:
        """Where they lie."""
        return opened(self.setting("repository"))

    @property
    def keys(self) -> Path:
        """The directory with their keys."""
        return Path(self.setting("keys"))

    @property
    def env_file(self) -> Path:
        """The settings of the indexer."""
        return Path(self.setting("env_file"))

    @property
    def source(self) -> Source:
        """The database, as the role that makes backups."""
        where = self.environment.endpoints.database
        try:
            password = self.environment.secret("database_backup_password")
        except EnvironmentFileError as error:
            raise BackupError(str(error)) from None
        return Source(where.host, where.port, where.name, self.setting("role"), password)

    @property
    def anchor(self) -> ObjectStore | None:
        """The second place of the audit trail, None where there is none."""
        driver = self.environment.drivers.get("audit")
        if driver is None:
            return None
        try:
            days = int(driver.settings.get("lock_days", "0"))
            return open_store(driver.settings["url"], lock_days=days or None, write_once=True)
        except ObjectStoreError as error:
            raise BackupError(f"the audit trail's second place: {error}") from None

    def repository(self, cluster: str | None = None) -> Repository:
        """Return the part of a cluster: the one named, else that of the live database, else the only one there is.

        Raises BackupError where that leaves a choice.
        """
        store = self.store
        if cluster is not None:
            return Repository(store, cluster)
        try:
            with self.source.connected() as connection:
                return Repository(store, server(connection).cluster)
        except BackupError as error:
            known = clusters(store)
            if len(known) == 1:
                return Repository(store, known[0])
            choice = f"there are {', '.join(known)}" if known else f"{store.url} has no backups"
            raise BackupError(f"the live database does not answer; say --cluster, {choice} ({error})") from None

    def record(self, action: str, target: str, after: Mapping[str, Json]) -> None:
        """Write an entry to the environment's audit trail; it waits where the database is away."""
        place_of(self.environment, layout().environment, Silent()).recorder.record(entry(action, target, after=after))

    def configuration(self) -> dict[str, bytes]:
        """Return the files that make this environment what it is, by the name they have in a backup: secrets too.

        The keys of the backups are left out: a backup that holds its own key protects nothing.
        """
        found = {"environment.json": self.environment.model_dump_json(indent=2).encode()}
        paths = {"indexer.env": self.env_file} | {
            f"secrets/{name}": Path(reference.name)
            for name, reference in self.environment.secrets.items()
            if reference.source == "file"
        }
        for name, path in paths.items():
            try:
                with path.open("rb") as file:
                    found[name] = file.read(MOST_BYTES)
            except FileNotFoundError:
                continue  # a node that has never run has no cookie yet
            except OSError as error:
                raise BackupError(f"{path} cannot be read ({error.strerror}); a backup holds it too") from None
        return found
