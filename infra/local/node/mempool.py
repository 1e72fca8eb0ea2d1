"""Transactions waiting for a block, and the checks that let one in: consensus rules only, no relay policy.

Two mempool rules beyond consensus are kept because callers rely on them: no replacement of a transaction already
here, and no non-final one. Scripts are verified by Bitcoin Core's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.local.node.errors import Code, RpcError
from infra.local.node.kernel import failing_input
from infra.local.node.undo import Coin, created

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from infra.local.node.wire import Transaction

    class Chain(Protocol):
        """What the checks ask of the active chain."""

        def coin(self, outpoint: bytes) -> Coin | None:
            """Return an unspent output."""

        def has_outputs(self, txid: bytes) -> bool:
            """Return whether the transaction has unspent outputs."""


MAX_MONEY = 21_000_000 * 100_000_000
MAX_WEIGHT = 4_000_000
COINBASE_MATURITY = 100
_LOCKTIME_THRESHOLD = 500_000_000
_FINAL_SEQUENCE = 0xFFFFFFFF
_SEQUENCE_DISABLED = 1 << 31
_SEQUENCE_IS_TIME = 1 << 22
_SEQUENCE_MASK = 0xFFFF
_SEQUENCE_GRANULARITY = 9


@dataclass(frozen=True, slots=True)
class Moment:
    """Where the next block stands: its height, the median time before it, and the median time before any height."""

    height: int
    median_time: int
    median_time_before: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction in the mempool: fee in satoshi, Unix time and chain height of its arrival."""

    tx: Transaction
    fee: int
    time: int
    height: int


class Mempool:
    """Waiting transactions, each after those it spends. Not thread-safe: the caller holds the node's lock."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, Waiting] = {}
        self._created: dict[bytes, Coin] = {}
        self._spenders: dict[bytes, bytes] = {}

    def __contains__(self, txid: bytes) -> bool:
        return txid in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def get(self, txid: bytes) -> Waiting | None:
        """Return a waiting transaction by its hash in wire order."""
        return self._waiting.get(txid)

    def all(self) -> list[Waiting]:
        """Return every transaction in an order in which a block may carry them."""
        return list(self._waiting.values())

    def is_spent(self, outpoint: bytes) -> bool:
        """Return whether a waiting transaction spends the output."""
        return outpoint in self._spenders

    def created_coin(self, outpoint: bytes) -> Coin | None:
        """Return an output of a waiting transaction."""
        return self._created.get(outpoint)

    def accept(  # noqa: PLR0913 - the tip, the clock and two limits are the caller's
        self,
        tx: Transaction,
        chain: Chain,
        moment: Moment,
        time: int,
        *,
        verified: bool = False,
        max_fee: int = MAX_MONEY,
    ) -> None:
        """Check a transaction against chain and mempool and keep it; raise RpcError with bitcoind's code and reason.

        `verified` skips the scripts: they were verified before, and an outpoint always means the same output.
        `max_fee` is in satoshi.
        """
        _check_form(tx)
        if not is_final(tx, moment):
            raise _rejected("non-final")
        if any(item.outpoint in self._spenders for item in tx.inputs):
            raise _rejected("txn-mempool-conflict")
        coins = self._coins(tx, chain, moment)
        fee = _check_values(tx, coins, moment)
        if not verified and (failing := failing_input(tx.raw, coins)) is not None:
            raise _rejected(f"mempool-script-verify-flag-failed, input {failing}")
        if fee > max_fee:
            raise RpcError(Code.VERIFY, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")
        self._waiting[tx.txid] = Waiting(tx, fee, time, moment.height - 1)
        self._spenders.update((item.outpoint, tx.txid) for item in tx.inputs)
        for outpoint, output in created(tx):
            self._created[outpoint] = Coin(output.value, output.script, moment.height, coinbase=False)

    def _coins(self, tx: Transaction, chain: Chain, moment: Moment) -> list[Coin]:
        coins = [chain.coin(item.outpoint) or self._created.get(item.outpoint) for item in tx.inputs]
        found = [coin for coin in coins if coin is not None]
        if len(found) < len(coins):
            if chain.has_outputs(tx.txid):
                raise RpcError(Code.VERIFY_ALREADY_IN_CHAIN, "Transaction outputs already in utxo set")
            raise RpcError(Code.VERIFY, "bad-txns-inputs-missingorspent")
        if not sequence_locks_met(tx, found, moment):
            raise _rejected("non-BIP68-final")
        return found

    def rebuild(self, returned: Iterable[Transaction], chain: Chain, moment: Moment, time: int) -> None:
        """Check everything again on a new tip: `returned` (of blocks taken off the chain) first, then what waited.

        What a block now carries, or what spends something that is gone, drops out.
        """
        before = self.all()
        self._waiting, self._created, self._spenders = {}, {}, {}
        for tx in returned:
            self._retry(tx, chain, moment, time, verified=False)
        for waiting in before:
            self._retry(waiting.tx, chain, moment, waiting.time, verified=True)

    def _retry(self, tx: Transaction, chain: Chain, moment: Moment, time: int, *, verified: bool) -> None:
        if tx.txid in self._waiting or tx.is_coinbase:
            return
        try:
            self.accept(tx, chain, moment, time, verified=verified)
        except RpcError:
            return


def _rejected(reason: str) -> RpcError:
    return RpcError(Code.VERIFY_REJECTED, reason)


def _check_form(tx: Transaction) -> None:
    if tx.is_coinbase:
        raise _rejected("coinbase")
    if not tx.inputs:
        raise _rejected("bad-txns-vin-empty")
    if not tx.outputs:
        raise _rejected("bad-txns-vout-empty")
    if tx.weight > MAX_WEIGHT:
        raise _rejected("bad-txns-oversize")
    if any(output.value < 0 for output in tx.outputs):
        raise _rejected("bad-txns-vout-negative")
    if any(output.value > MAX_MONEY for output in tx.outputs):
        raise _rejected("bad-txns-vout-toolarge")
    if sum(output.value for output in tx.outputs) > MAX_MONEY:
        raise _rejected("bad-txns-txouttotal-toolarge")
    if len({item.outpoint for item in tx.inputs}) < len(tx.inputs):
        raise _rejected("bad-txns-inputs-duplicate")


def _check_values(tx: Transaction, coins: list[Coin], moment: Moment) -> int:
    for coin in coins:
        if coin.coinbase and moment.height - coin.height < COINBASE_MATURITY:
            depth = moment.height - coin.height
            raise _rejected(f"bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth {depth}")
    value_in, value_out = sum(coin.value for coin in coins), sum(output.value for output in tx.outputs)
    if value_in < value_out:
        raise _rejected("bad-txns-in-belowout, value in is less than value out")
    return value_in - value_out


def is_final(tx: Transaction, moment: Moment) -> bool:
    """Return whether the next block may carry the transaction by its lock time (BIP113: against the median time)."""
    limit = moment.height if tx.locktime < _LOCKTIME_THRESHOLD else moment.median_time
    return tx.locktime < max(limit, 1) or all(item.sequence == _FINAL_SEQUENCE for item in tx.inputs)


def sequence_locks_met(tx: Transaction, coins: list[Coin], moment: Moment) -> bool:
    """Return whether the next block may carry the transaction by its inputs' relative lock times (BIP68)."""
    if tx.version < 2:
        return True
    for item, coin in zip(tx.inputs, coins, strict=True):
        if item.sequence & _SEQUENCE_DISABLED:
            continue
        count = item.sequence & _SEQUENCE_MASK
        if item.sequence & _SEQUENCE_IS_TIME:
            since = moment.median_time_before(coin.height)
            if moment.median_time < since + (count << _SEQUENCE_GRANULARITY):
                return False
        elif moment.height < coin.height + count:
            return False
    return True
