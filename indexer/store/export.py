"""The whole index as canonical NDJSON: the same state gives the same bytes, from any indexer of these rules."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

from psycopg import sql

from indexer.bitcoin.block import display
from indexer.protocol.amount import format_amount
from indexer.store.chain import read_tip
from indexer.store.connection import connect, translated
from indexer.store.rows import OPERATION_COLUMNS, height_of
from indexer.store.transactions import LONG, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.abc import Query

    from indexer.store.connection import Connection

_FETCH = 5_000


def export(database_url: str, target: IO[bytes]) -> None:
    """Write a header, then deploys, balances (non-zero) and operations, each sorted by key, to `target`."""
    with translated(), connect(database_url) as connection, transaction(connection, LONG):
        for record in _records(connection):
            line = json.dumps(record, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
            target.write(line.encode() + b"\n")


def _records(connection: Connection) -> Iterator[dict[str, Any]]:
    tip = read_tip(connection)
    yield {
        "type": "state",
        "height": tip.height,
        "block_hash": display(tip.hash),
        "state_hash": tip.position.state_hash.hex(),
        "state_digest": tip.position.state_digest.hex(),
    }
    yield from _deploys(connection)
    yield from _balances(connection)
    yield from _operations(connection)


def _deploys(connection: Connection) -> Iterator[dict[str, Any]]:
    query = (
        "SELECT ticker, max_supply, limit_per_mint, minted, height, txid, deployer FROM index.deploys ORDER BY ticker"
    )
    for ticker, max_supply, limit, minted, height, txid, deployer in _rows(connection, query):
        yield {
            "type": "deploy",
            "ticker": ticker,
            "max_supply": format_amount(max_supply),
            "limit_per_mint": _amount(limit),
            "minted": format_amount(minted),
            "height": height,
            "txid": display(txid),
            "deployer": deployer,
        }


def _balances(connection: Connection) -> Iterator[dict[str, Any]]:
    query = "SELECT ticker, address, amount, height FROM index.balances WHERE amount > 0 ORDER BY ticker, address"
    for ticker, address, amount, height in _rows(connection, query):
        yield {
            "type": "balance",
            "ticker": ticker,
            "address": address,
            "amount": format_amount(amount),
            "height": height,
        }


def _operations(connection: Connection) -> Iterator[dict[str, Any]]:
    columns = sql.SQL(", ").join(map(sql.Identifier, OPERATION_COLUMNS))
    query = sql.SQL("SELECT {} FROM index.operations ORDER BY op_id").format(columns)
    for row in _rows(connection, query):
        record = dict(zip(OPERATION_COLUMNS, row, strict=True))
        amounts = {name: _amount(record[name]) for name in ("amount", "max_supply", "limit_per_mint")}
        yield (
            record
            | amounts
            | {
                "type": "operation",
                "height": height_of(record["op_id"]),
                "txid": display(record["txid"]),
                "valid": record["error"] is None,
            }
        )


def _amount(units: int | None) -> str | None:
    return None if units is None else format_amount(units)


def _rows(connection: Connection, query: Query) -> Iterator[tuple[Any, ...]]:
    with connection.cursor(name="export") as cursor:
        cursor.itersize = _FETCH
        cursor.execute(query)
        yield from cursor
