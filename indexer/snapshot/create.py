"""Write a snapshot of the index as it stands, beside a live sync, and only of an index that is sound."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from indexer.bitcoin.block import display
from indexer.bitcoin.script import Network
from indexer.progress import quiet
from indexer.snapshot import header
from indexer.snapshot.checks import Check
from indexer.snapshot.container import Packer, whole_file
from indexer.snapshot.errors import SnapshotError
from indexer.snapshot.header import PREAMBLE, Header, Section
from indexer.snapshot.keys import raw
from indexer.snapshot.tables import BLOCKS, OPERATIONS, TABLES, lines, settle_format
from indexer.store import schema
from indexer.store.chain import Tip, read_tip
from indexer.store.connection import StoreError, connect, translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import IO

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from indexer.progress import Progress
    from indexer.snapshot.tables import Table
    from indexer.store.connection import Connection

# What no compression takes away: the hashes of a block, the txid of an operation.
_LEAST_BLOCK, _LEAST_OPERATION = 128, 32


@dataclass(frozen=True, slots=True)
class _Index:
    """What the database says of itself, and how many rows each table has (of state and undo data: estimates)."""

    schema: str
    network: str
    start_height: int
    marketplace_height: int
    undo_from: int
    tip: Tip
    rows: dict[Table, int]

    @property
    def least_size(self) -> int:
        """How many bytes the file will have at least."""
        return PREAMBLE + self.rows[BLOCKS] * _LEAST_BLOCK + self.rows[OPERATIONS] * _LEAST_OPERATION


def create(database_url: str, key: Ed25519PrivateKey, output: Path, progress: Progress = quiet) -> tuple[Path, Header]:
    """Write the index to a new file (in `output`, if that is a directory) and return its path and header.

    Raises ConfigurationError where the file cannot be written, SnapshotError where the tables do not come to the hash
    and digest that they claim, StoreError and StoreUnavailableError as the store does. No file is left then.
    """
    with translated(), connect(database_url) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        index = _read(connection)
        settle_format(connection)
        target = output / _name(index) if output.is_dir() else output
        with whole_file(target, index.least_size) as file:
            file.seek(PREAMBLE)
            made = _header(index, key, _write_tables(connection, index, file, progress))
            file.seek(0)
            file.write(header.pack(made, key))
    return target, made


def _read(connection: Connection) -> _Index:
    tip = read_tip(connection)
    found = schema.version(connection)
    if found != schema.head():
        raise StoreError(
            f"database has schema {found}, this release {schema.head()}: use that one's release or migrate"
        )
    row = connection.execute("SELECT network, start_height, marketplace_height, undo_from FROM index.chain").fetchone()
    if row is None or tip.height < row[1]:
        raise StoreError("database holds no block yet; run: simplicity sync")
    network, start_height, marketplace_height, undo_from = row
    return _Index(
        found,
        network,
        start_height,
        marketplace_height,
        # Where no block can be taken back, the chain row may already look ahead.
        min(undo_from, tip.height + 1),
        tip,
        {table: _rows(connection, table) for table in TABLES},
    )


def _rows(connection: Connection, table: Table) -> int:
    exact = {BLOCKS: "SELECT count(*) FROM index.blocks", OPERATIONS: "SELECT sum(op_count) FROM index.blocks"}
    if table in exact:
        row = connection.execute(exact[table]).fetchone()
    else:
        query = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%s)"
        row = connection.execute(query, (f"index.{table.name}",)).fetchone()
    return 0 if row is None else int(row[0] or 0)


def _name(index: _Index) -> str:
    return f"simplicity-{index.network}-{index.tip.height}-{index.tip.position.state_hash.hex()[:12]}.snapshot"


def _write_tables(connection: Connection, index: _Index, file: IO[bytes], progress: Progress) -> Iterator[Section]:
    check = Check(index.start_height, index.tip)
    try:
        for table in TABLES:
            packer = Packer(file)
            with (
                lines(connection, table, index.undo_from) as rows,
                progress(f"writing {table.name}", index.rows[table]) as advance,
            ):
                check.take(table, packer.content.watch(rows, advance))
            yield packer.finish(table.name)
        check.finish()
    except SnapshotError as error:
        raise SnapshotError(
            f"the index is damaged: {error}; look with: simplicity state verify; no snapshot was written"
        ) from None


def _header(index: _Index, key: Ed25519PrivateKey, sections: Iterable[Section]) -> Header:
    tip = index.tip
    return Header(
        format=header.FORMAT,
        schema=index.schema,
        network=Network(index.network),
        start_height=index.start_height,
        marketplace_height=index.marketplace_height,
        height=tip.height,
        block_hash=display(tip.hash),
        state_hash=tip.position.state_hash.hex(),
        state_digest=tip.position.state_digest.hex(),
        undo_from=index.undo_from,
        created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        version=version("simplicity"),
        public_key=raw(key.public_key()).hex(),
        tables=tuple(sections),
    )
