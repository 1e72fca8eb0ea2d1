"""What the node remembers beside the kernel: every block it took, the active chain, spendable outputs, transactions.

libbitcoinkernel decides which chain is active and writes it to its disk now and then; this database (SQLite,
write-ahead log) is written with every block. After a kill -9 the kernel is fed from here what it had not flushed yet,
and this database then follows the kernel's tip: both end on the same chain.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, LifoQueue
from typing import TYPE_CHECKING

from infra.local.node import undo
from infra.local.node.mining import target
from infra.local.node.wire import Block, Header, decode_block, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.local.node.undo import Coin

MEDIAN_SPAN = 11
_SCHEMA = """
CREATE TABLE IF NOT EXISTS header (
  hash BLOB PRIMARY KEY, prev BLOB NOT NULL, height INTEGER NOT NULL, raw BLOB NOT NULL, work BLOB NOT NULL,
  transactions INTEGER NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS header_prev ON header (prev);
CREATE TABLE IF NOT EXISTS body (
  number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, raw BLOB NOT NULL, undo BLOB);
CREATE TABLE IF NOT EXISTS active (height INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS coin (
  outpoint BLOB PRIMARY KEY, value INTEGER NOT NULL, script BLOB NOT NULL, height INTEGER NOT NULL,
  coinbase INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transaction_index (
  txid BLOB PRIMARY KEY, block BLOB NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A block's place in the tree; hash in wire order, `work` the chain's total up to and with it."""

    hash: bytes
    height: int
    header: Header
    work: int
    transactions: int
    size: int


class View:
    """Reads on one connection; within `Store.reader` all of them see the same instant."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def tip(self) -> Entry:
        """Return the last block of the active chain."""
        row = self._db.execute("SELECT hash FROM active ORDER BY height DESC LIMIT 1").fetchone()
        entry = self.entry(row[0])
        if entry is None:
            raise LookupError("the active chain names a block without a header")
        return entry

    def height(self) -> int:
        """Return the height of the active chain; -1 in a new database."""
        return int(self._db.execute("SELECT coalesce(max(height), -1) FROM active").fetchone()[0])

    def active_hash(self, height: int) -> bytes | None:
        """Return the hash of the active chain's block at `height`."""
        row = self._db.execute("SELECT hash FROM active WHERE height = ?", (height,)).fetchone()
        return row[0] if row else None

    def entry(self, block_hash: bytes) -> Entry | None:
        """Return a block's place in the tree, whichever branch it is on."""
        row = self._db.execute(
            "SELECT hash, height, raw, work, transactions, size FROM header WHERE hash = ?", (block_hash,)
        ).fetchone()
        return Entry(row[0], row[1], read_header(row[2]), int.from_bytes(row[3], "big"), *row[4:]) if row else None

    def raw_block(self, block_hash: bytes) -> bytes | None:
        """Return a block's bytes."""
        row = self._db.execute("SELECT raw FROM body WHERE hash = ?", (block_hash,)).fetchone()
        return row[0] if row else None

    def undo_data(self, block_hash: bytes) -> bytes | None:
        """Return what a block spent, as `undo` encodes it; None for a block that was never active."""
        row = self._db.execute("SELECT undo FROM body WHERE hash = ?", (block_hash,)).fetchone()
        return row[0] if row else None

    def spent_coins(self, block_hash: bytes) -> list[list[Coin]] | None:
        """Return what each transaction after the coinbase spent; None for a block that was never active."""
        data = self.undo_data(block_hash)
        return None if data is None else undo.decode(data)

    def find_transaction(self, txid: bytes) -> tuple[bytes, bytes] | None:
        """Return the bytes of a transaction and the hash of the block that was last connected with it."""
        row = self._db.execute(
            "SELECT substr(b.raw, t.start + 1, t.size), t.block"
            " FROM transaction_index t JOIN body b ON b.hash = t.block WHERE t.txid = ?",
            (txid,),
        ).fetchone()
        return (row[0], row[1]) if row else None

    def coin(self, outpoint: bytes) -> Coin | None:
        """Return an unspent output of the active chain."""
        row = self._db.execute(
            "SELECT value, script, height, coinbase FROM coin WHERE outpoint = ?", (outpoint,)
        ).fetchone()
        return undo.Coin(row[0], row[1], row[2], bool(row[3])) if row else None

    def has_outputs(self, txid: bytes) -> bool:
        """Return whether any output of the transaction is unspent in the active chain."""
        query = "SELECT 1 FROM coin WHERE outpoint >= ? AND outpoint < ? LIMIT 1"
        return self._db.execute(query, (txid, txid + b"\xff" * 5)).fetchone() is not None

    def median_time(self, entry: Entry) -> int:
        """Return the median time of the block and the ten before it: the next block must be later."""
        times = [entry.header.time]
        current: Entry | None = entry
        while len(times) < MEDIAN_SPAN and current is not None and current.height > 0:
            current = self.entry(current.header.prev_hash)
            times.extend([current.header.time] if current else [])
        return sorted(times)[len(times) // 2]

    def leaves(self) -> list[tuple[bytes, int, bool]]:
        """Return (hash, height, was ever active) of every block without a child, highest first."""
        query = (
            "SELECT h.hash, h.height, b.undo IS NOT NULL FROM header h JOIN body b ON b.hash = h.hash"
            " WHERE NOT EXISTS (SELECT 1 FROM header c WHERE c.prev = h.hash) ORDER BY h.height DESC"
        )
        return [(row[0], row[1], bool(row[2])) for row in self._db.execute(query)]

    def size_on_disk(self) -> int:
        """Return the bytes of all blocks."""
        return int(self._db.execute("SELECT coalesce(sum(size), 0) FROM header").fetchone()[0])

    def journal(self) -> list[bytes]:
        """Return the hash of every block in the order in which they came."""
        return [row[0] for row in self._db.execute("SELECT hash FROM body ORDER BY number")]


class Store(View):
    """The database of one node: one writer (the caller holds the node's lock), any number of readers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: LifoQueue[sqlite3.Connection] = LifoQueue()
        super().__init__(self._connect())
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        # In write-ahead mode NORMAL loses nothing when the process dies, only when the machine does.
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    @contextmanager
    def reader(self) -> Iterator[View]:
        """Lend a connection on which every read sees the same instant."""
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = self._connect()
        connection.execute("BEGIN")
        try:
            yield View(connection)
        finally:
            connection.execute("ROLLBACK")
            self._idle.put(connection)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make the writes within whole: all of them stand or none does."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close every connection that is not in use."""
        while not self._idle.empty():
            self._idle.get_nowait().close()
        self._db.close()

    def keep(self, block: Block) -> None:
        """Remember a block whose parent is known; nothing happens to one that is known already."""
        block_hash = block.header.hash
        if self.entry(block_hash) is not None:
            return
        parent = self.entry(block.header.prev_hash)
        height = parent.height + 1 if parent else 0
        work = (parent.work if parent else 0) + (1 << 256) // (target(block.header.bits) + 1)
        self._db.execute(
            "INSERT INTO header VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                block_hash,
                block.header.prev_hash,
                height,
                block.header.raw,
                work.to_bytes(32, "big"),
                len(block.transactions),
                len(block.raw),
            ),
        )
        self._db.execute("INSERT INTO body (hash, raw) VALUES (?, ?)", (block_hash, block.raw))

    def connect(self, block: Block, height: int) -> None:
        """Append a kept block to the active chain: spend and create its coins, index its transactions."""
        block_hash = block.header.hash
        self._db.execute("INSERT INTO active VALUES (?, ?)", (height, block_hash))
        spent = [self._apply(tx_index, block, height) for tx_index in range(len(block.transactions))][1:]
        self._db.execute("UPDATE body SET undo = ? WHERE hash = ?", (undo.encode(spent), block_hash))
        rows = [
            (tx.txid, block_hash, start, len(tx.raw))
            for tx, start in zip(block.transactions, block.offsets, strict=True)
        ]
        self._db.executemany("INSERT OR REPLACE INTO transaction_index VALUES (?, ?, ?, ?)", rows)

    def _apply(self, tx_index: int, block: Block, height: int) -> list[Coin]:
        tx = block.transactions[tx_index]
        spent: list[Coin] = []
        for item in () if tx_index == 0 else tx.inputs:
            coin = self.coin(item.outpoint)
            if coin is None:
                raise LookupError(f"block {height} spends an output that this database does not have")
            spent.append(coin)
            self._db.execute("DELETE FROM coin WHERE outpoint = ?", (item.outpoint,))
        # The coinbase of block 0 cannot be spent: Core keeps it out of its coins, too.
        if height > 0:
            coins = [
                (outpoint, output.value, output.script, height, tx_index == 0) for outpoint, output in undo.created(tx)
            ]
            self._db.executemany("INSERT INTO coin VALUES (?, ?, ?, ?, ?)", coins)
        return spent

    def disconnect_tip(self) -> Block:
        """Take the last block off the active chain and return it; its bytes and transactions stay readable."""
        tip = self.tip()
        raw, spent = self.raw_block(tip.hash), self.spent_coins(tip.hash)
        if raw is None or spent is None:
            raise LookupError(f"block {tip.height} cannot be undone: its data is missing")
        block = decode_block(raw)
        for tx, coins in reversed(list(zip(block.transactions, [[], *spent], strict=True))):
            self._db.executemany("DELETE FROM coin WHERE outpoint = ?", [(point,) for point, _ in undo.created(tx)])
            rows = [
                (item.outpoint, coin.value, coin.script, coin.height, coin.coinbase)
                for item, coin in zip(() if tx.is_coinbase else tx.inputs, coins, strict=True)
            ]
            self._db.executemany("INSERT INTO coin VALUES (?, ?, ?, ?, ?)", rows)
        self._db.execute("DELETE FROM active WHERE height = ?", (tip.height,))
        return block
