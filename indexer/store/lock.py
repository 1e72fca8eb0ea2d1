"""The writer's lock: one process at a time changes the index, be it sync, a repair or a restore."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from indexer.store.connection import LockKey

if TYPE_CHECKING:
    from indexer.store.connection import Connection


def try_lock(connection: Connection) -> bool:
    """Take the lock for the life of the connection; False while another process has it."""
    row = connection.execute(f"SELECT pg_try_advisory_lock({LockKey.WRITER.sql})").fetchone()
    return row is not None and bool(row[0])


def give_up(connection: Connection) -> None:
    """Give up the lock, where it was taken, and the connection."""
    # The server takes a moment to notice that a connection is gone; whoever waits for the lock need not.
    with suppress(psycopg.Error):
        connection.execute("SELECT pg_advisory_unlock_all()")
    connection.close()
