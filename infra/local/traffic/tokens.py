"""A light reading of BRC-20 operations, so that the traffic knows who holds what.

It need not be exact and shares no code with the indexer: a wrong guess here makes an operation turn out
invalid (or valid) that was meant otherwise, never a wrong block.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from infra.local.traffic.address import has_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from infra.local.node.wire import Input, Transaction

# Amounts are whole numbers of this part of a token.
UNIT = 100_000_000
_AMOUNT = re.compile(r"[0-9]{1,30}(\.[0-9]{1,8})?")
_PROTOCOL = re.compile(rb'"p": ?"brc-20"')
_STEP_MARKS = (b'"p":"brc-20"', b'"op":"transfer"')
_SINGLE_ANYONECANPAY = 0x83
_TEMPLATE_SIZE = 3
_SCHNORR_WITH_SIGHASH = 65


@dataclass(frozen=True, slots=True)
class Deploy:
    """A deployed ticker; amounts in units, `limit` None where it can't be minted."""

    maximum: int
    limit: int | None
    minted: int = 0

    @property
    def mintable(self) -> int:
        """The largest mint that would pass now, in units."""
        return min(self.limit or 0, self.maximum - self.minted)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tables that operations read, and how they change them.

    `late`: the later of the marketplace's two templates counts. `lowest` of a balance in this block.
    `put(table, key, value)` changes a table.
    """

    deploys: dict[str, Deploy]
    balances: dict[tuple[str, bytes], int]
    late: bool
    lowest: Callable[[tuple[str, bytes]], int]
    put: Callable[[Any, Any, Any], None]


@dataclass(frozen=True, slots=True)
class _Operation:
    fields: dict[str, Any]
    recipient: bytes | None


def units(text: object) -> int | None:
    """Return the units that an amount string says, None where it is no amount."""
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        return None
    return int(Decimal(text) * UNIT)


def first_push(script: bytes) -> bytes:
    """Return what an OP_RETURN script pushes first, empty where it pushes nothing (or is no OP_RETURN)."""
    if script[:1] != b"\x6a" or len(script) < 3:
        return b""
    width = {0x4C: 1, 0x4D: 2, 0x4E: 4}.get(script[1], 0)
    size = int.from_bytes(script[2 : 2 + width], "little") if width else script[1]
    pushed = script[2 + width : 2 + width + size]
    return pushed if (width or size <= 75) and len(pushed) == size else b""


def apply_tokens(tokens: Tokens, tx: Transaction, senders: Sequence[bytes | None]) -> None:
    """Apply what the transaction's operations most probably do; `senders` are the inputs' scripts as far as ours."""
    sender = senders[0]
    payloads = [first_push(output.script) for output in tx.outputs]
    steps = [n for n, payload in enumerate(payloads) if all(mark in payload for mark in _STEP_MARKS)]
    if len(steps) > 1:
        if any(n != 2 * i or n + 1 >= len(tx.outputs) for i, n in enumerate(steps)):
            return
        operations = [_parse(payloads[n], tx, n) for n in steps]
        if len({_ticker(operation) for operation in operations}) == 1:
            # The first step that lacks the balance ends them all.
            all(_apply(tokens, operation, sender, marketplace=False) for operation in operations)
        return
    carriers = [n for n, payload in enumerate(payloads) if _PROTOCOL.search(payload)]
    runestones = any(output.script[:2] == b"\x6a\x5d" for output in tx.outputs)
    if len(carriers) == 1 and not runestones:
        first = next(n for n, output in enumerate(tx.outputs) if output.script[:1] == b"\x6a")
        operation = _parse(payloads[carriers[0]], tx, first)
        sale = any(_offers(item) for item in tx.inputs)
        if not sale or operation.fields.get("op") != "transfer" or _fits_template(tokens, tx, senders):
            _apply(tokens, operation, sender, marketplace=sale)


def _parse(payload: bytes, tx: Transaction, op_return: int) -> _Operation:
    after = tx.outputs[op_return + 1].script if op_return + 1 < len(tx.outputs) else b""
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        fields = None
    valid = isinstance(fields, dict) and fields.get("p") == "brc-20" and isinstance(fields.get("tick"), str)
    return _Operation(fields if valid else {}, after if has_address(after) else None)


def _ticker(operation: _Operation) -> str:
    ticker = str(operation.fields.get("tick", ""))
    return "y" + ticker[1:].upper() if ticker[:1] in {"y", "Y"} else ticker.upper()


def _apply(tokens: Tokens, operation: _Operation, sender: bytes | None, *, marketplace: bool) -> bool:
    """Apply one operation; False where it is a transfer that lacks the balance."""
    ticker, amount = _ticker(operation), units(operation.fields.get("amt"))
    deploy, kind = tokens.deploys.get(ticker), operation.fields.get("op")
    if kind == "deploy" and deploy is None and ticker and not ticker.startswith("y"):
        maximum, limit = units(operation.fields.get("m")), operation.fields.get("l")
        if maximum is not None and (limit is None or units(limit) is not None):
            tokens.put(tokens.deploys, ticker, Deploy(maximum, units(limit)))
    if deploy is None or amount is None or operation.recipient is None:
        return True
    if kind == "mint" and amount <= deploy.mintable:
        tokens.put(tokens.deploys, ticker, replace(deploy, minted=deploy.minted + amount))
        _credit(tokens, (ticker, operation.recipient), amount)
    if kind != "transfer" or sender is None:
        return True
    held = tokens.balances.get((ticker, sender), 0)
    if amount > (tokens.lowest((ticker, sender)) if marketplace else held):
        return False
    _credit(tokens, (ticker, sender), -amount)
    _credit(tokens, (ticker, operation.recipient), amount)
    return True


def _credit(tokens: Tokens, key: tuple[str, bytes], amount: int) -> None:
    tokens.put(tokens.balances, key, tokens.balances.get(key, 0) + amount or None)


def _fits_template(tokens: Tokens, tx: Transaction, senders: Sequence[bytes | None]) -> bool:
    people = {script for script in senders if script is not None and has_address(script)}
    if len(tx.inputs) < _TEMPLATE_SIZE or len(people) < _TEMPLATE_SIZE:
        return False
    return not tokens.late or (senders[0] == senders[1] and _offers(tx.inputs[0]) and _offers(tx.inputs[1]))


def _offers(item: Input) -> bool:
    """Whether an input is signed SINGLE|ANYONECANPAY, as sellers do."""
    signature = item.witness[0] if item.witness else first_push(b"\x6a" + item.script)
    if signature[-1:] != bytes([_SINGLE_ANYONECANPAY]):
        return False
    return signature[:1] == b"\x30" or len(signature) == _SCHNORR_WITH_SIGHASH
