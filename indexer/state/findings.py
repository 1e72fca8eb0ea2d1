"""What differs, row by row: the first few of each table with both values, the rest as a count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from indexer.bitcoin.block import display
from indexer.protocol.amount import format_amount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FEW = 3  # rows of a table that are shown: enough to see what kind of damage it is

_IDS = frozenset({"hash", "prev_hash", "tip_hash", "txid"})  # written reversed, as people know them
_AMOUNTS = frozenset({"amount", "max_supply", "limit_per_mint", "minted"})

Value = str | int | bool | None


class Kind(StrEnum):
    """How a row differs."""

    WRONG = "wrong"
    MISSING = "missing"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not as it should be; `values` holds (found, expected) of each column that matters."""

    table: str
    row: str
    kind: Kind
    values: Mapping[str, tuple[Value, Value]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the difference for machines."""
        values = {column: {"found": found, "expected": expected} for column, (found, expected) in self.values.items()}
        return {"table": self.table, "row": self.row, "kind": self.kind.value, "values": values}

    def __str__(self) -> str:
        sides = {Kind.MISSING: 1, Kind.EXTRA: 0}
        if self.kind in sides:
            told = (f"{column} {_quoted(both[sides[self.kind]])}" for column, both in self.values.items())
        else:
            told = (f"{column} is {_quoted(was)}, expected {_quoted(to)}" for column, (was, to) in self.values.items())
        return f"{self.row}: {self.kind}" + "".join(f"; {each}" for each in told)


@dataclass(slots=True)
class Findings:
    """Differences as they are found; `first_block` is the lowest block that is not as it should be."""

    shown: dict[str, list[Difference]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    first_block: int | None = None

    @property
    def differences(self) -> list[Difference]:
        """The differences that are shown, table by table."""
        return [difference for some in self.shown.values() for difference in some]

    def add(self, difference: Difference, *, rows: int = 1) -> None:
        """Note a difference, which stands for so many rows."""
        some = self.shown.setdefault(difference.table, [])
        if len(some) < FEW:
            some.append(difference)
        self.counts[difference.table] += rows

    def blame(self, height: int) -> None:
        """Note that a block is not as it should be."""
        if self.first_block is None or height < self.first_block:
            self.first_block = height

    def compare(
        self, table: str, row: str, names: Sequence[str], found: Sequence[Any] | None, expected: Sequence[Any] | None
    ) -> bool:
        """Note where a row, its columns under these names, is not what it should be (None: it is not there).

        Return whether it is.
        """
        if found == expected:
            return True
        kind = Kind.MISSING if found is None else Kind.EXTRA if expected is None else Kind.WRONG
        nothing = (None,) * len(names)
        columns = zip(names, found or nothing, expected or nothing, strict=True)
        values = {name: (_shown(name, was), _shown(name, to)) for name, was, to in columns if was != to}
        self.add(Difference(table, row, kind, values))
        return False


def _shown(column: str, value: Any) -> Value:  # noqa: ANN401 - a column's value
    if isinstance(value, bytes):
        return display(value) if column in _IDS else value.hex()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if column in _AMOUNTS and value is not None:
        return format_amount(value)
    shown: Value = value
    return shown


def _quoted(value: Value) -> str:
    return "nothing" if value is None or value == "" else str(value)
