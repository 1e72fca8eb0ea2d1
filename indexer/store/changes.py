"""What blocks changed, on its way into the tables: set by set, however many blocks a transaction holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from indexer.protocol.amount import format_amount
from indexer.store.rows import block_row, numeric, operation_rows, ticker_key, ticker_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg.abc import Query

    from indexer.protocol.model import BalanceKey, BlockDelta, Deploy
    from indexer.store.connection import Connection
    from indexer.store.working_set import WorkingSet

_COPY_BLOCKS = (
    "COPY index.blocks (height, hash, prev_hash, time, op_count, events_hash, state_hash, state_digest) FROM STDIN"
)
_COPY_OPERATIONS = (
    "COPY index.operations (op_id, tx_index, txid, vout, step, op, ticker, amount, max_supply, limit_per_mint, sender,"
    " recipient, is_marketplace, error) FROM STDIN"
)
_COPY_DEPLOYS = "COPY index.deploys (ticker, max_supply, limit_per_mint, minted, height, txid, deployer) FROM STDIN"
_UPDATE_DEPLOYS = """
    UPDATE index.deploys d SET minted = n.minted::numeric
    FROM unnest(string_to_array(%s, ','), string_to_array(%s, ',')) AS n (ticker_key, minted)
    WHERE d.ticker_key = decode(n.ticker_key, 'hex')"""
_COPY_BALANCES = "COPY index.balances (ticker, address, amount, height) FROM STDIN"
_UPDATE_BALANCES = """
    UPDATE index.balances b SET amount = n.amount::numeric, height = n.height::integer
    FROM unnest(string_to_array(%s, ','), string_to_array(%s, ','), string_to_array(%s, ','), string_to_array(%s, ','))
        AS n (ticker_key, address, amount, height)
    WHERE (b.ticker_key, b.address) = (decode(n.ticker_key, 'hex'), n.address)"""
_COPY_UNDO_DEPLOYS = "COPY index.undo_deploys (height, ticker_key, minted) FROM STDIN"
_COPY_UNDO_BALANCES = "COPY index.undo_balances (height, ticker_key, address, amount, amount_height) FROM STDIN"

# Rows of deploys: height, ticker key, minted before; and of balances: height, ticker key, address, amount and height
# before.
UndoRows = tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]


@dataclass(slots=True)
class _Merged:
    """What rows become after all the blocks: those that did not exist before, and those that did."""

    new_deploys: dict[str, Deploy] = field(default_factory=dict)
    old_deploys: dict[str, Deploy] = field(default_factory=dict)
    new_balances: dict[BalanceKey, tuple[int, int]] = field(default_factory=dict)
    old_balances: dict[BalanceKey, tuple[int, int]] = field(default_factory=dict)


def store(connection: Connection, deltas: Sequence[BlockDelta], undo_rows: UndoRows) -> None:
    """Write the rows of blocks, operations, deploys and balances, and the undo data given, in the open transaction."""
    merged = _merge(deltas)
    _copy(connection, _COPY_BLOCKS, map(block_row, deltas))
    _copy(
        connection, _COPY_OPERATIONS, (row for each in deltas for row in operation_rows(each.after.height, each.rows))
    )
    insert_deploys(connection, merged.new_deploys.values())
    # In the order of the index: neighbours share its pages.
    insert_balances(connection, ((key, *merged.new_balances[key]) for key in sorted(merged.new_balances)))
    _update_deploys(connection, merged.old_deploys)
    _update_balances(connection, merged.old_balances)
    insert_undo(connection, undo_rows)


def insert_deploys(connection: Connection, deploys: Iterable[Deploy]) -> None:
    """Write deploys that the table does not hold yet."""
    _copy(connection, _COPY_DEPLOYS, map(_deploy_row, deploys))


def insert_balances(connection: Connection, balances: Iterable[tuple[BalanceKey, int, int]]) -> None:
    """Write balances that the table does not hold yet: whose, units, height of the last change."""
    rows = ((key.ticker, key.address, numeric(units), height) for key, units, height in balances)
    _copy(connection, _COPY_BALANCES, rows)


def insert_undo(connection: Connection, undo_rows: UndoRows) -> None:
    """Write undo data of blocks that have none yet."""
    _copy(connection, _COPY_UNDO_DEPLOYS, undo_rows[0])
    _copy(connection, _COPY_UNDO_BALANCES, undo_rows[1])


def undo_rows(deltas: Iterable[BlockDelta], working_set: WorkingSet, first_height: int) -> UndoRows:
    """Return the rows that let each block from `first_height` on be taken back, and note when balances changed."""
    deploys: list[tuple[Any, ...]] = []
    balances: list[tuple[Any, ...]] = []
    for delta in deltas:
        height = delta.after.height
        is_kept = height >= first_height
        if is_kept:
            for ticker, deploy in delta.deploys.items():
                minted = None if deploy.before is None else numeric(deploy.before.minted)
                deploys.append((height, ticker_key(ticker), minted))
        for key, change in delta.balances.items():
            if is_kept:
                before = (numeric(change.before), working_set.height_of(key))
                balances.append((height, ticker_key(key.ticker), key.address, *before))
            working_set.stored(key, height)
    return deploys, balances


def _merge(deltas: Iterable[BlockDelta]) -> _Merged:
    merged = _Merged()
    for delta in deltas:
        for ticker, deploy in delta.deploys.items():
            if deploy.after is not None:
                is_new = deploy.before is None or ticker in merged.new_deploys
                (merged.new_deploys if is_new else merged.old_deploys)[ticker] = deploy.after
        for key, balance in delta.balances.items():
            is_new = balance.before is None or key in merged.new_balances
            target = merged.new_balances if is_new else merged.old_balances
            target[key] = (balance.after or 0, delta.after.height)
    return merged


def _copy(connection: Connection, statement: Query, rows: Iterable[tuple[Any, ...]]) -> None:
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        return
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write_row(first)
        for row in iterator:
            copy.write_row(row)


def _deploy_row(deploy: Deploy) -> tuple[Any, ...]:
    return (
        deploy.ticker,
        numeric(deploy.max_supply),
        numeric(deploy.limit_per_mint),
        numeric(deploy.minted),
        deploy.height,
        deploy.txid,
        deploy.deployer,
    )


def _update_deploys(connection: Connection, deploys: dict[str, Deploy]) -> None:
    if deploys:
        minted = (format_amount(deploy.minted) for deploy in deploys.values())
        connection.execute(_UPDATE_DEPLOYS, (ticker_keys(deploys), ",".join(minted)))


def _update_balances(connection: Connection, balances: dict[BalanceKey, tuple[int, int]]) -> None:
    if balances:
        columns = (
            ticker_keys(key.ticker for key in balances),
            ",".join(key.address for key in balances),
            ",".join(format_amount(units) for units, _ in balances.values()),
            ",".join(str(height) for _, height in balances.values()),
        )
        connection.execute(_UPDATE_BALANCES, columns)
