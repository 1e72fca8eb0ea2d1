"""Partitions of operations, which both sync and a restore make."""

from __future__ import annotations

from indexer.store.connection import connect
from indexer.store.partitions import PARTITION_BLOCKS, ensure_partition, partition_of


def test_a_partition_is_made_once_with_all_indexes_and_holds_the_heights_up_to_the_next(database_url: str) -> None:
    edge = 3 * PARTITION_BLOCKS
    with connect(database_url) as connection:
        for height in (edge - 1, edge, edge + 1, edge - 1):
            with connection.transaction():
                ensure_partition(connection, partition_of(height))
            connection.execute(
                "INSERT INTO index.operations (op_id, tx_index, txid, vout, op, is_marketplace)"
                " VALUES (%s::bigint << 20, 1, '', 0, 'burn', false) ON CONFLICT DO NOTHING",
                (height,),
            )
        rows = connection.execute(
            "SELECT tableoid::regclass::text, op_id >> 20 FROM index.operations ORDER BY op_id"
        ).fetchall()
        parts = connection.execute(
            "SELECT i.indexrelid::regclass::text, count(p.inhrelid) FROM pg_index i"
            " LEFT JOIN pg_inherits p ON p.inhparent = i.indexrelid"
            " WHERE i.indrelid = 'index.operations'::regclass GROUP BY 1"
        ).fetchall()
    assert rows == [
        ("index.operations_p2", edge - 1),
        ("index.operations_p3", edge),
        ("index.operations_p3", edge + 1),
    ]
    assert {"index.operations_pkey", "index.operations_by_ticker"} < {index for index, _ in parts}
    assert {count for _, count in parts} == {2}


def test_a_long_read_of_operations_does_not_hold_up_a_new_partition(database_url: str) -> None:
    # The scenario: a snapshot is written, and sync reaches the edge of a partition meanwhile.
    with connect(database_url) as reader, reader.transaction(), connect(database_url) as writer:
        reader.execute("SELECT count(*) FROM index.operations")
        writer.execute("SET lock_timeout = '1s'")
        with writer.transaction():
            ensure_partition(writer, 0)
        assert reader.execute("SELECT count(*) FROM index.operations").fetchone() == (0,)
