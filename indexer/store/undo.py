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
    # A block may be taken back, come back and be taken back again.
    SQL("""
        WITH gone AS (DELETE FROM index.blocks WHERE height > %(height)s RETURNING hash, height)
        INSERT INTO ops.orphaned_blocks (hash, height, fork_height, fork_hash)
        SELECT hash, height, %(height)s, %(hash)s FROM gone
        ON CONFLICT (hash) DO UPDATE SET height = excluded.height, fork_height = excluded.fork_height,
            fork_hash = excluded.fork_hash, orphaned_at = excluded.orphaned_at"""),
    SQL("""
        DELETE FROM ops.orphaned_blocks WHERE hash IN (
            SELECT hash FROM ops.orphaned_blocks ORDER BY orphaned_at DESC, height DESC OFFSET %(orphans)s
        )"""),
)
ORPHANS = 10_000  # remembered: years of them; the oldest go first


def restore(connection: Connection, height: int, block_hash: bytes) -> None:
    """Take back everything that the blocks above a fork did, their rows included, and remember them as orphaned.

    The fork is the block with this height and hash, empty before the first. The chain row stays as it is.
    """
    given = {"height": height, "hash": block_hash, "first": first_op_id(height + 1), "orphans": ORPHANS}
    for statement in _STATEMENTS:
        connection.execute(statement, given)


def forget(connection: Connection, height: int) -> None:
    """Drop the undo data of all blocks below `height`; they can then no longer be taken back."""
    connection.execute("DELETE FROM index.undo_deploys WHERE height < %s", (height,))
    connection.execute("DELETE FROM index.undo_balances WHERE height < %s", (height,))
