"""The database that is backed up: how it is reached, and what it says of itself."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo

from indexer.bitcoin.block import display
from indexer.store import schema
from indexer.store.chain import read_tip
from indexer.store.connection import StoreError, StoreUnavailableError, connect
from runbooks.backup.errors import BackupError
from runbooks.backup.manifest import Head, Owner, Tip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.store.connection import Connection

STATEMENT_SECONDS = 30
MAINTENANCE = "postgres"  # the database in which the role may switch WAL
SEGMENT_NAME = 24
POLL_SECONDS = 0.05
LEAST_INCREMENTAL = 17  # PostgreSQL's first version with incremental backups


@dataclass(frozen=True, slots=True)
class Source:
    """Where the database is, and the role that makes backups: it reads all and replicates, and changes nothing."""

    host: str
    port: int
    database: str
    role: str
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """What a connection takes, with the password: never for display."""
        return make_conninfo(
            host=self.host, port=self.port, dbname=self.database, user=self.role, password=self.password
        )

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Open a connection for the functions below. Raises BackupError where there is no database that answers."""
        try:
            with connect(self.url, statement_timeout=STATEMENT_SECONDS) as connection:
                yield connection
        except psycopg.OperationalError as error:
            raise BackupError(f"the database went away: {' '.join(str(error).split())}; try again") from error
        except (StoreError, StoreUnavailableError) as error:
            raise BackupError(str(error).replace("correct DATABASE_URL", "see the environment document")) from error

    def archive_now(self, *, within: float) -> str:
        """Let the server archive what is not archived yet, so that a restore can reach this moment.

        Return what came of it: a server that is gone or cannot archive is no error, but may be why there is a restore.
        """
        try:
            with psycopg.connect(replace(self, database=MAINTENANCE).url, autocommit=True, connect_timeout=3) as asked:
                row = asked.execute("SELECT pg_walfile_name(pg_switch_wal() - 1)").fetchone()
                wanted = "" if row is None else str(row[0])
                deadline = time.monotonic() + within
                while time.monotonic() < deadline:
                    row = asked.execute("SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver").fetchone()
                    if row is not None and row[0][:SEGMENT_NAME] >= wanted:
                        return f"all WAL up to {wanted} is archived"
                    time.sleep(POLL_SECONDS)
        except psycopg.Error as error:
            return f"the live database does not archive its last WAL: {' '.join(str(error).split())}"
        return f"the live database has not archived {wanted} within {within:.0f} s: the restore ends before it"

    def timeline(self, cluster: str) -> int | None:
        """Return the timeline of a live server of this cluster, None where none answers."""
        try:
            with self.connected() as connection:
                if server(connection).cluster != cluster:
                    return None
                return timeline_of(connection)
        except BackupError:
            return None


def timeline_of(connection: Connection) -> int:
    """Ask a server that takes writes for the timeline that it is on."""
    row = connection.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").fetchone()
    if row is None:
        raise BackupError("the server says nothing of its WAL")
    return int(row[0][:8], 16)


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself: whether it archives its WAL, and summarises it for incremental backups."""

    cluster: str
    postgres: int
    segment_size: int
    archives: bool
    summarizes: bool
    size: int


def server(connection: Connection) -> Server:
    """Ask the server what it is, and how large its databases are, in bytes."""
    row = connection.execute(
        "SELECT (SELECT system_identifier::text FROM pg_control_system()),"
        " current_setting('server_version_num')::int / 10000,"
        " (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'),"
        " current_setting('archive_mode') <> 'off', coalesce(current_setting('summarize_wal', true), 'off') = 'on',"
        " (SELECT sum(pg_database_size(oid))::bigint FROM pg_database)"
    ).fetchone()
    if row is None:
        raise BackupError("the server says nothing of itself")
    return Server(*row)


@dataclass(frozen=True, slots=True)
class Content:
    """What a database holds: nothing yet where `owner` is None."""

    schema: str
    owner: Owner | None
    tip: Tip | None
    audit: Head | None


def content(connection: Connection) -> Content:
    """Read where index and audit trail stand, in one snapshot."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        version = schema.version(connection)
        if version is None:
            return Content("", None, None, None)
        row = connection.execute(
            "SELECT cluster, network, start_height, marketplace_height FROM index.chain"
        ).fetchone()
        owner = None if row is None else Owner(*row)
        return Content(version, owner, None if owner is None else tip(connection), head(connection))


def tip(connection: Connection) -> Tip | None:
    """Return the last indexed block, None before the first."""
    try:
        found = read_tip(connection)
    except StoreError as error:
        raise BackupError(str(error)) from None
    if not found.hash:
        return None
    position = found.position
    return Tip(found.height, display(found.hash), position.state_hash.hex(), position.state_digest.hex())


def head(connection: Connection) -> Head | None:
    """Return the last entry of the audit trail, None where there is none."""
    there = connection.execute("SELECT to_regclass('ops.audit') IS NOT NULL").fetchone()
    if there is None or not there[0]:
        return None
    row = connection.execute("SELECT seq, encode(hash, 'hex') FROM ops.audit ORDER BY seq DESC LIMIT 1").fetchone()
    return None if row is None else Head(*row)
