"""The part of the state that is in memory: what recent blocks touched, so that the next ones need not read it again."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from indexer.protocol.model import BalanceKey, Deploy, State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from indexer.protocol.model import BlockDelta

K = TypeVar("K")
V = TypeVar("V")


class WorkingSet:
    """A bounded cache of balances and deploys, exact for every key that was asked for since the last `trim`.

    What is absent here after `add` is absent in the database. `rows` bounds the balances and the deploys, each.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._deploys: dict[str, Deploy] = {}
        self._balances: dict[BalanceKey, int] = {}
        self._heights: dict[BalanceKey, int] = {}
        self.state = State(self._deploys, self._balances)

    def __len__(self) -> int:
        return len(self._balances)

    def unknown(self, tickers: Collection[str], keys: Collection[BalanceKey]) -> tuple[list[str], list[BalanceKey]]:
        """Return what has to be read, and mark the rest as used just now."""
        return _unknown(self._deploys, tickers), _unknown(self._balances, keys)

    def add(self, deploys: Iterable[Deploy], balances: Iterable[tuple[BalanceKey, int, int]]) -> None:
        """Take in what was read: deploys, and balances as (key, units, height of the last change)."""
        self._deploys.update((deploy.ticker, deploy) for deploy in deploys)
        for key, units, height in balances:
            self._balances[key] = units
            self._heights[key] = height

    def settle(self, delta: BlockDelta) -> None:
        """Let the state be what it is after a block."""
        for ticker, deploy in delta.deploys.items():
            if deploy.after is not None:
                self._deploys[ticker] = deploy.after
        for key, balance in delta.balances.items():
            self._balances[key] = balance.after or 0

    def height_of(self, key: BalanceKey) -> int | None:
        """Return when a balance last changed before the blocks that are not stored yet, None where it did not exist."""
        return self._heights.get(key)

    def stored(self, key: BalanceKey, height: int) -> None:
        """Note that a balance's last stored change is of this height."""
        self._heights[key] = height

    def trim(self) -> None:
        """Forget what was not used for longest, down to the bound."""
        _drop_first(self._deploys, len(self._deploys) - self._rows)
        for key in _drop_first(self._balances, len(self._balances) - self._rows):
            self._heights.pop(key, None)

    def clear(self) -> None:
        """Forget everything: the database holds something else now."""
        self._deploys.clear()
        self._balances.clear()
        self._heights.clear()


def _unknown(held: dict[K, V], wanted: Collection[K]) -> list[K]:
    unknown = []
    for key in wanted:
        value = held.pop(key, None)
        if value is None:
            unknown.append(key)
        else:
            held[key] = value  # at the end: the order of a dict is the order of use
    return unknown


def _drop_first(held: dict[K, V], count: int) -> list[K]:
    dropped = list(islice(held, max(count, 0)))
    for key in dropped:
        del held[key]
    return dropped
