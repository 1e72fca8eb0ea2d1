"""What the API has to answer, computed from the chain alone: plain lists that a test filters as it reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.support.indexing import MARKETPLACE_HEIGHT
from tests.support.memory_node import hash_of
from tests.support.ours import run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from indexer.protocol.model import Applied
    from tests.support.ours import BlockResult, Result

Row = dict[str, Any]

UNIT = 10**8


def text(units: int) -> str:
    return f"{units // UNIT}.{units % UNIT:08d}"


def hex_of(raw: bytes) -> str:
    """As explorers write hashes."""
    return raw[::-1].hex()


def moment(raw: bytes) -> str:
    """A block's time."""
    return datetime.fromtimestamp(int.from_bytes(raw[68:72], "little"), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Book:
    """All operations in their order, all balances by ticker and address, and when each changed last."""

    blocks: Sequence[bytes]
    result: Result
    operations: list[Row]
    changed: dict[tuple[str, str], int]

    def latest(self, wanted: Callable[[Row], bool]) -> list[Row]:
        """The operations that are wanted, the latest first."""
        return [row for row in reversed(self.operations) if wanted(row)]

    def balance(self, ticker: str, address: str) -> Row:
        units = text(self.result.balances.get((ticker, address), 0))
        return {
            "pkscript": "",
            "ticker": ticker,
            "wallet": address,
            "overall_balance": units,
            "available_balance": units,
            "block_height": self.changed.get((ticker, address), 0),
        }

    def balances(self, wanted: Callable[[str, str], bool]) -> list[Row]:
        """Those that are not zero, the largest first, then by name."""
        found = [(-units, *key) for key, units in self.result.balances.items() if wanted(*key)]
        ordered = sorted(found, key=lambda each: (each[0], each[1].encode(), each[2].encode()))
        return [self.balance(ticker, address) for _, ticker, address in ordered]

    def ticker(self, name: str) -> Row:
        deploy = self.result.deploys[name]
        return {
            "ticker": name,
            "decimals": 8,
            "max_supply": text(deploy.max_supply),
            "limit_per_mint": None if deploy.limit_per_mint is None else text(deploy.limit_per_mint),
            "actual_deploy_txid_for_api": hex_of(deploy.txid),
            "deploy_tx_id": hex_of(deploy.txid),
            "deploy_block_height": deploy.height,
            "deploy_timestamp": moment(self.blocks[deploy.height - 1]),
            "creator_address": deploy.deployer or "",
            "remaining_supply": text(deploy.max_supply - deploy.minted),
            "minted": text(deploy.minted),
            "current_supply": text(deploy.minted),
            "circulating_supply": text(deploy.minted),
            "total_locked": "0.00000000",
            "holders": sum(1 for ticker, _ in self.result.balances if ticker == name),
            "is_curve": False,
        }

    def tickers(self) -> list[Row]:
        """The latest first, those of a block by name."""
        names = sorted(self.result.deploys, key=lambda name: (-self.result.deploys[name].height, name.encode()))
        return [self.ticker(name) for name in names]


def operation(block: BlockResult, raw: bytes, number: int, row: Applied) -> Row:
    asked = row.operation
    amount = asked.max_supply if asked.op == "deploy" else asked.amount
    return {
        "id": block.height << 20 | number,
        "tx_id": hex_of(asked.txid),
        "txid": hex_of(asked.txid),
        "op": asked.op,
        "ticker": asked.ticker,
        "amount": None if amount is None else text(amount),
        "block_height": block.height,
        "block_hash": hex_of(hash_of(raw)),
        "tx_index": asked.tx_index,
        "timestamp": moment(raw),
        "from_address": asked.sender,
        "to_address": asked.recipient,
        "valid": row.error is None,
        "is_marketplace": asked.marketplace.name == "VALID",
        "error_code": None if row.error is None else str(row.error),
        "vout": asked.vout,
        "step": asked.step,
    }


def book_of(blocks: Sequence[bytes]) -> Book:
    def no_earlier_output(txid: bytes, vout: int) -> bytes:
        raise AssertionError(f"{hex_of(txid)}:{vout} is older than the chain")

    def after(height: int) -> Result:
        return run(blocks[:height], 1, no_earlier_output, marketplace_height=MARKETPLACE_HEIGHT)

    result = after(len(blocks))
    operations = [
        operation(block, raw, number, row)
        for block, raw in zip(result.blocks, blocks, strict=True)
        for number, row in enumerate(block.rows)
    ]
    changed: dict[tuple[str, str], int] = {}
    before: dict[tuple[str, str], int] = {}
    for height in range(1, len(blocks) + 1):
        now = after(height).balances
        changed |= {key: height for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
        before = now
    return Book(blocks, result, operations, changed)
