"""A block's operations applied to the state they touch: in goes state, out comes what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from indexer.protocol.errors import ErrorCode
from indexer.protocol.hashing import events_hash, next_digest, next_state_hash
from indexer.protocol.model import (
    Applied,
    BalanceKey,
    BlockDelta,
    Change,
    Deploy,
    Marketplace,
    Operation,
    Position,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from indexer.protocol.rules import Rules, Verdict


class Header(Protocol):
    """What is remembered of a block: its hash and that of the one before (internal order), and its time."""

    @property
    def hash(self) -> bytes: ...  # noqa: D102 - as above
    @property
    def prev_hash(self) -> bytes: ...  # noqa: D102
    @property
    def time(self) -> datetime: ...  # noqa: D102


def touched(operations: Iterable[Operation]) -> tuple[set[str], set[BalanceKey]]:
    """Return the tickers and balances that `apply` may look at, so that they can be read at once beforehand."""
    tickers: set[str] = set()
    balances: set[BalanceKey] = set()
    for operation in operations:
        if operation.error is not None or operation.ticker is None:
            continue
        tickers.add(operation.ticker)
        if operation.sender is not None:
            balances.add(BalanceKey(operation.ticker, operation.sender))
        if operation.recipient is not None:
            balances.add(BalanceKey(operation.ticker, operation.recipient))
    return tickers, balances


def apply(block: Header, operations: Sequence[Operation], state: State, before: Position, rules: Rules) -> BlockDelta:
    """Apply a block's operations (in transaction order) to the state at `before`.

    `state` holds everything that `touched` names as far as it exists. Nothing is changed in place.
    """
    work = _Work(state, before.height + 1)
    rows = tuple(work.run(operation, rules) for operation in _in_order(operations))
    deploys, balances = work.changes()
    events = events_hash(rows)
    return BlockDelta(
        hash=block.hash,
        prev_hash=block.prev_hash,
        time=block.time,
        rows=rows,
        deploys=deploys,
        balances=balances,
        events_hash=events,
        after=Position(
            height=work.height,
            state_hash=next_state_hash(before.state_hash, events),
            state_digest=next_digest(before.state_digest, deploys, balances),
        ),
    )


def _in_order(operations: Sequence[Operation]) -> list[Operation]:
    return sorted(operations, key=lambda operation: operation.marketplace is not Marketplace.VALID)


class _Work:
    """The state as it moves through one block: what was read, overlaid by what the block changed so far."""

    def __init__(self, state: State, height: int) -> None:
        self._state = state
        self._deploys: dict[str, Deploy] = {}
        self._balances: dict[BalanceKey, int] = {}
        self._exhausted: set[int] = set()
        self._height = height

    @property
    def height(self) -> int:
        return self._height

    def deploy(self, ticker: str | None) -> Deploy | None:
        if ticker is None:
            return None
        found = self._deploys.get(ticker)
        return self._state.deploys.get(ticker) if found is None else found

    def balance(self, key: BalanceKey) -> int:
        if key in self._balances:
            return self._balances[key]
        return self._state.balances.get(key, 0)

    def run(self, operation: Operation, rules: Rules) -> Applied:
        if operation.error is not None:
            return Applied(operation, operation.error)
        # A multi-transfer ends at the first step that the balance cannot cover.
        if operation.is_step and operation.tx_index in self._exhausted:
            return Applied(operation, ErrorCode.INSUFFICIENT_BALANCE)
        verdict = rules.processors[operation.op](operation, self)
        if verdict.error is None:
            self._take_effect(verdict)
        elif operation.is_step and verdict.error is ErrorCode.INSUFFICIENT_BALANCE:
            self._exhausted.add(operation.tx_index)
        return Applied(operation, verdict.error)

    def _take_effect(self, verdict: Verdict) -> None:
        for deploy in verdict.deploys:
            self._deploys[deploy.ticker] = deploy
        for key, units in verdict.credits:
            self._balances[key] = self.balance(key) + units

    def changes(self) -> tuple[dict[str, Change[Deploy]], dict[BalanceKey, Change[int]]]:
        deploys = {
            ticker: Change(self._state.deploys.get(ticker), deploy)
            for ticker, deploy in self._deploys.items()
            if self._state.deploys.get(ticker) != deploy
        }
        balances = {
            key: Change(self._state.balances.get(key), units)
            for key, units in self._balances.items()
            if self._state.balances.get(key, 0) != units
        }
        return deploys, balances
