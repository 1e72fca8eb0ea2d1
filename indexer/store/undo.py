"""Taking blocks back: what they changed becomes what it was, what they created goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.sql import SQL

from indexer.store.rows import first_op_id

if TYPE_CHECKING:
    from indexer.store.connection import Connection

# Of all blocks that changed a row, the lowest knows what it was before.
_DEPLOYS = SQL(
    "SELECT DISTINCT ON (ticker_key) ticker_key, minted FROM index.undo_deploys"
    " WHERE height > %(height)s ORDER BY ticker_key, height"
)
_BALANCES = SQL(
    "SELECT DISTINCT ON (ticker_key, address) ticker_key, address, amount, amount_height FROM index.undo_balances"
    " WHERE height > %(height)s ORDER BY ticker_key, address, height"
)
_REMOVE_DEPLOYS = SQL("DELETE FROM index.deploys d USING ({}) u WHERE u.minted IS NULL AND d.ticker_key = u.ticker_key")
_REVERT_DEPLOYS = SQL(
    "UPDATE index.deploys d SET minted = u.minted FROM ({}) u"
    " WHERE u.minted IS NOT NULL AND d.ticker_key = u.ticker_key"
)
_REMOVE_BALANCES = SQL(
    "DELETE FROM index.balances b USING ({}) u"
    " WHERE u.amount IS NULL AND (b.ticker_key, b.address) = (u.ticker_key, u.address)"
)
_REVERT_BALANCES = SQL(
    "UPDATE index.balances b SET amount = u.amount, height = u.amount_height FROM ({}) u"
    " WHERE u.amount IS NOT NULL AND (b.ticker_key, b.address) = (u.ticker_key, u.address)"
)
_STATEMENTS = (
    SQL("DELETE FROM index.operations WHERE op_id >= %(first)s"),
    _REMOVE_DEPLOYS.format(_DEPLOYS),
    _REVERT_DEPLOYS.format(_DEPLOYS),
    _REMOVE_BALANCES.format(_BALANCES),
    _REVERT_BALANCES.format(_BALANCES),
    SQL("DELETE FROM index.undo_deploys WHERE height > %(height)s"),
    SQL("DELETE FROM index.undo_balances WHERE height > %(height)s"),
    SQL("DELETE FROM index.blocks WHERE height > %(height)s"),
)


def restore(connection: Connection, height: int) -> None:
    """Take back everything that the blocks above `height` did, their rows included; the chain row stays as it is."""
    for statement in _STATEMENTS:
        connection.execute(statement, {"height": height, "first": first_op_id(height + 1)})


def forget(connection: Connection, height: int) -> None:
    """Drop the undo data of all blocks below `height`; they can then no longer be taken back."""
    connection.execute("DELETE FROM index.undo_deploys WHERE height < %s", (height,))
    connection.execute("DELETE FROM index.undo_balances WHERE height < %s", (height,))
