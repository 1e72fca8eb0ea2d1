"""Find the first block in which two indexers differ, by their cumulative hashes, in few reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import asdict

from indexer.state.sides import OtherSideError, Row, Side, StateAt

if TYPE_CHECKING:
    from indexer.store.chain import Identity

# What a row's block already tells, and what tells the same twice.
_OF_BLOCK = frozenset({"block_hash", "block_height", "timestamp", "tx_id"})


class IncomparableError(Exception):
    """The two indexers do not follow the same chain from the same height: one line that says so."""


class Pair(NamedTuple):
    """What both sides have of the same thing; None where one has nothing."""

    here: Any
    there: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two indexers compare up to `height`, the highest that both have.

    Where they differ: the first block in which they do, what is different of it, and its differing operations by id.
    """

    here: str
    there: str
    height: int
    tips: Pair
    first_block: int | None = None
    values: dict[str, Pair] = field(default_factory=dict)
    operations: dict[int, Pair] = field(default_factory=dict)

    @property
    def is_equal(self) -> bool:
        """Tell whether nothing differs."""
        return self.first_block is None

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison for machines."""
        return {
            "equal": self.is_equal,
            "height": self.height,
            "here": {"name": self.here, "height": self.tips.here},
            "there": {"name": self.there, "height": self.tips.there},
            "first_block": self.first_block,
            "values": {name: pair._asdict() for name, pair in self.values.items()},
            "operations": [{"id": number} | pair._asdict() for number, pair in self.operations.items()],
        }


def compare(here: Side, there: Side, start_height: int) -> Comparison:
    """Compare two indexers of which the one here begins at `start_height`.

    Raises IncomparableError and what the sides raise.
    """
    _require_same_chain(here, there, start_height)
    tips = Pair(here.tip(), there.tip())
    height = min(tips.here, tips.there)
    if height < start_height:
        raise IncomparableError(f"{here.name if tips.here < tips.there else there.name} has indexed no block yet")
    if _are_equal(here, there, height):
        return Comparison(here.name, there.name, height, tips)
    first = _first_difference(here, there, start_height, height)
    values = _differing(asdict(_state(here, first)), asdict(_state(there, first)))
    operations = _differing_operations(here.operations(first), there.operations(first))
    return Comparison(here.name, there.name, height, tips, first, values, operations)


def _require_same_chain(here: Side, there: Side, start_height: int) -> None:
    if here.identity is not None and there.identity is not None:
        _require_same_identity(here.identity, there.identity)
        return
    ours, theirs = here.state(start_height), there.state(start_height)
    if theirs is None or (start_height > 0 and there.state(start_height - 1) is not None):
        when = "later" if theirs is None else "earlier"
        raise IncomparableError(f"{there.name} begins {when} than here, where START_BLOCK_HEIGHT is {start_height}")
    if ours is not None and ours.block_hash != theirs.block_hash:
        raise IncomparableError(
            f"{there.name} follows another chain: block {start_height} is {theirs.block_hash} there and "
            f"{ours.block_hash} here; is it of the same BITCOIN_NETWORK?"
        )


def _require_same_identity(here: Identity, there: Identity) -> None:
    for setting, ours, theirs in (
        ("BITCOIN_NETWORK", here.network, there.network),
        ("START_BLOCK_HEIGHT", here.start_height, there.start_height),
        ("MARKETPLACE_TRANSFER_BLOCK_HEIGHT", here.marketplace_height, there.marketplace_height),
    ):
        if ours != theirs:
            raise IncomparableError(f"the two cannot be compared: {setting} is {ours} here and {theirs} there")


def _first_difference(here: Side, there: Side, low: int, high: int) -> int:
    """Return the lowest height that differs, given that `high` does: hashes are cumulative, so all above differ too."""
    while low < high:
        middle = (low + high) // 2
        if _are_equal(here, there, middle):
            low = middle + 1
        else:
            high = middle
    return low


def _are_equal(here: Side, there: Side, height: int) -> bool:
    return _state(here, height) == _state(there, height)


def _state(side: Side, height: int) -> StateAt:
    found = side.state(height)
    if found is None:
        raise OtherSideError(
            f"{side.name} has no state of block {height}, which it should have indexed: it is of an older release, it "
            "is being reorganised, or its table of blocks has a gap; simplicity state verify tells"
        )
    return found


def _differing_operations(here: list[Row], there: list[Row]) -> dict[int, Pair]:
    ours, theirs = ({row["id"]: _told(row) for row in rows} for rows in (here, there))
    pairs = {}
    for number in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(number), theirs.get(number)
        if one is None or other is None:
            pairs[number] = Pair(one, other)
        elif differing := _differing(one, other):
            pairs[number] = Pair(
                {column: pair.here for column, pair in differing.items()},
                {column: pair.there for column, pair in differing.items()},
            )
    return pairs


def _told(row: Row) -> Row:
    return {column: value for column, value in row.items() if column not in _OF_BLOCK}


def _differing(here: Row, there: Row) -> dict[str, Pair]:
    """Return what differs of the columns that both have."""
    return {
        column: Pair(value, there[column])
        for column, value in here.items()
        if column in there and there[column] != value
    }
