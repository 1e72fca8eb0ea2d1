"""The local envelope's own PostgreSQL for tests of backups: it archives by the very command line that `up` gives it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psycopg

from infra.local.assembly import ensure_secrets
from infra.local.component import Envelope, Options, components
from infra.local.components import backup, postgresql
from infra.local.document import document_of
from infra.local.layout import Layout
from infra.local.processes import child_environment
from runbooks.backup.manifest import Manifest, Part
from runbooks.backup.place import Backups
from tests.support.postgres import START_SECONDS, Cluster, free_port

if TYPE_CHECKING:
    from runbooks.backup.source import Source

ARCHIVE_SECONDS = 30
ROOM = 2 << 30  # bytes
HASH = "ab" * 32
ID = "20261130T051200Z-full-3f9a"
# Nothing is ever killed here, so nothing has to be on the disk.
QUICK = ("-c", "fsync=off", "-c", "synchronous_commit=off")


@dataclass
class Archiving(Cluster):
    """Has the roles, the passwords, the keys and the repository of an envelope; `envelope` has their places."""

    envelope: Envelope = field(kw_only=True)

    @classmethod
    def create(cls) -> Self:
        directory = new_folder("simplicity-pg-")
        place = Layout(home=directory / "home", tools=directory / "tools")
        place.create()
        everything, port = components(), free_port()
        ports = {each.name: 9 for component in everything for each in component.ports} | {postgresql.PORT: port}
        secrets = ensure_secrets(place, (name for component in everything for name in component.secrets))
        made = cls(directory, port, envelope=Envelope(place, ports, Options(), secrets))
        for component in (*postgresql.COMPONENTS, *backup.COMPONENTS):
            component.prepare(made.envelope)
        document_of(made.envelope).save(place.environment)
        made.start()
        try:
            postgresql.COMPONENTS[0].settle(made.envelope)
        except BaseException:
            made.stop()
            raise
        return made

    def start(self) -> None:
        (component,) = postgresql.COMPONENTS
        place = self.envelope.layout
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*component.command(self.envelope), *QUICK],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=child_environment(place.data) | dict(component.environment(self.envelope)),
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start"

    def url(self, database: str = "postgres", user: str = postgresql.SUPERUSER) -> str:
        password = self.envelope.secrets["superuser_password"]
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    @property
    def writer_url(self) -> str:
        """The index, as the writer."""
        return postgresql.url(self.envelope, postgresql.WRITER)

    @property
    def backup_url(self) -> str:
        """The index, as the role that makes backups."""
        return postgresql.url(self.envelope, postgresql.BACKUP)

    @property
    def place(self) -> Backups:
        """The backups, as the environment's document has them."""
        return Backups(document_of(self.envelope))

    @property
    def source(self) -> Source:
        return self.place.source

    def archived(self) -> str:
        """Let all WAL up to here reach the archive; return the name of its last file."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            # At the very beginning of a segment a switch would do nothing.
            connection.execute("SELECT pg_logical_emit_message(true, 'test', '')")
            row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
            assert row is not None
            deadline = time.monotonic() + ARCHIVE_SECONDS
            while not _is_archived(connection, row[0]):
                assert time.monotonic() < deadline, (self.directory / "log").read_text()[-2_000:]
                time.sleep(0.02)
        return str(row[0])


def new_folder(prefix: str) -> Path:
    """Make a directory, in memory where there is room: servers on it, and what they restore, sync at every step."""
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private directory in it
    has_room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM
    return Path(tempfile.mkdtemp(prefix=prefix, dir=memory if has_room else None))


def _is_archived(connection: psycopg.Connection[Any], name: str) -> bool:
    row = connection.execute("SELECT last_archived_wal FROM pg_stat_archiver").fetchone()
    # Names of segments alone: ends of backups are archived under longer ones.
    return row is not None and row[0] is not None and row[0][:24] >= name


def a_part(name: str = "base.tar.zst.age", **changes: Any) -> Part:  # noqa: ANN401 - fields of a Part
    fields: dict[str, Any] = {"size": 300, "sha256": HASH, "content_size": 1_000, "content_sha256": HASH}
    return Part(name=name, **(fields | changes))


def a_manifest(**changes: Any) -> Manifest:  # noqa: ANN401 - fields of a Manifest
    """The manifest of a backup that nobody has made."""
    fields: dict[str, Any] = {
        "id": ID,
        "kind": "full",
        "parent": None,
        "cluster": "7412345678901234567",
        "owner": None,
        "schema": "0003",
        "release": "0.1.0",
        "postgres": 18,
        "timeline": 1,
        "segment_size": 1 << 24,
        "start_lsn": "0/2000028",
        "stop_lsn": "0/2000158",
        "started_at": "2026-11-30T05:12:00+00:00",
        "ended_at": "2026-11-30T05:12:09+00:00",
        "tip": None,
        "audit": None,
        "data_size": 10_000,
        "base": a_part(),
        "files": a_part("files.json.zst"),
        "configuration": a_part("configuration.tar.zst.age"),
    }
    return Manifest(**(fields | changes))


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its name there."""
    return {os.path.relpath(path, folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
