"""Bodies beside what SQL says: queries and shapes of this module's own, which share nothing with the API's."""

from __future__ import annotations

import json
import re
from datetime import UTC
from typing import TYPE_CHECKING, Any, LiteralString
from urllib.parse import parse_qs, urlsplit

from psycopg.rows import dict_row

from tests.bench.api.endpoints import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    import psycopg

    from tests.bench.api.load import Sample

Row = dict[str, Any]

SHOWN = 200  # characters of a body that is wrong

# By names and not by the keys that the API's queries go by: whole tables are read.
_TICKERS = """
    SELECT d.ticker, 8 AS decimals, d.max_supply::text, d.limit_per_mint::text, d.txid, d.deployer,
        d.height AS deploy_block_height, b.time AS deploy_timestamp, d.minted::text,
        (d.max_supply - d.minted)::text AS remaining_supply, coalesce(h.holders, 0) AS holders
    FROM index.deploys d JOIN index.blocks b USING (height)
    LEFT JOIN (SELECT ticker, count(*) AS holders FROM index.balances WHERE amount > 0 GROUP BY ticker) h
        USING (ticker)
    ORDER BY d.height DESC, d.ticker"""
_OPERATIONS = """
    SELECT o.op_id AS id, o.txid, o.op, o.ticker, coalesce(o.amount, o.max_supply)::text AS amount,
        o.op_id / 1048576 AS block_height, b.hash, o.tx_index, b.time AS timestamp, o.sender AS from_address,
        o.recipient AS to_address, o.error IS NULL AS valid, o.is_marketplace, o.error AS error_code, o.vout, o.step
    FROM index.operations o JOIN index.blocks b ON b.height = o.op_id / 1048576
    WHERE o.error IS NULL AND """


class Truth:
    """Looks answers up on a connection; what is the same for all addresses is read once."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._tickers: list[Row] | None = None

    def differences(self, samples: Iterable[Sample]) -> list[str]:
        """Return a line for each body that is not what the database holds."""
        return [line for sample in samples for line in self._difference(sample)]

    def _difference(self, sample: Sample) -> list[str]:
        expected = self.expected(sample.path)
        try:
            found = json.loads(sample.body)
        except ValueError:
            return [f"{sample.path}: no JSON"]
        line = difference(expected, found)
        return [f"{sample.path}{line}"] if line else []

    def expected(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return the body that belongs to an address, without what is not in the database."""
        url = urlsplit(path)
        query = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
        for form, look_up in self._forms().items():
            if match := re.fullmatch(form, url.path.removeprefix("/v1/indexer")):
                return look_up(*match.groups(), query.get("skip", 0), query.get("limit", PAGE))
        raise ValueError(f"no query for {path}")

    def _forms(self) -> dict[str, Callable[..., Any]]:
        return {
            "/brc20/status": self._status,
            "/brc20/list": lambda skip, limit: self._all_tickers()[skip : skip + limit],
            "/brc20/history-by-height/(.+)": self._block,
            "/address/(.+)/brc20/(.+)/info": self._balance,
            "/address/(.+)/history": self._address,
            "/brc20/(.+)/info": lambda name, *_: next(row for row in self._all_tickers() if row["ticker"] == name),
            "/brc20/(.+)/holders": self._holders,
            "/brc20/(.+)/history": self._history,
        }

    def _status(self, *_: int) -> Row:
        (row,) = self._rows(
            "SELECT c.node_height, b.height, b.hash, b.state_hash,"
            " (SELECT max(op_id) / 1048576 FROM index.operations) AS last"
            " FROM index.chain c, index.blocks b ORDER BY b.height DESC LIMIT 1"
        )
        return {
            "current_block_height_network": row["node_height"],
            "last_indexed_block_main_chain": row["height"],
            "last_indexed_brc20_op_block": row["last"],
            "block_hash": _display(row["hash"]),
            "state_hash": row["state_hash"].hex(),
        }

    def _all_tickers(self) -> list[Row]:
        if self._tickers is None:
            self._tickers = [_ticker(row) for row in self._rows(_TICKERS)]
        return self._tickers

    def _holders(self, ticker: str, skip: int, limit: int) -> list[Row]:
        rows = self._rows(
            "SELECT ticker, address, amount::text, height FROM index.balances WHERE ticker = %s AND amount <> 0"
            " ORDER BY balances.amount DESC, address OFFSET %s LIMIT %s",
            (ticker, skip, limit),
        )
        return [_held(row) for row in rows]

    def _balance(self, address: str, ticker: str, *_: int) -> Row:
        (row,) = self._rows(
            "SELECT ticker, address, amount::text, height FROM index.balances WHERE address = %s AND ticker = %s",
            (address, ticker),
        )
        return _held(row)

    def _history(self, ticker: str, skip: int, limit: int) -> list[Row]:
        query = _OPERATIONS + "o.ticker = %s ORDER BY o.op_id DESC OFFSET %s LIMIT %s"
        return [_operation(row) for row in self._rows(query, (ticker, skip, limit))]

    def _address(self, address: str, skip: int, limit: int) -> list[Row]:
        query = _OPERATIONS + "%s IN (o.sender, o.recipient) ORDER BY o.op_id DESC OFFSET %s LIMIT %s"
        return [_operation(row) for row in self._rows(query, (address, skip, limit))]

    def _block(self, height: str, skip: int, limit: int) -> list[Row]:
        query = _OPERATIONS + "b.height = %s ORDER BY o.op_id OFFSET %s LIMIT %s"
        return [_operation(row) for row in self._rows(query, (int(height), skip, limit))]

    def _rows(self, query: LiteralString, parameters: tuple[Any, ...] = ()) -> list[Row]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, parameters).fetchall()


def difference(expected: Any, found: Any) -> str:  # noqa: ANN401 - JSON
    """Say where what was found first lacks something expected; members that the database has not may come beside."""
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = [(f"[{place}]", *pair) for place, pair in enumerate(zip(expected, found, strict=True))]
    elif isinstance(expected, dict) and isinstance(found, dict) and expected.keys() <= found.keys():
        pairs = [(f".{name}", value, found[name]) for name, value in expected.items()]
    elif type(expected) is type(found) and expected == found:
        return ""
    else:
        return f": {json.dumps(found)[:SHOWN]} instead of {json.dumps(expected)[:SHOWN]}"
    return next((where + line for where, *pair in pairs if (line := difference(*pair))), "")


def _ticker(row: Row) -> Row:
    txid = _display(row.pop("txid"))
    deployer = row.pop("deployer") or ""
    supplies = dict.fromkeys(("current_supply", "circulating_supply"), row["minted"])
    row["deploy_timestamp"] = _iso(row["deploy_timestamp"])
    return row | supplies | {"creator_address": deployer, "deploy_tx_id": txid, "actual_deploy_txid_for_api": txid}


def _held(row: Row) -> Row:
    amounts = dict.fromkeys(("overall_balance", "available_balance"), row["amount"])
    return {"ticker": row["ticker"], "wallet": row["address"], "block_height": row["height"]} | amounts


def _operation(row: Row) -> Row:
    txid = _display(row.pop("txid"))
    row["timestamp"] = _iso(row["timestamp"])
    return row | {"tx_id": txid, "txid": txid, "block_hash": _display(row.pop("hash"))}


def _display(hashed: bytes) -> str:
    return hashed[::-1].hex()


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
