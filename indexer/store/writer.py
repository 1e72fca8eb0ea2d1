"""The one writer: a block goes in whole or not at all, comes out whole, and a stale writer changes nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg import sql

from indexer.protocol.model import BalanceKey, BlockDelta, Deploy, State
from indexer.store import undo
from indexer.store.chain import Identity, Tip, claim, read_tip
from indexer.store.connection import Connection, LockKey, connect, translated
from indexer.store.rows import OPERATION_COLUMNS, first_op_id, numeric, operation_rows

if TYPE_CHECKING:
    from collections.abc import Collection

PARTITION_BLOCKS = 1 << 17  # about two and a half years of mainnet a partition

_COPY_OPERATIONS = f"COPY index.operations ({', '.join(OPERATION_COLUMNS)}) FROM STDIN"


class StaleWriterError(Exception):
    """Another writer took over, or the tip moved under this one; nothing of the transaction was kept."""


class UndoMissingError(Exception):
    """The block to take back is older than the undo data that is kept."""


class Writer:
    """Holds the writer lock of a database for the life of its connection.

    The lock lets a standby wait; it is no fence, since a session can be lost without its process noticing. The fence is
    that each commit updates the chain row only where it still has this writer's tip and epoch.
    """

    def __init__(self, connection: Connection, identity: Identity, *, undo_window: int) -> None:
        self._connection = connection
        self._undo_window = undo_window
        self._start_height = identity.start_height
        with translated():
            self._epoch = claim(connection, identity)
            self.tip: Tip = read_tip(connection)
        self._partitions: set[int] = set()

    @classmethod
    def try_open(cls, database_url: str, identity: Identity, *, undo_window: int) -> Self | None:
        """Take the writer lock and return the writer, None while another process has it."""
        connection = connect(database_url)
        try:
            with translated():
                row = connection.execute(f"SELECT pg_try_advisory_lock({LockKey.WRITER.sql})").fetchone()
            if row is None or not row[0]:
                connection.close()
                return None
            return cls(connection, identity, undo_window=undo_window)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Give up the lock and the connection."""
        # The server takes a moment to notice that a connection is gone; whoever waits for the lock need not.
        with suppress(psycopg.Error):
            self._connection.execute("SELECT pg_advisory_unlock_all()")
        self._connection.close()

    def load(self, tickers: Collection[str], keys: Collection[BalanceKey]) -> State:
        """Return the deploys and balances asked for, as far as they exist."""
        if not tickers:
            return State()
        with translated():
            deploys = self._connection.execute(
                "SELECT ticker, max_supply, limit_per_mint, minted, height, txid, deployer"
                " FROM index.deploys WHERE ticker_key IN"
                " (SELECT index.ticker_key(k.ticker) FROM unnest(%s::text[]) AS k (ticker))",
                (list(tickers),),
            ).fetchall()
            balances = self._connection.execute(
                "SELECT b.ticker, b.address, b.amount FROM index.balances b"
                " JOIN unnest(%s::text[], %s::text[]) AS k (ticker, address)"
                " ON (b.ticker_key, b.address) = (index.ticker_key(k.ticker), k.address)",
                ([key.ticker for key in keys], [key.address for key in keys]),
            ).fetchall()
        return State(
            {row[0]: Deploy(*row) for row in deploys},
            {BalanceKey(ticker, address): amount for ticker, address, amount in balances},
        )

    def commit(self, delta: BlockDelta, *, node_height: int) -> None:
        """Store a block's delta on top of the tip, in one transaction."""
        height = delta.after.height
        with translated(), self._connection.transaction():
            self._move_tip(height, delta.hash)
            self._insert_block(delta)
            self._store_changes(delta)
            self._insert_operations(delta)
            self._forget_undo(height - self._undo_window, node_height)
        if delta.rows:
            self._partitions.add(height // PARTITION_BLOCKS)  # only now: a rolled-back transaction takes it away again
        self.tip = Tip(delta.hash, delta.after)

    def undo(self) -> None:
        """Take the tip's block back, in one transaction. Raises UndoMissingError where that is no longer possible."""
        height = self.tip.height
        with translated(), self._connection.transaction():
            row = self._connection.execute(
                "SELECT b.prev_hash, c.undo_from FROM index.chain c LEFT JOIN index.blocks b ON b.height = c.tip_height"
            ).fetchone()
            if row is None or row[0] is None or height < row[1]:
                raise UndoMissingError(
                    f"reorg goes below height {height}, the last that can be taken back (MAX_REORG_DEPTH="
                    f"{self._undo_window}); if the node's chain is the right one, index into an empty database"
                )
            undo.restore(self._connection, height)
            before_first = height == self._start_height
            self._move_tip(height - 1, b"" if before_first else bytes(row[0]))
            tip = read_tip(self._connection)
        self.tip = tip

    def knows(self, height: int, block_hash: bytes) -> bool:
        """Tell whether the block indexed at a height, if there is one, has this hash (internal order)."""
        with translated():
            row = self._connection.execute("SELECT hash FROM index.blocks WHERE height = %s", (height,)).fetchone()
        return row is None or row[0] == block_hash

    def note_node_height(self, node_height: int) -> None:
        """Remember how high the node's chain is, so that readers can tell the lag."""
        with translated():
            self._connection.execute(
                "UPDATE index.chain SET node_height = %s WHERE epoch = %s AND node_height <> %s",
                (node_height, self._epoch, node_height),
            )

    def _move_tip(self, height: int, block_hash: bytes) -> None:
        moved = self._connection.execute(
            "UPDATE index.chain SET tip_height = %s, tip_hash = %s"
            " WHERE tip_hash = %s AND tip_height = %s AND epoch = %s",
            (height, block_hash, self.tip.hash, self.tip.height, self._epoch),
        ).rowcount
        if moved != 1:
            raise StaleWriterError(f"another writer has taken over since epoch {self._epoch}; nothing was written")

    def _insert_block(self, delta: BlockDelta) -> None:
        after = delta.after
        self._connection.execute(
            "INSERT INTO index.blocks (height, hash, prev_hash, time, op_count, events_hash, state_hash, state_digest)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                after.height,
                delta.hash,
                delta.prev_hash,
                delta.time,
                len(delta.rows),
                delta.events_hash,
                after.state_hash,
                after.state_digest,
            ),
        )

    def _insert_operations(self, delta: BlockDelta) -> None:
        if not delta.rows:
            return
        height = delta.after.height
        self._ensure_partition(height)
        with self._connection.cursor() as cursor, cursor.copy(_COPY_OPERATIONS) as copy:
            for row in operation_rows(height, delta.rows):
                copy.write_row(row)

    def _ensure_partition(self, height: int) -> None:
        number = height // PARTITION_BLOCKS
        if number in self._partitions:
            return
        first, end = (first_op_id(edge * PARTITION_BLOCKS) for edge in (number, number + 1))
        self._connection.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS index.{} PARTITION OF index.operations FOR VALUES FROM ({}) TO ({})"
            ).format(sql.Identifier(f"operations_p{number}"), first, end)
        )

    def _store_changes(self, delta: BlockDelta) -> None:
        if delta.deploys:
            self._store_deploys(delta)
        if delta.balances:
            self._store_balances(delta)

    def _store_deploys(self, delta: BlockDelta) -> None:
        deploys = [change.after for change in delta.deploys.values() if change.after is not None]
        self._connection.execute(
            "WITH new AS (SELECT * FROM unnest(%(ticker)s::text[], %(max)s::text[]::numeric[],"
            " %(limit)s::text[]::numeric[], %(minted)s::text[]::numeric[], %(height)s::integer[], %(txid)s::bytea[],"
            " %(deployer)s::text[]) AS n (ticker, max_supply, limit_per_mint, minted, height, txid, deployer)),"
            " undo AS (INSERT INTO index.undo_deploys (height, ticker_key, minted)"
            " SELECT %(at)s, index.ticker_key(new.ticker), old.minted"
            " FROM new LEFT JOIN index.deploys old ON old.ticker_key = index.ticker_key(new.ticker))"
            " INSERT INTO index.deploys (ticker, max_supply, limit_per_mint, minted, height, txid, deployer)"
            " SELECT * FROM new ON CONFLICT (ticker_key) DO UPDATE SET minted = excluded.minted",
            {
                "at": delta.after.height,
                "ticker": [deploy.ticker for deploy in deploys],
                "max": [numeric(deploy.max_supply) for deploy in deploys],
                "limit": [numeric(deploy.limit_per_mint) for deploy in deploys],
                "minted": [numeric(deploy.minted) for deploy in deploys],
                "height": [deploy.height for deploy in deploys],
                "txid": [deploy.txid for deploy in deploys],
                "deployer": [deploy.deployer for deploy in deploys],
            },
        )

    def _store_balances(self, delta: BlockDelta) -> None:
        self._connection.execute(
            "WITH new AS (SELECT * FROM unnest(%(ticker)s::text[], %(address)s::text[],"
            " %(amount)s::text[]::numeric[]) AS n (ticker, address, amount)),"
            " undo AS (INSERT INTO index.undo_balances (height, ticker_key, address, amount, amount_height)"
            " SELECT %(at)s, index.ticker_key(new.ticker), new.address, old.amount, old.height"
            " FROM new LEFT JOIN index.balances old"
            " ON (old.ticker_key, old.address) = (index.ticker_key(new.ticker), new.address))"
            " INSERT INTO index.balances (ticker, address, amount, height)"
            " SELECT ticker, address, amount, %(at)s FROM new"
            " ON CONFLICT (ticker_key, address) DO UPDATE SET amount = excluded.amount, height = excluded.height",
            {
                "at": delta.after.height,
                "ticker": [key.ticker for key in delta.balances],
                "address": [key.address for key in delta.balances],
                "amount": [numeric(change.after) for change in delta.balances.values()],
            },
        )

    def _forget_undo(self, height: int, node_height: int) -> None:
        undo.forget(self._connection, height)
        self._connection.execute(
            "UPDATE index.chain SET undo_from = greatest(undo_from, %s), node_height = %s", (height + 1, node_height)
        )
