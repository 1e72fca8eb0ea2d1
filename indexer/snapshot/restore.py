"""Fill an empty database from a snapshot: in one transaction, and only if everything fits."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from indexer.progress import quiet
from indexer.protocol.model import Position
from indexer.settings import ConfigurationError
from indexer.snapshot.checks import Check
from indexer.snapshot.container import Content, Snapshot, opened
from indexer.snapshot.errors import SnapshotError
from indexer.snapshot.tables import TABLES, lines, settle_format
from indexer.store import schema
from indexer.store.chain import Move, Tip, claim, move_tip, read_tip
from indexer.store.connection import StoreError, StoreUnavailableError, connect, require_utf8, translated
from indexer.store.lock import give_up, try_lock
from indexer.store.partitions import ensure_partition, partition_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from indexer.progress import Progress
    from indexer.snapshot.header import Header
    from indexer.store.chain import Identity
    from indexer.store.connection import Connection


def restore(  # noqa: PLR0913 - what to restore, into what, and whom to believe
    path: Path,
    trusted: Collection[bytes],
    database_url: str,
    identity: Identity,
    *,
    reader_role: str | None = None,
    progress: Progress = quiet,
) -> tuple[Header, bool]:
    """Restore a snapshot signed by one of the raw public keys; return its header and whether anything had to be done.

    A database that stands in the snapshot's very block needs nothing: so a restore can be run again after a failure
    that left open whether it was committed. Raises SnapshotError for a file that is damaged or not to be trusted,
    ConfigurationError for one that does not fit the settings, StoreError for a database that is not empty,
    StoreUnavailableError where it may work later. The database is then as empty as it was.
    """
    with opened(path) as snapshot:
        snapshot.require_trusted(trusted)
        snapshot.require_whole()
        _require_fit(path, snapshot.header, identity)
        try:
            with translated(), _writing(database_url) as connection:
                if _stands_at(connection) == _tip(snapshot.header):
                    return snapshot.header, False
                _require_empty(connection)
                snapshot.check(progress)
                schema.migrate(database_url, reader_role=reader_role)
                with connection.transaction():
                    _fill(connection, identity, snapshot, progress)
        except psycopg.Error as error:  # what may pass was translated: this is a row that does not fit its table
            raise SnapshotError(f"the database does not take its rows ({error.diag.message_primary})") from error
    return snapshot.header, True


def _require_fit(path: Path, header: Header, identity: Identity) -> None:
    if header.schema != schema.head():
        wanted = "a later" if header.schema > schema.head() else "an earlier"
        raise ConfigurationError(
            f"{path}: has the schema {header.schema}, this release {schema.head()}: restore with {wanted} release"
        )
    for setting, found, expected in (
        ("BITCOIN_NETWORK", header.network.value, identity.network),
        ("START_BLOCK_HEIGHT", header.start_height, identity.start_height),
        ("MARKETPLACE_TRANSFER_BLOCK_HEIGHT", header.marketplace_height, identity.marketplace_height),
    ):
        if found != expected:
            raise ConfigurationError(
                f"{path}: was made with {setting}={found}, here it is {expected}; set it so, or take another snapshot"
            )


@contextmanager
def _writing(database_url: str) -> Iterator[Connection]:
    """Open a connection that holds the writer's lock."""
    connection = connect(database_url)
    try:
        require_utf8(connection)
        if not try_lock(connection):
            raise StoreUnavailableError("another process writes to this database; stop its sync, then try again")
        yield connection
    finally:
        give_up(connection)


def _stands_at(connection: Connection) -> Tip | None:
    try:
        return read_tip(connection)
    except StoreError:
        return None


def _require_empty(connection: Connection) -> None:
    for table in TABLES:
        row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"index.{table.name}",)).fetchone()
        if row is None or not row[0]:
            continue
        query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier("index", table.name))
        row = connection.execute(query).fetchone()
        if row is None or row[0]:
            raise StoreError(f"database is not empty: index.{table.name} has rows; restore into an empty database")


def _fill(connection: Connection, identity: Identity, snapshot: Snapshot, progress: Progress) -> None:
    header = snapshot.header
    claim(connection, identity)
    _require_empty(connection)
    for number in range(partition_of(header.start_height), partition_of(header.height) + 1):
        ensure_partition(connection, number)
    for table, section in zip(TABLES, header.tables, strict=True):
        with connection.cursor() as cursor, cursor.copy(table.copy_in()) as copy:
            for piece in snapshot.contents(section, f"importing {section.name}", progress):
                copy.write(piece)
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("index", table.name)))
    _compare(connection, header, progress)
    move_tip(connection, Move(header.height, _tip(header).hash, header.undo_from, header.height))


def _compare(connection: Connection, header: Header, progress: Progress) -> None:
    """Read the tables back: they must be what was signed, and come to the hash and digest that were signed."""
    settle_format(connection)
    check = Check(header.start_height, _tip(header))
    for table, section in zip(TABLES, header.tables, strict=True):
        content = Content()
        with (
            lines(connection, table, header.undo_from) as rows,
            progress(f"comparing {table.name}", section.rows) as advance,
        ):
            check.take(table, content.watch(rows, advance))
        if not content.is_of(section):
            raise SnapshotError(f"index.{table.name} is not what the snapshot holds once it is imported; make another")
    check.finish()


def _tip(header: Header) -> Tip:
    position = Position(header.height, bytes.fromhex(header.state_hash), bytes.fromhex(header.state_digest))
    return Tip(bytes.fromhex(header.block_hash)[::-1], position)
