"""The one writer: blocks go in whole or not at all, come out whole, and a stale writer changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from indexer.protocol.model import BalanceKey, BlockDelta, Deploy, State
from indexer.store import changes, undo
from indexer.store.chain import Identity, Move, Tip, claim, hash_at, move_tip, read_tip
from indexer.store.connection import Connection, connect, translated
from indexer.store.lock import give_up, try_lock
from indexer.store.partitions import ensure_partition, partition_of
from indexer.store.rows import ticker_keys
from indexer.store.working_set import WorkingSet

if TYPE_CHECKING:
    from collections.abc import Collection

WORKING_SET_ROWS = 200_000  # about 100 MB

# Each statement of the writer touches a few rows of large tables by their keys. Left to its statistics, which lag
# behind while a table grows from nothing, the planner now and then reads a whole table instead: cost that grows with
# history. The price that it puts on a forbidden plan (there is no other way to the one row of index.chain) would have
# PostgreSQL up to 17 compile that statement anew each time, which takes longer than a block.
_PLANS = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; SET jit = off"

_READ_DEPLOYS = """
    SELECT d.ticker, d.max_supply, d.limit_per_mint, d.minted, d.height, d.txid, d.deployer
    FROM unnest(string_to_array(%s, ',')) AS k (ticker_key)
    JOIN index.deploys d ON d.ticker_key = decode(k.ticker_key, 'hex')"""
_READ_BALANCES = """
    SELECT b.ticker, b.address, b.amount, b.height
    FROM unnest(string_to_array(%s, ','), string_to_array(%s, ',')) AS k (ticker_key, address)
    JOIN index.balances b ON (b.ticker_key, b.address) = (decode(k.ticker_key, 'hex'), k.address)"""


class StaleWriterError(Exception):
    """Another writer took over, or the tip moved under this one; nothing of the transaction was kept."""


class UndoMissingError(Exception):
    """The block to take back is older than the undo data that is kept."""


class Writer:
    """Holds the writer lock of a database for the life of its connection.

    The lock lets a standby wait; it is no fence, since a session can be lost without its process noticing. The fence is
    that each commit updates the chain row only where it still has this writer's tip and epoch.
    """

    def __init__(
        self, connection: Connection, identity: Identity, *, undo_window: int, working_set: int = WORKING_SET_ROWS
    ) -> None:
        self._connection = connection
        self._undo_window = undo_window
        self.start_height = identity.start_height
        self._working_set = WorkingSet(working_set)
        self._added: list[BlockDelta] = []
        self._partitions: set[int] = set()
        with translated():
            self._epoch = claim(connection, identity)
            self.tip: Tip = read_tip(connection)
            self.undo_from = self._read_undo_from()
            connection.execute(_PLANS)

    @classmethod
    def try_open(
        cls, database_url: str, identity: Identity, *, undo_window: int, working_set: int = WORKING_SET_ROWS
    ) -> Self | None:
        """Take the writer lock and return the writer, None while another process has it.

        `undo_window` is how many blocks below the node's tip can be taken back, `working_set` how many balances are
        held in memory between transactions.
        """
        connection = connect(database_url)
        try:
            with translated():
                if not try_lock(connection):
                    connection.close()
                    return None
            return cls(connection, identity, undo_window=undo_window, working_set=working_set)
        except BaseException:
            give_up(connection)
            raise

    def close(self) -> None:
        """Give up the lock and the connection."""
        give_up(self._connection)

    def load(self, tickers: Collection[str], keys: Collection[BalanceKey]) -> State:
        """Return the state, in which at least the deploys and balances asked for are as the database has them.

        It is the working set itself: `add` moves it on, and it is good until the next `commit`.
        """
        if self._added:
            self._forget()  # blocks that were never committed
        tickers, keys = self._working_set.unknown(tickers, keys)
        with translated():
            self._working_set.add(self._read_deploys(tickers), self._read_balances(keys))
        return self._working_set.state

    def add(self, delta: BlockDelta) -> None:
        """Let the loaded state be what it is after a block, which the next `commit` stores."""
        self._added.append(delta)
        self._working_set.settle(delta)

    def commit(self, *, node_height: int) -> list[BlockDelta]:
        """Store the blocks added, each on top of the one before, in one transaction; return them.

        Undo data is written only where it will be needed: for blocks less than the window below `node_height`.
        """
        deltas = self._added
        first, last = deltas[0].after.height, deltas[-1].after.height
        floor = max(last, node_height) - self._undo_window + 1
        undo_from = max(min(self.undo_from, first), min(floor, last + 1))
        partitions = {partition_of(delta.after.height) for delta in deltas if delta.rows} - self._partitions
        try:
            undo_rows = changes.undo_rows(deltas, self._working_set, undo_from)
            with translated(), self._connection.transaction():
                self._move_tip(Move(last, deltas[-1].hash, undo_from, node_height))
                for number in partitions:
                    ensure_partition(self._connection, number)
                changes.store(self._connection, deltas, undo_rows)
                if undo_from > self.undo_from:
                    undo.forget(self._connection, undo_from)
        except BaseException:
            self._forget()
            raise
        self._partitions |= partitions  # only now: a rolled-back transaction takes them away again
        self._added = []
        self._working_set.trim()
        self.tip = Tip(deltas[-1].hash, deltas[-1].after)
        self.undo_from = undo_from
        return deltas

    def undo(self, to_height: int) -> None:
        """Take back every block above a height, in one transaction, and remember them as orphaned.

        Raises UndoMissingError where that cannot be.
        """
        with translated(), self._connection.transaction():
            fork_hash = hash_at(self._connection, to_height)
            if to_height + 1 < self.undo_from or (fork_hash is None and to_height != self.start_height - 1):
                raise UndoMissingError(
                    f"reorg goes below height {self.undo_from}, the last that can be taken back (MAX_REORG_DEPTH="
                    f"{self._undo_window}); if the node's chain is the right one, index into an empty database"
                )
            self._move_tip(Move(to_height, fork_hash or b"", self.undo_from))
            undo.restore(self._connection, to_height, fork_hash or b"")
            tip = read_tip(self._connection)
        self._forget()
        self.tip = tip

    def hashes(self, first: int, last: int) -> dict[int, bytes]:
        """Return the hashes (internal order) of the blocks indexed at the heights `first` to `last`."""
        with translated():
            rows = self._connection.execute(
                "SELECT height, hash FROM index.blocks WHERE height BETWEEN %s AND %s", (first, last)
            ).fetchall()
        return {height: bytes(block_hash) for height, block_hash in rows}

    def note_node_height(self, node_height: int) -> None:
        """Remember how high the node's chain is, so that readers can tell the lag."""
        with translated():
            self._connection.execute(
                "UPDATE index.chain SET node_height = %s WHERE epoch = %s AND node_height <> %s",
                (node_height, self._epoch, node_height),
            )

    def _move_tip(self, to: Move) -> None:
        if not move_tip(self._connection, to, (self.tip, self._epoch)):
            raise StaleWriterError(f"another writer has taken over since epoch {self._epoch}; nothing was written")

    def _read_undo_from(self) -> int:
        row = self._connection.execute("SELECT undo_from FROM index.chain").fetchone()
        return self.start_height if row is None else int(row[0])

    def _read_deploys(self, tickers: list[str]) -> list[Deploy]:
        if not tickers:
            return []
        rows = self._connection.execute(_READ_DEPLOYS, (ticker_keys(tickers),)).fetchall()
        return [Deploy(*row) for row in rows]

    def _read_balances(self, keys: list[BalanceKey]) -> list[tuple[BalanceKey, int, int]]:
        if not keys:
            return []
        wanted = (ticker_keys(key.ticker for key in keys), ",".join(key.address for key in keys))
        rows = self._connection.execute(_READ_BALANCES, wanted).fetchall()
        one: dict[str, str] = {}  # copy of a ticker for all its balances: it may have kilobytes
        return [
            (BalanceKey(one.setdefault(ticker, ticker), address), units, height)
            for ticker, address, units, height in rows
        ]

    def _forget(self) -> None:
        self._working_set.clear()
        self._added = []
