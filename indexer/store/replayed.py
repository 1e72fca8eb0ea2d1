"""What the tables hold, read for running it again: everything of a height together, and rows back to operations."""

from __future__ import annotations

from heapq import merge
from itertools import groupby
from operator import itemgetter
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql
from psycopg.adapt import Loader
from psycopg.pq import Format

from indexer.protocol.amount import DECIMALS
from indexer.protocol.errors import ErrorCode
from indexer.protocol.model import Applied, BalanceKey, Deploy, Marketplace, Operation
from indexer.store.chain import Identity
from indexer.store.rows import HEIGHT_SHIFT, OPERATION_COLUMNS, BlockRow, height_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from psycopg.abc import Buffer

    from indexer.store.connection import Connection

HIGHEST = 2**31 - 1  # what the column `height` holds

_FETCH = 5_000  # rows a round trip

# What the payload alone earns an operation: its row has no ticker, amounts or addresses.
_EARLY_ERRORS = (ErrorCode.MISSING_PROTOCOL, ErrorCode.INVALID_PROTOCOL)
_OP_ERRORS = (*_EARLY_ERRORS, ErrorCode.MISSING_OPERATION, ErrorCode.INVALID_OPERATION)
_TICKER_ERRORS = (*_EARLY_ERRORS, ErrorCode.EMPTY_TICKER, ErrorCode.MISSING_TICKER)
# What the form of its transaction alone earns a step of a multi-transfer.
_FORM_ERRORS = (
    ErrorCode.INVALID_OUTPUT_POSITION,
    ErrorCode.NO_RECEIVER_OUTPUT,
    ErrorCode.MULTI_TRANSFER_MIXED_TICKERS,
)


class ChainRow(NamedTuple):
    """The row of `index.chain`, as far as it says what the other tables hold."""

    identity: Identity
    tip_height: int
    tip_hash: bytes
    undo_from: int


class OperationRow(NamedTuple):
    """A row of `index.operations`, its columns in the order of OPERATION_COLUMNS, amounts in units."""

    op_id: int
    tx_index: int
    txid: bytes
    vout: int
    step: int | None
    op: str
    ticker: str | None
    amount: int | None
    max_supply: int | None
    limit_per_mint: int | None
    sender: str | None
    recipient: str | None
    is_marketplace: bool
    error: str | None


UndoDeploys = dict[bytes, tuple[int | None]]  # by ticker key: what was minted, None where it was not deployed
UndoBalances = dict[tuple[bytes, str], tuple[int | None, int | None]]  # by ticker key and address: amount and height
Undo = tuple[UndoDeploys, UndoBalances]  # what a block changed, as it was before


class Recorded(NamedTuple):
    """All that the tables hold of one height; `block` is None where everything but its row is there."""

    height: int
    block: BlockRow | None
    operations: list[OperationRow]
    undo: Undo


class _UnitsLoader(Loader):
    format = Format.TEXT

    def load(self, data: Buffer) -> int | None:
        whole, _, fraction = bytes(data).partition(b".")
        return None if whole == b"NaN" else int(whole + fraction.ljust(DECIMALS, b"0"))


def tolerate_damage(connection: Connection) -> None:
    """Let an amount that is no number be read as None, so that its row is found and not an error raised."""
    connection.adapters.register_loader("numeric", _UnitsLoader)


def chain_row(connection: Connection) -> ChainRow | None:
    """Return the row of `index.chain`, None where there is none."""
    row = connection.execute(
        "SELECT cluster, network, start_height, marketplace_height, tip_height, tip_hash, undo_from FROM index.chain"
    ).fetchone()
    return None if row is None else ChainRow(Identity(*row[:4]), *row[4:])


def recorded(connection: Connection, *, up_to: int = HIGHEST) -> Iterator[Recorded]:
    """Yield what is recorded of each height up to one, in ascending order, in bounded memory.

    The connection must be in a transaction. Heights of which nothing is recorded are left out.
    """
    parts = merge(
        _heights(connection, "blocks", BlockRow._fields, up_to),
        _heights(connection, "operations", OPERATION_COLUMNS, up_to),
        _heights(connection, "undo_deploys", ("height", "ticker_key", "minted"), up_to),
        _heights(connection, "undo_balances", ("height", "ticker_key", "address", "amount", "amount_height"), up_to),
        key=itemgetter(0),
    )
    for height, found in groupby(parts, key=itemgetter(0)):
        rows = {table: some for _, table, some in found}
        block = rows.get("blocks")
        yield Recorded(
            height,
            BlockRow(*block[0]) if block else None,
            [OperationRow(*row) for row in rows.get("operations", ())],
            (
                {key: (minted,) for _, key, minted in rows.get("undo_deploys", ())},
                {(key, address): (units, at) for _, key, address, units, at in rows.get("undo_balances", ())},
            ),
        )


def _heights(
    connection: Connection, table: str, columns: tuple[str, ...], up_to: int
) -> Iterator[tuple[int, str, list[tuple[Any, ...]]]]:
    by_id = columns[0] == "op_id"
    last = ((up_to + 1) << HEIGHT_SHIFT) - 1 if by_id else up_to
    rows = _stream(connection, table, columns, sql.SQL("WHERE {0} <= {1} ORDER BY {0}"), columns[0], last)
    height: Callable[[tuple[Any, ...]], int] = (lambda row: height_of(row[0])) if by_id else itemgetter(0)
    for at, some in groupby(rows, key=height):
        yield at, table, list(some)


def deploys(connection: Connection) -> Iterator[Deploy]:
    """Yield every deploy, in no order. The connection must be in a transaction."""
    for row in _stream(connection, "deploys", Deploy.__struct_fields__):
        yield Deploy(*row)


def balances(connection: Connection) -> Iterator[tuple[BalanceKey, int, int]]:
    """Yield every balance as (key, units, height of its last change), in no order; needs a transaction as well."""
    for ticker, address, units, height in _stream(connection, "balances", ("ticker", "address", "amount", "height")):
        yield BalanceKey(ticker, address), units, height


def _stream(
    connection: Connection, table: str, columns: Iterable[str], condition: sql.SQL | None = None, *given: str | int
) -> Iterator[tuple[Any, ...]]:
    query = sql.SQL("SELECT {} FROM index.{}").format(sql.SQL(", ").join(map(sql.Identifier, columns)), _name(table))
    if condition is not None:
        query += sql.SQL(" ") + condition.format(*(_name(each) if isinstance(each, str) else each for each in given))
    with connection.cursor(name=f"replayed_{table}") as cursor:
        cursor.itersize = _FETCH
        cursor.execute(query)
        yield from cursor


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def operation(row: OperationRow, known_ops: Container[str]) -> Operation:
    """Return the operation that a row records, as `bind` gave it to `apply`.

    A verdict that the transaction alone settled is taken from the row; every other one is left for `apply` to find.
    What no operation has is dropped (the amount of a deploy, say), so that a row which has it differs from its replay.
    """
    if row.step is not None:
        return _step(row)
    if not row.ticker or row.op not in known_ops:
        errors = _TICKER_ERRORS if row.op in known_ops else _OP_ERRORS
        return Operation(
            tx_index=row.tx_index, txid=row.txid, vout=row.vout, op=row.op, error=_one_of(row.error, errors)
        )
    is_deploy = row.op == "deploy"
    return Operation(
        tx_index=row.tx_index,
        txid=row.txid,
        vout=row.vout,
        op=row.op,
        ticker=row.ticker,
        amount=None if is_deploy else row.amount,
        max_supply=row.max_supply if is_deploy else None,
        limit_per_mint=row.limit_per_mint if is_deploy else None,
        # With a readable maximum only an unreadable limit makes a deploy's amount invalid.
        limit_is_given=is_deploy and (row.limit_per_mint is not None or row.error == ErrorCode.INVALID_AMOUNT),
        sender=_shared(row.sender),
        recipient=_shared(row.recipient),
        marketplace=_marketplace(row),
    )


def _step(row: OperationRow) -> Operation:
    is_settled = row.error in _FORM_ERRORS or not row.ticker
    return Operation(
        tx_index=row.tx_index,
        txid=row.txid,
        vout=row.vout,
        op="transfer",
        step=row.step,
        ticker=row.ticker,
        amount=row.amount,
        sender=_shared(row.sender),
        recipient=_shared(row.recipient),
        error=_one_of(row.error, _FORM_ERRORS) if is_settled else None,
    )


def _one_of(error: str | None, possible: tuple[ErrorCode, ...]) -> ErrorCode:
    """Return the error that is recorded, or the last of those possible where it is none of them."""
    return next((code for code in possible if code == error), possible[-1])


def _marketplace(row: OperationRow) -> Marketplace:
    if row.op != "transfer":
        return Marketplace.NONE
    if row.is_marketplace:
        return Marketplace.VALID
    return Marketplace.MALFORMED if row.error == ErrorCode.INVALID_MARKETPLACE_TRANSACTION else Marketplace.NONE


def _shared(address: str | None) -> str | None:
    # An address holds many tickers: one copy of it serves all the balances that a replay keeps.
    return None if address is None else intern(address)


def operation_row(op_id: int, applied: Applied) -> OperationRow:
    """Return the row that records an operation with its verdict."""
    operation = applied.operation
    return OperationRow(
        op_id,
        operation.tx_index,
        operation.txid,
        operation.vout,
        operation.step,
        operation.op,
        operation.ticker,
        operation.amount,
        operation.max_supply,
        operation.limit_per_mint,
        operation.sender,
        operation.recipient,
        operation.marketplace is Marketplace.VALID,
        applied.error,
    )


def as_recorded(row: OperationRow) -> Applied:
    """Return a row as the operation and verdict that it claims, for its event."""
    claimed = Operation(
        tx_index=row.tx_index,
        txid=row.txid,
        vout=row.vout,
        op=row.op,
        step=row.step,
        ticker=row.ticker,
        amount=row.amount,
        max_supply=row.max_supply,
        limit_per_mint=row.limit_per_mint,
        sender=row.sender,
        recipient=row.recipient,
    )
    return Applied(claimed, row.error)  # type: ignore[arg-type]  # a damaged row may name a code that there is none of
