"""The JSON that clients of the public reference know: field names kept, amounts exact strings."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from indexer.bitcoin.block import display
from indexer.protocol.amount import DECIMALS, format_amount
from indexer.store.rows import height_of

if TYPE_CHECKING:
    from indexer.store.reader import Snapshot

Row = dict[str, Any]

NOT_INDEXED = "no such block is indexed"


class TickerInfo(BaseModel):
    """A deployed ticker."""

    ticker: str
    decimals: int
    max_supply: str
    limit_per_mint: str | None
    actual_deploy_txid_for_api: str
    deploy_tx_id: str
    deploy_block_height: int
    deploy_timestamp: datetime
    creator_address: str
    remaining_supply: str
    minted: str
    current_supply: str
    circulating_supply: str
    total_locked: str
    holders: int
    is_curve: bool


class AddressBalance(BaseModel):
    """An address's balance of a ticker; `block_height` is where it last changed, 0 for never."""

    pkscript: str
    ticker: str
    wallet: str
    overall_balance: str
    available_balance: str
    block_height: int


class Op(BaseModel):
    """A recorded operation."""

    id: int
    tx_id: str
    txid: str
    op: str
    ticker: str | None
    amount: str | None
    block_height: int
    block_hash: str
    tx_index: int
    timestamp: datetime
    from_address: str | None
    to_address: str | None
    valid: bool
    is_marketplace: bool
    error_code: str | None
    vout: int
    step: int | None


class _All(BaseModel):
    total_count: int
    returned_count: int
    has_more: bool


class AllOps(_All):
    """Operations with how many there are."""

    data: list[Op]


class AllTickers(_All):
    """Tickers with how many there are."""

    data: list[TickerInfo]


class AllBalances(_All):
    """Balances with how many there are."""

    data: list[AddressBalance]


class Status(BaseModel):
    """Where the indexer stands."""

    current_block_height_network: int
    last_indexed_block_main_chain: int
    last_indexed_brc20_op_block: int
    block_hash: str
    state_hash: str | None


class State(BaseModel):
    """What two indexers compare at a height: equal state hashes mean equal histories up to there."""

    height: int
    block_hash: str
    events_hash: str
    state_hash: str
    state_digest: str


class Root(BaseModel):
    """What answers."""

    message: str
    version: str


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """The process takes requests."""

    status: str


class DependencyHealth(BaseModel):
    """How a dependency is: a word, how long it took to answer in milliseconds, and why."""

    status: str
    latency_ms: float | None
    detail: str
    breaker: str | None


class DetailedHealth(BaseModel):
    """How the service and everything it needs is: plain words, and beside them the details."""

    status: str
    timestamp: datetime
    version: str
    dependencies: dict[str, str]
    details: dict[str, DependencyHealth]


class Brc20Health(BaseModel):
    """The reference's own health."""

    status: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


def ticker_info(row: Row) -> Row:
    """Return TickerInfo of a row of deploys."""
    txid, minted = display(row["txid"]), format_amount(row["minted"])
    limit = row["limit_per_mint"]
    return {
        "ticker": row["ticker"],
        "decimals": DECIMALS,
        "max_supply": format_amount(row["max_supply"]),
        "limit_per_mint": None if limit is None else format_amount(limit),
        "actual_deploy_txid_for_api": txid,
        "deploy_tx_id": txid,
        "deploy_block_height": row["height"],
        "deploy_timestamp": iso_time(row["time"]),
        "creator_address": row["deployer"] or "",
        "remaining_supply": format_amount(row["max_supply"] - row["minted"]),
        "minted": minted,
        "current_supply": minted,
        "circulating_supply": minted,
        "total_locked": format_amount(0),
        "holders": row["holders"],
        "is_curve": False,
    }


def address_balance(ticker: str, address: str, row: Row | None) -> Row:
    """Return AddressBalance of a row of balances, zeros where there is none."""
    units = format_amount(row["amount"] if row else 0)
    return {
        "pkscript": "",
        "ticker": ticker,
        "wallet": address,
        "overall_balance": units,
        "available_balance": units,
        "block_height": row["height"] if row else 0,
    }


def balance(row: Row) -> Row:
    """Return AddressBalance of a row of balances."""
    return address_balance(row["ticker"], row["address"], row)


def operation(row: Row) -> Row:
    """Return Op of a row of operations joined with its block."""
    txid = display(row["txid"])
    amount = row["max_supply"] if row["op"] == "deploy" else row["amount"]
    return {
        "id": row["op_id"],
        "tx_id": txid,
        "txid": txid,
        "op": row["op"],
        "ticker": row["ticker"],
        "amount": None if amount is None else format_amount(amount),
        "block_height": row["height"],
        "block_hash": display(row["block_hash"]),
        "tx_index": row["tx_index"],
        "timestamp": iso_time(row["time"]),
        "from_address": row["sender"],
        "to_address": row["recipient"],
        "valid": row["error"] is None,
        "is_marketplace": row["is_marketplace"],
        "error_code": row["error"],
        "vout": row["vout"],
        "step": row["step"],
    }


def status(at: Snapshot, row: Row, node_height: int | None) -> Row:
    """Return Status: the node's height as it says itself, else as sync saw it last."""
    last = row["last_op_id"]
    return {
        "current_block_height_network": max(row["node_height"], at.height) if node_height is None else node_height,
        "last_indexed_block_main_chain": at.height,
        "last_indexed_brc20_op_block": 0 if last is None else height_of(last),
        "block_hash": display(at.block_hash),
        "state_hash": at.state_hash.hex() if at.state_hash else None,
    }


def state(row: Row) -> Row:
    """Return State of a row of blocks."""
    return {
        "height": row["height"],
        "block_hash": display(row["hash"]),
        "events_hash": row["events_hash"].hex(),
        "state_hash": row["state_hash"].hex(),
        "state_digest": row["state_digest"].hex(),
    }


@lru_cache(maxsize=4_096)  # of the rows of a page many are of one block
def iso_time(value: datetime) -> str:
    """Return a time as clients read it."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
