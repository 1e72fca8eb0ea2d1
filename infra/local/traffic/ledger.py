"""What the traffic knows of the chain: its own coins and a light model of the tokens, with undo for reorgs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.local.traffic.tokens import Deploy, Tokens, apply_tokens
from infra.local.traffic.tx import Coin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infra.local.node.wire import Block, Transaction
    from infra.local.traffic.wallet import Wallet

REGTEST_GENESIS = bytes.fromhex("0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206")[::-1]
REGTEST_GENESIS_TIME = 1_296_688_602
MATURITY = 100
MAINNET_MARKETPLACE_HEIGHT = 901_350
# Deeper reorgs are read anew from the first block.
KEPT_BLOCKS = 300
_DUST = 1_000
_MEDIAN_SPAN = 11


@dataclass(frozen=True, slots=True)
class Owned:
    """A coin of ours and where it was made."""

    coin: Coin
    height: int
    coinbase: bool


@dataclass(slots=True)
class _Record:
    """One applied block and how to take it back."""

    hash: bytes
    time: int
    transactions: tuple[bytes, ...] = ()
    undo: list[tuple[dict[Any, Any], Any, Any]] = field(default_factory=list)


class Ledger:
    """Our coins and the tokens at the tip, changed block by block and taken back the same way.

    A block is opened, fed with transactions, and closed (or abandoned). Hashes are in wire order.
    """

    def __init__(
        self, wallet: Wallet, *, maturity: int = MATURITY, marketplace_height: int = MAINNET_MARKETPLACE_HEIGHT
    ) -> None:
        """Start behind regtest's genesis block."""
        self.wallet = wallet
        self.maturity = maturity
        self.marketplace_height = marketplace_height
        self.height = 0
        self.coins: dict[bytes, Owned] = {}
        self.deploys: dict[str, Deploy] = {}
        self.balances: dict[tuple[str, bytes], int] = {}
        self._records: deque[_Record] = deque([_Record(REGTEST_GENESIS, REGTEST_GENESIS_TIME)], maxlen=KEPT_BLOCKS)
        self._open: _Record | None = None

    @property
    def tip(self) -> bytes:
        """The hash of the last closed block."""
        return self._records[-1].hash

    @property
    def depth(self) -> int:
        """How many blocks can be taken back."""
        return len(self._records) - 1

    @property
    def earliest_time(self) -> int:
        """The first time, in Unix seconds, that consensus lets the next block have."""
        times = sorted(record.time for record in list(self._records)[-_MEDIAN_SPAN:])
        return times[len(times) // 2] + 1

    def open(self) -> None:
        """Begin the next block; what an unfinished one left is forgotten."""
        self.abandon()
        self._open = _Record(b"", 0)

    def add(self, tx: Transaction) -> None:
        """Apply one transaction to the open block."""
        spent = [self.coins.get(item.outpoint) for item in tx.inputs]
        for item in tx.inputs:
            if item.outpoint in self.coins:
                self._put(self.coins, item.outpoint, None)
        for vout, output in enumerate(tx.outputs):
            party = self.wallet.by_script.get(output.script)
            if party is not None and output.value >= _DUST:
                coin = Coin(tx.txid, vout, output.value, party.key, party.kind)
                self._put(self.coins, coin.outpoint, Owned(coin, self.height + 1, tx.is_coinbase))
        if not tx.is_coinbase:
            late = self.height + 1 >= self.marketplace_height
            tokens = Tokens(self.deploys, self.balances, late, self.lowest, self._put)
            apply_tokens(tokens, tx, [owned.coin.script if owned else None for owned in spent])

    def close(self, block_hash: bytes, time: int, transactions: Iterable[bytes]) -> None:
        """End the open block; `transactions` are its raw ones without the coinbase."""
        record = self._opened
        record.hash, record.time, record.transactions = block_hash, time, tuple(transactions)
        self._records.append(record)
        self._open = None
        self.height += 1

    def abandon(self) -> None:
        """Forget the open block, if there is one."""
        if self._open is not None:
            _undo(self._open)
            self._open = None

    def connect(self, block: Block) -> None:
        """Apply a whole block that somebody mined on the tip."""
        self.open()
        for tx in block.transactions:
            self.add(tx)
        self.close(block.header.hash, block.header.time, (tx.raw for tx in block.transactions[1:]))

    def rewind(self) -> tuple[bytes, ...]:
        """Take the last block back; return its transactions without the coinbase."""
        self.abandon()
        record = self._records.pop()
        _undo(record)
        self.height -= 1
        return record.transactions

    def spendable(self) -> list[Coin]:
        """Return our coins that the next block may spend, in an order that only the chain decides."""
        limit = self.height + 1 - self.maturity
        ready = [owned.coin for owned in self.coins.values() if not owned.coinbase or owned.height <= limit]
        return sorted(ready, key=lambda coin: coin.outpoint)

    def lowest(self, key: tuple[str, bytes]) -> int:
        """Return the lowest that a balance was since the block was opened: what a sale in it can count on.

        Sales come before all else in their block: what the block itself brought is not there yet, and what they take
        must not be missing where an earlier transaction spends it.
        """
        before = [old or 0 for table, name, old in self._opened.undo if table is self.balances and name == key]
        return min([*before, self.balances.get(key, 0)])

    def is_new(self, ticker: str) -> bool:
        """Whether the ticker was deployed in the open block."""
        return any(table is self.deploys and name == ticker and old is None for table, name, old in self._opened.undo)

    @property
    def _opened(self) -> _Record:
        if self._open is None:
            raise RuntimeError("no block is open")
        return self._open

    def _put(self, table: dict[Any, Any], key: Any, value: Any) -> None:  # noqa: ANN401 - one journal for three tables
        self._opened.undo.append((table, key, table.get(key)))
        _set(table, key, value)


def _set(table: dict[Any, Any], key: Any, value: Any) -> None:  # noqa: ANN401 - one journal for three tables
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _undo(record: _Record) -> None:
    for table, key, old in reversed(record.undo):
        _set(table, key, old)
