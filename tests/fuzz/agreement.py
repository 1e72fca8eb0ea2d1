"""What must hold of everything that the indexer accepted: the second readings say the same, and tables can hold it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from btclib.block.block import Block as OracleBlock

from indexer.bitcoin.block import Block, OutPoint, display
from indexer.protocol.amount import format_amount, parse_amount
from indexer.protocol.hashing import event
from indexer.protocol.ticker import stored_name
from indexer.store.rows import OPERATION_COLUMNS, operation_rows
from infra.local.node.wire import WireError, decode_block
from tests.naive import payload as naive
from tests.naive.chain import address_of, event_of, state_digest
from tests.naive.rules import Transaction, apply_block

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from indexer.protocol.fields import Fields
    from indexer.protocol.model import Applied, BlockDelta, Operation
    from tests.fuzz.grounds import Ground
    from tests.fuzz.plain import PlainBlock, PlainTx

INTEGER, BIGINT = 1 << 31, 1 << 63
NUMERIC = 10**38  # units that numeric(38, 8) can hold
EVENT_FIELDS = 10


def same_block(found: Block, expected: PlainBlock) -> None:
    """Assert that a decoded block is what the plain reading says."""
    assert (found.hash, found.prev_hash) == (expected.hash, expected.prev_hash)
    assert found.time == datetime.fromtimestamp(expected.time, UTC)
    candidates = [
        index for index, tx in enumerate(expected.transactions) if index and any(map(is_candidate, tx.outputs))
    ]
    assert [tx.index for tx in found.candidates] == candidates
    made = {(tx.txid, vout): script for tx in expected.transactions for vout, script in enumerate(tx.outputs)}
    local: dict[OutPoint, bytes] = {}
    for tx in found.candidates:
        plain = expected.transactions[tx.index]
        assert (tx.txid, tx.outputs) == (plain.txid, plain.outputs)
        inputs = [(*spent.prevout, spent.script_sig, spent.witness) for spent in tx.inputs]
        assert inputs == [(each.txid, each.vout, each.script_sig, each.witness) for each in plain.inputs]
        local |= {OutPoint(*out): made[out] for each in plain.inputs if (out := (each.txid, each.vout)) in made}
    assert found.local_scripts == local


def same_as_btclib(raw: bytes, expected: PlainBlock) -> None:
    """Assert that a block that a node and btclib could take is what btclib reads, too."""
    with suppress(WireError):
        decode_block(raw)
        with suppress(Exception):  # whatever btclib raises: it checks more than structure
            block = OracleBlock.parse(raw, check_validity=False)
            _same_transactions(block, expected)


def _same_transactions(block: OracleBlock, expected: PlainBlock) -> None:
    read = [(bytes(tx.id)[::-1], [bytes(out.script_pub_key.script) for out in tx.vout]) for tx in block.transactions]
    if read != [(tx.txid, list(tx.outputs)) for tx in expected.transactions]:
        raise DisagreementError("btclib reads other transactions")


class DisagreementError(BaseException):
    """Two readings of one input differ. No Exception, so that nothing takes it for a refusal."""


def is_candidate(script: bytes) -> bool:
    return b"brc-20" in script and naive.is_nulldata(script)


def same_outcome(delta: BlockDelta, transactions: Iterable[PlainTx], ground: Ground) -> None:
    """Assert that the second implementation gives a block the same rows, and the same state after it."""
    plain = list(transactions)
    made = {(tx.txid, vout): script for tx in plain for vout, script in enumerate(tx.outputs)}
    state = ground.naive()
    network = ground.rules.network.value
    readings = [_reading(tx, made, ground, network) for tx in plain[1:]]
    rows = apply_block(readings, delta.after.height, state, ground.rules.marketplace_height)
    ours, theirs = list(map(event, delta.rows)), list(map(event_of, rows))
    assert ours == theirs, f"{ours} {theirs}"
    assert int.from_bytes(delta.after.state_digest) == state_digest(state)
    for key, change in delta.balances.items():
        assert change.after == state.balances[key.ticker, key.address] >= 0


def _reading(tx: PlainTx, made: dict[tuple[bytes, int], bytes], ground: Ground, network: str) -> Transaction:
    outpoints = [(each.txid, each.vout) for each in tx.inputs]
    spent = [made[out] if out in made else ground.script(*out) for out in outpoints]
    return Transaction(
        txid=display(tx.txid),
        # Consensus knows no transaction without inputs; one would have no sender.
        senders=[address_of(script, network) for script in spent] or [None],
        marks=[naive.is_83(each.script_sig, [] if each.witness is None else [each.witness]) for each in tx.inputs],
        scripts=list(tx.outputs),
        addresses=[address_of(script, network) for script in tx.outputs],
    )


def storable(height: int, rows: Sequence[Applied]) -> None:
    """Assert that the tables can hold these rows and that what is shown of them reads back as what it was."""
    for applied, row in zip(rows, operation_rows(height, rows), strict=True):
        assert len(row) == len(OPERATION_COLUMNS)
        for value in row:
            _storable_value(value)
        assert 0 <= row[0] < BIGINT
        assert all(0 <= number < INTEGER for number in (row[1], row[3], row[4] or 0))
        _reads_back(applied.operation)
        line = event(applied)
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
        assert line.count(b";") == EVENT_FIELDS - 1


def _storable_value(value: Any) -> None:  # noqa: ANN401 - of any column
    assert value is None or isinstance(value, str | int | bytes | bool)
    if isinstance(value, str):
        assert "\0" not in value, "NUL cannot be stored"
        value.encode()  # raises for a lone surrogate


def _reads_back(operation: Operation) -> None:
    for units in (operation.amount, operation.max_supply, operation.limit_per_mint):
        if units is not None:
            assert 0 <= units < NUMERIC
            assert parse_amount(format_amount(units)) == units
    if operation.ticker is not None:
        assert stored_name(operation.ticker) == operation.ticker


def same_fields(found: Fields | None, payload: bytes) -> None:
    """Assert that a payload's fields are what the second implementation reads."""
    expected = naive.fields_of(payload)
    assert (found is None) == (expected is None)
    if found is None or expected is None:
        return
    op = expected.get("op")
    assert found.op == (op if isinstance(op, str) else "")
    assert (found.error or "") == naive.check_fields(expected)
    if found.error is not None:
        return
    assert found.ticker == naive.normalise(str(expected["tick"]))
    assert found.limit_is_given == (op == "deploy" and "l" in expected)
    names = {"m": found.max_supply, "l": found.limit_per_mint} if op == "deploy" else {"amt": found.amount}
    assert names == {name: naive.amount_of(expected.get(name)) for name in names}
