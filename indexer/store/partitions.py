"""The partitions of `index.operations`: few and coarse, by height."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from indexer.store.rows import first_op_id

if TYPE_CHECKING:
    from indexer.store.connection import Connection

PARTITION_BLOCKS = 1 << 17  # about two and a half years of mainnet a partition


def partition_of(height: int) -> int:
    """Return the number of the partition that holds the operations of a height."""
    return height // PARTITION_BLOCKS


def ensure_partition(connection: Connection, number: int) -> None:
    """Make the partition with this number where it is not there yet, in the open transaction."""
    name = f"operations_p{number}"
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"index.{name}",)).fetchone()
    if row is not None and row[0]:
        return
    first, end = (first_op_id(edge * PARTITION_BLOCKS) for edge in (number, number + 1))
    # Made and then attached: CREATE TABLE ... PARTITION OF would wait for everybody who reads operations, a snapshot
    # or a dump of an hour say, and everybody else would wait behind it.
    for statement in (
        "CREATE TABLE index.{} (LIKE index.operations INCLUDING ALL)",
        "ALTER TABLE index.operations ATTACH PARTITION index.{} FOR VALUES FROM ({}) TO ({})",
    ):
        connection.execute(sql.SQL(statement).format(sql.Identifier(name), first, end))
