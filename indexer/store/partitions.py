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
    """Make the partition with this number where it is not there yet."""
    first, end = (first_op_id(edge * PARTITION_BLOCKS) for edge in (number, number + 1))
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS index.{} PARTITION OF index.operations FOR VALUES FROM ({}) TO ({})"
        ).format(sql.Identifier(f"operations_p{number}"), first, end)
    )
