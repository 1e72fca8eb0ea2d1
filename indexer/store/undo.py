"""Taking a block back: what it changed becomes what it was, what it created goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.store.rows import first_op_id

if TYPE_CHECKING:
    from indexer.store.connection import Connection

_REVERT_DEPLOYS = """
    UPDATE index.deploys d SET minted = u.minted FROM index.undo_deploys u
    WHERE u.height = %s AND u.minted IS NOT NULL AND d.ticker_key = u.ticker_key"""
_REMOVE_DEPLOYS = """
    DELETE FROM index.deploys d USING index.undo_deploys u
    WHERE u.height = %s AND u.minted IS NULL AND d.ticker_key = u.ticker_key"""
_REVERT_BALANCES = """
    UPDATE index.balances b SET amount = u.amount, height = u.amount_height FROM index.undo_balances u
    WHERE u.height = %s AND u.amount IS NOT NULL AND (b.ticker_key, b.address) = (u.ticker_key, u.address)"""
_REMOVE_BALANCES = """
    DELETE FROM index.balances b USING index.undo_balances u
    WHERE u.height = %s AND u.amount IS NULL AND (b.ticker_key, b.address) = (u.ticker_key, u.address)"""


def restore(connection: Connection, height: int) -> None:
    """Take back everything that the block at `height` did, its rows included; the chain row stays as it is."""
    connection.execute(
        "DELETE FROM index.operations WHERE op_id >= %s AND op_id < %s",
        (first_op_id(height), first_op_id(height + 1)),
    )
    for statement in (
        _REVERT_DEPLOYS,
        _REMOVE_DEPLOYS,
        _REVERT_BALANCES,
        _REMOVE_BALANCES,
        "DELETE FROM index.undo_deploys WHERE height = %s",
        "DELETE FROM index.undo_balances WHERE height = %s",
        "DELETE FROM index.blocks WHERE height = %s",
    ):
        connection.execute(statement, (height,))


def forget(connection: Connection, height: int) -> None:
    """Drop the undo data of all blocks up to `height`; they can then no longer be taken back."""
    connection.execute("DELETE FROM index.undo_deploys WHERE height <= %s", (height,))
    connection.execute("DELETE FROM index.undo_balances WHERE height <= %s", (height,))
