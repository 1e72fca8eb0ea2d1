"""Make a backup: the server's own base backup, sealed on its way into the repository."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from threading import Timer
from typing import IO, TYPE_CHECKING

from audit.objects import ObjectStoreError
from indexer.progress import quiet
from infra.local.components.postgresql import binary
from runbooks.backup import source as asking
from runbooks.backup.errors import BackupError
from runbooks.backup.manifest import Manifest, Part, pack
from runbooks.backup.sealed import Sums, damaged, seal
from runbooks.backup.tar import TarWatch

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexer.progress import Advance, Progress
    from runbooks.backup.keys import Sealing
    from runbooks.backup.manifest import Kind
    from runbooks.backup.repository import Repository
    from runbooks.backup.source import Source

BASE, FILES, CONFIGURATION = "base.tar.zst.age", "files.json.zst", "configuration.tar.zst.age"
_MANIFEST = "backup_manifest"
_MOST_FILES = 1 << 30  # bytes that a server's list of its files may unpack to


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made: `configuration` holds files by name, secrets included; it is encrypted with the rest.

    `within`: seconds that the copy may take, the wait for the last WAL to be archived included.
    """

    id: str
    kind: Kind
    environment: str
    configuration: Mapping[str, bytes]
    within: float = 600.0


def create(
    source: Source, repository: Repository, sealing: Sealing, wanted: Wanted, progress: Progress = quiet
) -> Manifest:
    """Make a backup and return its manifest; what was cut off leaves no backup behind, but its id as unfinished.

    Raises BackupError, and ObjectStoreError where the repository cannot be written.
    """
    started = datetime.now(UTC)
    with source.connected() as connection:
        server, before = asking.server(connection), asking.content(connection)
    _require(server, repository, wanted.kind)
    repository.begin(wanted.environment, before.owner, sealing.signer)
    parent = _parent(repository, sealing, wanted.kind)
    try:
        # First, so that a copy that is killed is seen as unfinished: until it is whole nothing else of it is there.
        configuration = _put_configuration(repository, sealing, wanted)
        with tempfile.TemporaryDirectory(prefix="simplicity-backup-") as folder:
            known = None if parent is None else _list_of(repository, parent, Path(folder) / _MANIFEST)
            with progress("copying", server.size) as tell:
                base, listed = _base(source, repository, sealing, wanted, known, tell)
        files = _put_list(repository, wanted.id, listed)
        with source.connected() as connection:
            after = asking.content(connection)
        ranges = json.loads(listed)["WAL-Ranges"]
        made = Manifest(
            id=wanted.id,
            kind=wanted.kind,
            parent=None if parent is None else parent.id,
            cluster=server.cluster,
            owner=after.owner,
            schema=after.schema,
            release=version("simplicity"),
            postgres=server.postgres,
            timeline=int(ranges[0]["Timeline"]),
            segment_size=server.segment_size,
            start_lsn=ranges[0]["Start-LSN"],
            stop_lsn=ranges[-1]["End-LSN"],
            started_at=started.isoformat(timespec="seconds"),
            ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
            tip=after.tip,
            audit=before.audit,
            data_size=server.size,
            base=base,
            files=files,
            configuration=configuration,
        )
        repository.store.put(repository.name("backups", wanted.id, "manifest.json"), pack(made, sealing.signer))
    except BaseException:
        with suppress(ObjectStoreError):
            repository.remove(wanted.id)
        raise
    return made


def _require(server: asking.Server, repository: Repository, kind: Kind) -> None:
    if server.cluster != repository.cluster:
        raise BackupError(f"this is database cluster {server.cluster}, not {repository.cluster}; nothing was backed up")
    if not server.archives:
        raise BackupError("the server archives no WAL (archive_mode is off); a backup could not be made consistent")
    if kind != "full" and server.postgres < asking.LEAST_INCREMENTAL:
        raise BackupError(f"PostgreSQL {server.postgres} has no incremental backups (17 has); make a full one")
    if kind != "full" and not server.summarizes:
        raise BackupError("the server summarises no WAL (summarize_wal is off); make a full backup")


def _parent(repository: Repository, sealing: Sealing, kind: Kind) -> Manifest | None:
    if kind == "full":
        return None
    there, _ = repository.backups(sealing.trusted)
    fit = [each for each in there if kind == "incremental" or each.kind == "full"]
    if not fit:
        raise BackupError(f"there is no backup that a {kind} one could build on; make a full one")
    return fit[-1]


def _list_of(repository: Repository, parent: Manifest, target: Path) -> Path:
    """Write the parent's list of files where the server's program reads it."""
    target.write_bytes(read_list(repository, parent))
    return target


def read_list(repository: Repository, backup: Manifest) -> bytes:
    """Return PostgreSQL's own manifest of a backup. Raises RefusedError where it is damaged."""
    name = f"the list of files of {backup.id}"
    with repository.reading(backup.id, backup.files.name) as source:
        data = source.read()
    if (len(data), sha256(data).hexdigest()) != (backup.files.size, backup.files.sha256):
        raise damaged(name)
    try:
        content = zstd.ZstdDecompressor().decompress(data, _MOST_FILES)
    except zstd.ZstdError:
        raise damaged(name) from None
    if sha256(content).hexdigest() != backup.files.content_sha256:
        raise damaged(name)
    return content


def _base(  # noqa: PLR0913, PLR0917 - what one program needs
    source: Source, repository: Repository, sealing: Sealing, wanted: Wanted, known: Path | None, tell: Advance
) -> tuple[Part, bytes]:
    """Let the server copy itself into the repository; return the part and the server's list of files."""
    command = [binary("pg_basebackup"), "--host", source.host, "--port", str(source.port), "--username", source.role]
    command += ["--pgdata=-", "--format=tar", "--wal-method=none", "--checkpoint=fast", "--no-password"]
    command += ["--manifest-checksums=SHA256", f"--label={wanted.id}"]
    command += [] if known is None else [f"--incremental={known}"]
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "PGPASSWORD": source.password}
    with tempfile.TemporaryFile() as said:
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env=environment
        )
        # At its end the program waits for the WAL to be archived, for ever where that fails.
        ending = Timer(wanted.within, running.kill)
        ending.start()
        try:
            assert running.stdout is not None  # noqa: S101 # nosec B101 - it was asked for above
            watch = TarWatch(running.stdout, _MANIFEST, tell)
            with repository.store.writing(repository.name("backups", wanted.id, BASE)) as target:
                sums = seal(watch, target, sealing.recipient)
                _finish(running, said, late=not ending.is_alive(), within=wanted.within)
        finally:
            ending.cancel()
            if running.poll() is None:
                running.kill()
                running.wait()
            if running.stdout is not None:
                running.stdout.close()
    if watch.found is None:
        raise BackupError("pg_basebackup has sent no list of its files; is the server older than PostgreSQL 13?")
    return Part.of(BASE, sums), watch.found


def _finish(running: subprocess.Popen[bytes], said: IO[bytes], *, late: bool, within: float) -> None:
    """Wait for the program's end before the object counts as whole. Raises BackupError with its last word."""
    if running.wait() != 0:
        if late:
            raise BackupError(
                f"the copy has not ended within {within:.0f} s; does the server archive its WAL?"
                " Its log and pg_stat_archiver say why not"
            )
        said.seek(0)
        words = said.read().decode("utf-8", "replace").strip().splitlines()
        raise BackupError(f"pg_basebackup: {words[-1].removeprefix('pg_basebackup: ') if words else 'failed'}")


def _put_list(repository: Repository, backup: str, listed: bytes) -> Part:
    data = zstd.compress(listed)
    _put(repository, backup, FILES, data)
    return Part.of(FILES, Sums(len(data), sha256(data).hexdigest(), len(listed), sha256(listed).hexdigest()))


def _put_configuration(repository: Repository, sealing: Sealing, wanted: Wanted) -> Part:
    plain, target = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in sorted(wanted.configuration.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
    plain.seek(0)
    sums = seal(plain, target, sealing.recipient)
    _put(repository, wanted.id, CONFIGURATION, target.getvalue())
    return Part.of(CONFIGURATION, sums)


def _put(repository: Repository, backup: str, part: str, data: bytes) -> None:
    # An attempt that was cut off may have left another one.
    repository.store.put(repository.name("backups", backup, part), data, replace=True)
