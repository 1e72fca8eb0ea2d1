"""An index of operations that no chain of ours would hold, by the rules but without blocks."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from indexer.bitcoin.block import Block
from indexer.bitcoin.script import Network
from indexer.protocol.apply import apply
from indexer.protocol.errors import ErrorCode
from indexer.protocol.hashing import EMPTY
from indexer.protocol.model import Operation, Position, State
from indexer.protocol.rules import Rules
from indexer.snapshot.tables import BALANCES, BLOCKS, DEPLOYS, OPERATIONS
from indexer.store.chain import claim
from indexer.store.connection import connect
from indexer.store.partitions import PARTITION_BLOCKS, ensure_partition, partition_of
from indexer.store.rows import numeric, operation_rows
from tests.support.indexing import MARKETPLACE_HEIGHT, identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.protocol.model import BalanceKey, Deploy

HOSTILE_TICKERS = (
    "\t",
    "\n",
    "\\N",
    "\\.",
    "\\",
    "\\\\x00",
    "A\bB\fC\rD\vE",
    ";\\s\\n",
    "\u2028\U0001f98a",
    "\x7f\x01",
    " ",
    '"',
    "Y" * 3_000 + "\u0390" * 200,
)


def filled(database_url: str) -> int:
    """Fill a migrated database with a few blocks on both sides of a partition's edge; return the first height."""
    start = PARTITION_BLOCKS - 3
    deploys = [
        _operation(n, op="deploy", ticker=tick, max_supply=10**37, limit_per_mint=10**37)
        for n, tick in enumerate(HOSTILE_TICKERS)
    ]
    mints = [
        _operation(n, op="mint", ticker=tick, amount=10**37 - n, recipient="al\\ice")
        for n, tick in enumerate(HOSTILE_TICKERS)
    ]
    moves = [
        _operation(n, op="transfer", ticker=tick, amount=n, sender="al\\ice", recipient="bob")
        for n, tick in enumerate(HOSTILE_TICKERS)
    ]
    odd = [
        _operation(0, op="burn", ticker="x"),
        _operation(1, op="\n\t\\", error=ErrorCode.INVALID_OPERATION),
        _operation(2, op="mint"),
    ]
    store(database_url, start, [[], deploys, mints, [], moves, odd])
    return start


def store(database_url: str, start: int, blocks: Sequence[Sequence[Operation]]) -> None:
    """Apply blocks of operations from `start` on and write the tables; there is no undo data."""
    rules = Rules(Network.REGTEST, MARKETPLACE_HEIGHT)
    deploys: dict[str, Deploy] = {}
    balances: dict[BalanceKey, int] = {}
    heights: dict[BalanceKey, int] = {}
    position, previous = Position(start - 1, EMPTY, EMPTY), b""
    rows: dict[Any, list[tuple[Any, ...]]] = {BLOCKS: [], OPERATIONS: [], DEPLOYS: []}
    for height, operations in enumerate(blocks, start=start):
        block = Block(sha256(bytes([height % 256])).digest(), previous, datetime(2024, 1, 1, tzinfo=UTC), (), {})
        delta = apply(block, operations, State(deploys, balances), position, rules)
        position, previous = delta.after, block.hash
        deploys |= {ticker: change.after for ticker, change in delta.deploys.items() if change.after is not None}
        balances |= {key: change.after or 0 for key, change in delta.balances.items()}
        heights |= dict.fromkeys(delta.balances, height)
        after = (delta.events_hash, position.state_hash, position.state_digest)
        rows[BLOCKS].append((height, block.hash, block.prev_hash, block.time, len(delta.rows), *after))
        rows[OPERATIONS] += operation_rows(height, delta.rows)
    for each in deploys.values():
        amounts = map(numeric, (each.max_supply, each.limit_per_mint, each.minted))
        rows[DEPLOYS].append((each.ticker, *amounts, each.height, each.txid, each.deployer))
    rows[BALANCES] = [(key.ticker, key.address, numeric(units), heights[key]) for key, units in balances.items()]
    with connect(database_url) as connection, connection.transaction():
        claim(connection, identity(start_height=start))
        for number in range(partition_of(start), partition_of(position.height) + 1):
            ensure_partition(connection, number)
        for table, given in rows.items():
            with connection.cursor() as cursor, cursor.copy(table.copy_in()) as copy:
                for row in given:
                    copy.write_row(row)
        connection.execute(
            "UPDATE index.chain SET tip_height = %s, tip_hash = %s, undo_from = %s",
            (position.height, previous, position.height + 1),
        )


def _operation(number: int, **fields: Any) -> Operation:  # noqa: ANN401 - an Operation's fields
    return Operation(tx_index=number + 1, txid=bytes([number]) * 32, vout=0, **fields)
