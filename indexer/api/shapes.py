"""The JSON that clients of the public reference know: field names kept, amounts exact strings."""

from __future__ import annotations

from datetime import UTC
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from indexer.bitcoin.block import display
from indexer.protocol.amount import DECIMALS, format_amount
from indexer.store.rows import height_of

if TYPE_CHECKING:
    from datetime import datetime

    from indexer.store.reader import Snapshot

Row = dict[str, Any]

NOT_INDEXED = "no such block is indexed"


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
