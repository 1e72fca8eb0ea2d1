"""Backups: one is made, one is damaged; the repository and the trail."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from tests.prove.observability.faults.processes import repeated
from tests.prove.observability.stage import MAKING_A_BACKUP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.prove.observability.stage import Stage


@contextmanager
def backup(stage: Stage) -> Iterator[None]:
    """A backup is made and proven."""
    with MAKING_A_BACKUP:
        stage.done("backup", "create")
        stage.done("runbook", "run", "prove-backup", "--yes")
    yield


@contextmanager
def archive_broken(stage: Stage) -> Iterator[None]:
    """The repository of backups has become a file: nothing can be written to it."""
    place = stage.repository
    aside = place.with_name("backups.aside")
    place.rename(aside)
    place.write_text("in the way\n")

    def switch(_: Stage) -> None:
        with suppress(psycopg.Error), stage.superuser() as connection:
            connection.execute("SELECT pg_switch_wal()")

    try:
        with repeated(switch, every=1.0)(stage):
            yield
    finally:
        place.unlink()
        aside.rename(place)


@contextmanager
def disk_full(stage: Stage) -> Iterator[None]:
    """The small file system that the repository lies on runs full."""
    filler = stage.repository.parent / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        yield
    finally:
        filler.unlink()


@contextmanager
def backups_gone(stage: Stage) -> Iterator[None]:
    """Somebody has taken every backup out of the repository."""
    aside = stage.repository.with_name("aside")
    aside.mkdir()
    taken = list(stage.repository.glob("clusters/*/backups"))
    assert taken
    with MAKING_A_BACKUP:
        for number, folder in enumerate(taken):
            folder.rename(aside / str(number))
        try:
            yield
        finally:
            for number, folder in enumerate(taken):
                (aside / str(number)).rename(folder)
            aside.rmdir()


@contextmanager
def damaged_backup(stage: Stage) -> Iterator[None]:
    """The newest backup's manifest has one byte more than was signed."""
    manifest = max(stage.repository.rglob("manifest.json"), key=lambda path: path.stat().st_mtime)
    right = manifest.read_bytes()
    manifest.write_bytes(right + b" ")
    try:
        yield
    finally:
        manifest.write_bytes(right)


@contextmanager
def forged_trail(stage: Stage) -> Iterator[None]:
    """Somebody who may all changes the newest entry of the audit trail."""
    forge = "UPDATE ops.audit SET hash = %s WHERE seq = %s"
    with MAKING_A_BACKUP, stage.superuser() as connection:
        found = connection.execute("SELECT hash, seq FROM ops.audit ORDER BY seq DESC LIMIT 1").fetchone()
        assert found is not None
        right, seq = found
        connection.execute("SET session_replication_role = replica")  # no trigger stands in the way
        connection.execute(forge, [bytes(32), seq])
        try:
            yield
        finally:
            connection.execute(forge, [right, seq])
