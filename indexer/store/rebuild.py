"""Put the tables back to what the operations up to a height say, in the open transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexer.store.chain import Move, hash_at, move_tip
from indexer.store.changes import insert_undo
from indexer.store.rows import first_op_id, numeric

if TYPE_CHECKING:
    from indexer.store.connection import Connection
    from indexer.store.replayed import Undo

_BUFFERED = 10_000  # rows of undo data that wait for their COPY


def hold_chain(connection: Connection) -> None:
    """Let no writer that lost its lock commit before this transaction has ended."""
    connection.execute("SELECT FROM index.chain FOR UPDATE")


def first_block(connection: Connection) -> int | None:
    """Return the height of the lowest block that has a row."""
    row = connection.execute("SELECT min(height) FROM index.blocks").fetchone()
    return None if row is None else row[0]


def drop_outside(connection: Connection, first: int, last: int) -> tuple[int, int]:
    """Delete the blocks and operations of all heights but `first` to `last`; return how many of each."""
    blocks = connection.execute("DELETE FROM index.blocks WHERE height < %s OR height > %s", (first, last)).rowcount
    operations = connection.execute(
        "DELETE FROM index.operations WHERE op_id < %s OR op_id >= %s", (first_op_id(first), first_op_id(last + 1))
    ).rowcount
    return blocks, operations


def clear_state(connection: Connection) -> None:
    """Empty the tables of state and of undo data; readers see the old rows until the transaction commits."""
    connection.execute("DELETE FROM index.deploys")
    connection.execute("DELETE FROM index.balances")
    connection.execute("DELETE FROM index.undo_deploys")
    connection.execute("DELETE FROM index.undo_balances")


def set_tip(connection: Connection, height: int, undo_from: int) -> None:
    """Let the chain's row stand at an indexed height, or at the one below the first."""
    move_tip(connection, Move(height, hash_at(connection, height) or b"", undo_from))


class UndoWriter:
    """Fills the empty tables of undo data, block by block; `flush` ends it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._deploys: list[tuple[Any, ...]] = []
        self._balances: list[tuple[Any, ...]] = []

    def add(self, height: int, undo: Undo) -> None:
        """Take in what a block changed."""
        deploys, balances = undo
        self._deploys += ((height, key, numeric(minted)) for key, (minted,) in deploys.items())
        self._balances += (
            (height, key, address, numeric(units), at) for (key, address), (units, at) in balances.items()
        )
        if len(self._deploys) + len(self._balances) >= _BUFFERED:
            self.flush()

    def flush(self) -> None:
        """Write what is still held."""
        insert_undo(self._connection, (self._deploys, self._balances))
        self._deploys.clear()
        self._balances.clear()
