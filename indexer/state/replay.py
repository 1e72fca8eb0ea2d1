"""Run blocks through the rules once more, from any source of operations, with the whole state in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.protocol.apply import apply
from indexer.protocol.hashing import EMPTY
from indexer.protocol.model import BalanceKey, BlockDelta, Deploy, Position, State
from indexer.store.replayed import operation
from indexer.store.rows import ticker_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from indexer.protocol.apply import Header
    from indexer.protocol.model import Operation
    from indexer.protocol.rules import Rules
    from indexer.store.replayed import OperationRow, Undo, UndoBalances, UndoDeploys


def operations_of(rows: Iterable[OperationRow], rules: Rules) -> list[Operation]:
    """Return the operations that a block's rows record, in transaction order: `apply` finds its own order anew."""
    return sorted((operation(row, rules.processors) for row in rows), key=lambda each: (each.tx_index, each.vout))


class Replay:
    """The state after the blocks so far, recomputed by the rules; it begins before the block at `start_height`.

    A million balances take about 400 MB. `heights` says when each balance last changed; one that came back to
    zero is kept, as its row is.
    """

    def __init__(self, rules: Rules, start_height: int) -> None:
        self._rules = rules
        self.position = Position(start_height - 1, EMPTY, EMPTY)
        self.deploys: dict[str, Deploy] = {}
        self.balances: dict[BalanceKey, int] = {}
        self.heights: dict[BalanceKey, int] = {}
        self._state = State(self.deploys, self.balances)

    def apply(self, block: Header, operations: Sequence[Operation]) -> BlockDelta:
        """Return what the next block does; the state stays as it is until `settle`."""
        return apply(block, operations, self._state, self.position, self._rules)

    def undo(self, delta: BlockDelta) -> Undo:
        """Return what a block that is not settled yet changes, as it was before."""
        deploys: UndoDeploys = {
            ticker_key(ticker): (None if change.before is None else change.before.minted,)
            for ticker, change in delta.deploys.items()
        }
        balances: UndoBalances = {
            (ticker_key(key.ticker), key.address): (change.before, self.heights.get(key))
            for key, change in delta.balances.items()
        }
        return deploys, balances

    def settle(self, delta: BlockDelta) -> None:
        """Let the state be what it is after a block."""
        for ticker, deploy in delta.deploys.items():
            if deploy.after is not None:
                self.deploys[ticker] = deploy.after
        for key, balance in delta.balances.items():
            self.balances[key] = balance.after or 0
            self.heights[key] = delta.after.height
        self.position = delta.after
