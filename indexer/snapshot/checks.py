"""Do the tables come to the values that the chain row and the last block claim: hash chain, events, digest."""

from __future__ import annotations

from array import array
from itertools import groupby, islice
from typing import TYPE_CHECKING, TypeVar

from indexer.protocol.hashing import EMPTY, events_hash, next_digest, next_state_hash
from indexer.protocol.model import BalanceKey, Change, Deploy
from indexer.snapshot import tables
from indexer.snapshot.errors import SnapshotError
from indexer.snapshot.tables import NULL, blob, number, split, text, units
from indexer.store.replayed import OperationRow, as_recorded
from indexer.store.rows import first_op_id, height_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from indexer.protocol.model import Applied
    from indexer.snapshot.tables import Table
    from indexer.store.chain import Tip

T = TypeVar("T")

_NO_EVENTS = events_hash(())
_BATCH = 5_000  # rows of state summed at once: bounds the memory


class Check:
    """Takes the lines of every table, one table after the other, and raises SnapshotError where they do not fit."""

    def __init__(self, start_height: int, tip: Tip) -> None:
        self._start = start_height
        self._tip = tip
        self._digest = EMPTY
        self._counts = array("I")  # of each block's operations

    def take(self, table: Table, lines: Iterable[bytes]) -> None:
        """Consume all lines of a table. Of undo data only the form is known: `state verify` recomputes it."""
        checks = {
            tables.BLOCKS: self._blocks,
            tables.OPERATIONS: self._operations,
            tables.DEPLOYS: self._deploys,
            tables.BALANCES: self._balances,
            tables.UNDO_BALANCES: _undo_balances,
        }
        try:
            checks.get(table, _pass_over)(lines)
        except (ValueError, TypeError) as error:  # what no writer writes: NaN, an unknown code, a missing column
            raise SnapshotError(f"{table.name} hold a row that cannot be read ({error})") from None

    def finish(self) -> None:
        """Compare the digest, once all tables were taken."""
        if self._digest != self._tip.position.state_digest:
            raise SnapshotError(f"deploys and balances do not come to the digest of height {self._tip.height}")

    def _blocks(self, lines: Iterable[bytes]) -> None:
        height, previous, state_hash, digest = self._start - 1, None, EMPTY, EMPTY
        for line in lines:
            at, block, before, _, count, events, state, summed = split(line)
            self._counts.append(number(count))
            height, state_hash = height + 1, next_state_hash(state_hash, blob(events))
            if number(at) != height:
                raise SnapshotError(f"blocks hold height {number(at)} where {height} should be")
            if previous not in {None, blob(before)} or state_hash != blob(state):
                raise SnapshotError(f"block {height} does not follow from the one before")
            previous, digest = blob(block), blob(summed)
        if (height, previous, state_hash, digest) != (
            self._tip.height,
            self._tip.hash,
            self._tip.position.state_hash,
            self._tip.position.state_digest,
        ):
            raise SnapshotError(f"blocks end at height {height}, not in the tip of height {self._tip.height}")

    def _operations(self, lines: Iterable[bytes]) -> None:
        state_hash, height, total = EMPTY, self._start, 0
        for at, group in groupby(map(_operation, lines), key=lambda row: height_of(row[0])):
            rows = list(group)
            total += len(rows)
            is_whole = rows[-1][0] == first_op_id(at) + len(rows) - 1
            if not height <= at <= self._tip.height or not is_whole or len(rows) != self._counts[at - self._start]:
                raise SnapshotError(f"operations of height {at} are not numbered as its block has them")
            for _ in range(height, at):
                state_hash = next_state_hash(state_hash, _NO_EVENTS)
            state_hash = next_state_hash(state_hash, events_hash(applied for _, applied in rows))
            height = at + 1
        for _ in range(height, self._tip.height + 1):
            state_hash = next_state_hash(state_hash, _NO_EVENTS)
        if state_hash != self._tip.position.state_hash:
            raise SnapshotError(f"operations do not come to the state hash of height {self._tip.height}")
        if total != sum(self._counts):
            raise SnapshotError("blocks count other operations than there are")

    def _deploys(self, lines: Iterable[bytes]) -> None:
        rows = map(_deploy, lines)
        while batch := list(islice(rows, _BATCH)):
            self._digest = next_digest(self._digest, {row.ticker: Change(None, row) for row in batch}, {})

    def _balances(self, lines: Iterable[bytes]) -> None:
        rows = map(_balance, lines)
        while batch := list(islice(rows, _BATCH)):
            self._digest = next_digest(self._digest, {}, {key: Change(None, amount) for key, amount in batch})


def _given(value: T | None) -> T:
    if value is None:
        raise ValueError("NULL where there is always a value")
    return value


def _pass_over(lines: Iterable[bytes]) -> None:
    for _ in lines:
        pass


def _undo_balances(lines: Iterable[bytes]) -> None:
    for line in lines:
        height, _, _, amount, at = split(line)
        if (amount == NULL) != (at == NULL) or (at != NULL and number(at) >= number(height)):
            raise ValueError(f"what block {number(height)} changed was not so before it")


def _operation(line: bytes) -> tuple[int, Applied]:
    op_id, tx_index, txid, vout, step, op, ticker, amount, most, limit, sender, recipient, marketplace, error = split(
        line
    )
    row = OperationRow(
        number(op_id),
        number(tx_index),
        blob(txid),
        number(vout),
        None if step == NULL else number(step),
        _given(text(op)),
        text(ticker),
        units(amount),
        units(most),
        units(limit),
        text(sender),
        text(recipient),
        marketplace == b"t",
        text(error),
    )
    return row.op_id, as_recorded(row)


def _deploy(line: bytes) -> Deploy:
    ticker, most, limit, minted, height, txid, deployer = split(line)
    return Deploy(
        _given(text(ticker)),
        _given(units(most)),
        units(limit),
        _given(units(minted)),
        number(height),
        blob(txid),
        text(deployer),
    )


def _balance(line: bytes) -> tuple[BalanceKey, int]:
    ticker, address, amount, _ = split(line)
    return BalanceKey(_given(text(ticker)), _given(text(address))), _given(units(amount))
