"""From a transaction to the operations it asks for, before any state is looked at."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from indexer.bitcoin.block import MARK
from indexer.bitcoin.script import OP_RETURN, RUNESTONE, Network, address_of, first_push, is_nulldata
from indexer.protocol.errors import ErrorCode
from indexer.protocol.fields import Fields, read_fields
from indexer.protocol.model import Marketplace, Operation
from indexer.protocol.signature import is_single_anyonecanpay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexer.bitcoin.block import OutPoint, Tx
    from indexer.protocol.rules import Rules

MAX_PAYLOAD = 2000
MARKETPLACE_MIN_INPUTS = 3
MARKETPLACE_MIN_ADDRESSES = 3

_PROTOCOL_MARKS = (b'"p":"brc-20"', b'"p": "brc-20"')
_STEP_MARKS = (b'"p":"brc-20"', b'"op":"transfer"')


class Candidate(Struct, frozen=True, gc=False):
    """A transaction with BRC-20 operations whose senders are not known yet, and the outputs that would tell."""

    tx: Tx
    operations: tuple[Operation, ...]
    prevouts: tuple[OutPoint, ...]


def parse(tx: Tx, rules: Rules) -> Candidate | None:
    """Return the operations of a transaction, None where it is to be ignored."""
    payloads = [_payload(script) if MARK in script else b"" for script in tx.outputs]
    steps = [vout for vout, payload in enumerate(payloads) if payload and _is_step(payload)]
    if len(steps) > 1:
        operations: tuple[Operation, ...] = _multi_transfer(tx, steps, payloads, rules)
    else:
        operation = _single(tx, payloads, rules)
        if operation is None:
            return None
        operations = (operation,)
    return Candidate(tx, operations, _prevouts(tx, operations[0]))


def bind(candidate: Candidate, scripts: Mapping[OutPoint, bytes], rules: Rules, height: int) -> tuple[Operation, ...]:
    """Return the operations with their sender, and with the marketplace's verdict on a transfer.

    `scripts` holds the output script of every outpoint that the candidate asked for.
    """
    if not candidate.prevouts:
        return candidate.operations
    senders = [address_of(scripts[prevout], rules.network) for prevout in candidate.prevouts]
    marketplace = Marketplace.NONE
    if candidate.operations[0].marketplace is not Marketplace.NONE:
        fits = _fits_marketplace(candidate.tx, senders, late=height >= rules.marketplace_height)
        marketplace = Marketplace.VALID if fits else Marketplace.MALFORMED
    return tuple(replace(operation, sender=senders[0], marketplace=marketplace) for operation in candidate.operations)


def _payload(script: bytes) -> bytes:
    """Return the payload of an output, empty where it carries none."""
    if script[0] != OP_RETURN or not is_nulldata(script):
        return b""
    payload = first_push(script, 1) or b""
    return payload if len(payload) <= MAX_PAYLOAD else b""


def _is_step(payload: bytes) -> bool:
    return all(mark in payload for mark in _STEP_MARKS)


def _single(tx: Tx, payloads: Sequence[bytes], rules: Rules) -> Operation | None:
    alike = [
        vout
        for vout, payload in enumerate(payloads)
        if (payload and any(mark in payload for mark in _PROTOCOL_MARKS)) or tx.outputs[vout].startswith(RUNESTONE)
    ]
    if len(alike) != 1:
        return None
    vout = alike[0]
    fields = read_fields(payloads[vout], rules.processors)
    if fields is None:
        return None
    if fields.error is not None:
        return _operation(tx, vout, fields)
    first = next(index for index, script in enumerate(tx.outputs) if script[:1] == bytes([OP_RETURN]))
    is_sale = fields.op == "transfer" and any(map(is_single_anyonecanpay, tx.inputs))
    # Which of the two it is takes the inputs' addresses, so `bind` decides.
    marketplace = Marketplace.MALFORMED if is_sale else Marketplace.NONE
    return _operation(tx, vout, fields, recipient=_recipient(tx, first, rules.network), marketplace=marketplace)


def _multi_transfer(tx: Tx, steps: Sequence[int], payloads: Sequence[bytes], rules: Rules) -> tuple[Operation, ...]:
    readable = [_read_step(payloads[vout], rules) for vout in steps]
    error = _structure_error(tx, steps) or _tickers_error(readable)
    return tuple(
        replace(
            _operation(tx, vout, fields or Fields()),
            op="transfer",
            step=number,
            recipient=_recipient(tx, vout, rules.network),
            error=error,
        )
        for number, (vout, fields) in enumerate(zip(steps, readable, strict=True))
    )


def _read_step(payload: bytes, rules: Rules) -> Fields | None:
    fields = read_fields(payload, rules.processors)
    return fields if fields and fields.error is None and fields.op == "transfer" else None


def _structure_error(tx: Tx, steps: Sequence[int]) -> ErrorCode | None:
    for number, vout in enumerate(steps):
        if vout != 2 * number:
            return ErrorCode.INVALID_OUTPUT_POSITION
        if vout + 1 >= len(tx.outputs):
            return ErrorCode.NO_RECEIVER_OUTPUT
    return None


def _tickers_error(readable: Sequence[Fields | None]) -> ErrorCode | None:
    alike = all(one and other and one.ticker == other.ticker for one, other in pairwise(readable))
    return None if alike else ErrorCode.MULTI_TRANSFER_MIXED_TICKERS


def _operation(
    tx: Tx,
    vout: int,
    fields: Fields,
    *,
    recipient: str | None = None,
    marketplace: Marketplace = Marketplace.NONE,
) -> Operation:
    return Operation(
        tx_index=tx.index,
        txid=tx.txid,
        vout=vout,
        op=fields.op,
        ticker=fields.ticker,
        amount=fields.amount,
        max_supply=fields.max_supply,
        limit_per_mint=fields.limit_per_mint,
        limit_is_given=fields.limit_is_given,
        recipient=recipient,
        marketplace=marketplace,
        error=fields.error,
    )


def _recipient(tx: Tx, op_return: int, network: Network) -> str | None:
    following = tx.outputs[op_return + 1 : op_return + 2]
    return address_of(following[0], network) if following else None


def _prevouts(tx: Tx, operation: Operation) -> tuple[OutPoint, ...]:
    if operation.error is not None and not operation.is_step:
        return ()  # failed by its fields: recorded without addresses
    wanted = tx.inputs if operation.marketplace is not Marketplace.NONE else tx.inputs[:1]
    return tuple(spent.prevout for spent in wanted)


def _fits_marketplace(tx: Tx, senders: Sequence[str | None], *, late: bool) -> bool:
    addresses = {sender for sender in senders if sender is not None}
    if len(tx.inputs) < MARKETPLACE_MIN_INPUTS or len(addresses) < MARKETPLACE_MIN_ADDRESSES:
        return False
    if not late:
        return True  # that one input is so signed is why we are here
    same_seller = senders[0] is not None and senders[0] == senders[1]
    return same_seller and all(map(is_single_anyonecanpay, tx.inputs[:2]))
