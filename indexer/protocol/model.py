"""The rules' vocabulary: operations, the state they change, and what a block did to it. Amounts are in 10⁻⁸ units.

What is made once an operation is a msgspec struct: a frozen dataclass takes ten times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from indexer.protocol.errors import ErrorCode


T = TypeVar("T")


class Marketplace(Enum):
    """What the signatures of a transfer's inputs make of it."""

    NONE = "none"
    VALID = "valid"
    MALFORMED = "malformed"


class Operation(Struct, frozen=True, gc=False):
    """What one BRC-20 output asks for, with all that its own transaction says; `error` where that alone settles it.

    `txid` is in internal byte order. `step` is the number of a multi-transfer step, else None.
    """

    tx_index: int
    txid: bytes
    vout: int
    op: str
    step: int | None = None
    ticker: str | None = None
    amount: int | None = None
    max_supply: int | None = None
    limit_per_mint: int | None = None
    limit_is_given: bool = False
    sender: str | None = None
    recipient: str | None = None
    marketplace: Marketplace = Marketplace.NONE
    error: ErrorCode | None = None

    @property
    def is_step(self) -> bool:
        """Tell whether this is one step of a multi-transfer."""
        return self.step is not None


class Deploy(Struct, frozen=True, gc=False):
    """A deployed ticker. `txid` in internal byte order; `limit_per_mint` None where no mint is possible."""

    ticker: str
    max_supply: int
    limit_per_mint: int | None
    minted: int
    height: int
    txid: bytes
    deployer: str | None


class BalanceKey(NamedTuple):
    """Whose balance of which ticker."""

    ticker: str
    address: str


@dataclass(frozen=True, slots=True)
class State:
    """The part of the state that a block may touch; what is absent does not exist (deploys) or is zero (balances)."""

    deploys: Mapping[str, Deploy] = field(default_factory=dict)
    balances: Mapping[BalanceKey, int] = field(default_factory=dict)


class Change(Struct, Generic[T], frozen=True, gc=False):
    """A value before and after a block; None where it did not exist."""

    before: T | None
    after: T | None


class Applied(Struct, frozen=True, gc=False):
    """An operation with its verdict: valid without an error code."""

    operation: Operation
    error: ErrorCode | None

    @property
    def valid(self) -> bool:
        """Tell whether the operation took effect."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a chain of state stands: cumulative hash (32 bytes) and digest (32 bytes) after a height."""

    height: int
    state_hash: bytes
    state_digest: bytes


@dataclass(frozen=True, slots=True)
class BlockDelta:
    """All that a block did: rows in order of application, the values it changed, where the chain then stands."""

    hash: bytes
    prev_hash: bytes
    time: datetime
    rows: tuple[Applied, ...]
    deploys: Mapping[str, Change[Deploy]]
    balances: Mapping[BalanceKey, Change[int]]
    events_hash: bytes
    after: Position
