"""A restored database takes the live one's place, and can give it back: files that are moved, and a trail that goes on.

Both servers are down meanwhile. Every move is one rename, so that whoever comes after a killed process sees how far it
was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from infra.local.components.postgresql import SUPERUSER
from infra.local.layout import layout
from runbooks.backup.errors import BackupError
from runbooks.backup.operating import carry_over
from runbooks.backup.scratch import scratch
from runbooks.backup.wal import cluster_of

if TYPE_CHECKING:
    from pathlib import Path

    from runbooks.backup.place import Backups
    from runbooks.backup.scratch import Scratch

START_SECONDS = 120.0


def put_in_place(live: Path, restored: Path, before: Path) -> None:
    """Move the live database's files to `before` and the restored ones to their place; goes on where it was cut off."""
    if restored.exists():
        if live.exists():
            if before.exists():
                raise BackupError(f"{before} is there already: {live} and {restored} are left as they are")
            live.rename(before)
        restored.rename(live)
    if not live.exists():
        raise BackupError(f"there is no restored database in {restored}")


def put_back(live: Path, restored: Path, before: Path) -> None:
    """Undo `put_in_place`, however far it was."""
    if before.exists():
        if live.exists():
            live.rename(restored)
        before.rename(live)


def _take_password(server: Scratch) -> None:
    """Give the superuser today's password: the restored one is of the time of the backup, and nobody may have it."""
    password = (layout().secrets / "superuser_password").read_text(encoding="ascii").strip()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("SET log_min_error_statement TO panic")
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(SUPERUSER), sql.Literal(password))
        connection.execute(statement)


def prepare(place: Backups, data: Path, folder: Path, run: str) -> str:
    """Make files ready to be the live database: their trail goes on, and their timeline's history will be archived.

    The server's log lies in `folder` then.
    """
    database = place.environment.endpoints.database.name
    with scratch(data, folder / "postgresql.log") as server:
        server.start({}, within=START_SECONDS)
        _take_password(server)
        said = carry_over(server.url(database), place.anchor, cluster_of(data), run)
    for history in (data / "pg_wal").glob("*.history"):
        # The promotion happened while nothing was archived; without it no restore would find the way over this one.
        (data / "pg_wal" / "archive_status" / f"{history.name}.ready").touch()
    return said
