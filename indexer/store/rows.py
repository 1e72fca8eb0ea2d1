"""Rows as the tables hold them."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from indexer.protocol.amount import format_amount
from indexer.protocol.model import Marketplace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from indexer.protocol.model import Applied, BlockDelta

HEIGHT_SHIFT = 20  # op_id = height << 20 | n: a block holds far fewer than 2^20 operations

OPERATION_COLUMNS = (
    "op_id",
    "tx_index",
    "txid",
    "vout",
    "step",
    "op",
    "ticker",
    "amount",
    "max_supply",
    "limit_per_mint",
    "sender",
    "recipient",
    "is_marketplace",
    "error",
)


class BlockRow(NamedTuple):
    """A row of `index.blocks`."""

    height: int
    hash: bytes
    prev_hash: bytes
    time: datetime
    op_count: int
    events_hash: bytes
    state_hash: bytes
    state_digest: bytes


def first_op_id(height: int) -> int:
    """Return the lowest op_id of a height; the next height's is one above its highest."""
    return height << HEIGHT_SHIFT


def height_of(op_id: int) -> int:
    """Return the height that an op_id belongs to."""
    return op_id >> HEIGHT_SHIFT


@lru_cache(maxsize=4096)
def ticker_key(ticker: str) -> bytes:
    """Return the key under which the tables hold a ticker, as their own `index.ticker_key` gives it."""
    return sha256(ticker.encode()).digest()


def ticker_keys(tickers: Iterable[str]) -> str:
    """Return the keys of tickers in hexadecimal with commas between: one parameter, made much faster than an array."""
    return ",".join(ticker_key(ticker).hex() for ticker in tickers)


def block_row(delta: BlockDelta) -> BlockRow:
    """Return the row that a block has."""
    after = delta.after
    return BlockRow(
        after.height,
        delta.hash,
        delta.prev_hash,
        delta.time,
        len(delta.rows),
        delta.events_hash,
        after.state_hash,
        after.state_digest,
    )


def operation_rows(height: int, rows: Iterable[Applied]) -> Iterator[tuple[Any, ...]]:
    """Return the rows of `index.operations` of a block, amounts as decimal text."""
    for number, applied in enumerate(rows):
        operation = applied.operation
        yield (
            first_op_id(height) | number,
            operation.tx_index,
            operation.txid,
            operation.vout,
            operation.step,
            operation.op,
            operation.ticker,
            numeric(operation.amount),
            numeric(operation.max_supply),
            numeric(operation.limit_per_mint),
            operation.sender,
            operation.recipient,
            operation.marketplace is Marketplace.VALID,
            applied.error,
        )


def numeric(units: int | None) -> str | None:
    """Return units as the text of a numeric, exact whatever its size."""
    return None if units is None else format_amount(units)
