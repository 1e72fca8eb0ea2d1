"""From the bytes of a payload to typed fields, strict where the rules are strict and alike on every interpreter."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from indexer.protocol.amount import parse_amount
from indexer.protocol.errors import ErrorCode
from indexer.protocol.ticker import normalise

if TYPE_CHECKING:
    from collections.abc import Container

MAX_DEPTH = 256

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Fields(Struct, frozen=True, gc=False):
    """What a payload says. With an `error` only `op` is meant; amounts are None where absent or unreadable."""

    op: str = ""
    ticker: str | None = None
    amount: int | None = None
    max_supply: int | None = None
    limit_per_mint: int | None = None
    limit_is_given: bool = False
    error: ErrorCode | None = None


def read_fields(payload: bytes, known_ops: Container[str]) -> Fields | None:
    """Return the fields of a payload, None where it is no JSON object by the rules (it then leaves no row)."""
    value = _read_object(payload)
    if value is None:
        return None
    op = value.get("op")
    shown_op = op if isinstance(op, str) else ""
    error = _first_error(value, known_ops)
    if error is not None:
        return Fields(op=shown_op, error=error)
    return Fields(
        op=shown_op,
        ticker=normalise(value["tick"]),
        amount=parse_amount(value.get("amt")) if op != "deploy" else None,
        max_supply=parse_amount(value.get("m")) if op == "deploy" else None,
        limit_per_mint=parse_amount(value.get("l")) if op == "deploy" else None,
        limit_is_given=op == "deploy" and value.get("l") is not None,
    )


def _first_error(value: dict[str, Any], known_ops: Container[str]) -> ErrorCode | None:
    protocol, op, tick = value.get("p"), value.get("op"), value.get("tick")
    if protocol != "brc-20":
        return ErrorCode.MISSING_PROTOCOL if protocol is None else ErrorCode.INVALID_PROTOCOL
    if not isinstance(op, str) or op not in known_ops:
        return ErrorCode.MISSING_OPERATION if op is None else ErrorCode.INVALID_OPERATION
    if not isinstance(tick, str) or not tick:
        return ErrorCode.MISSING_TICKER if tick is None else ErrorCode.EMPTY_TICKER
    return None


def _read_object(payload: bytes) -> dict[str, Any] | None:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return None
    # Before parsing: how deep the interpreter's own parser can go depends on its stack, and a verdict must not.
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        return None
    try:
        # No rule reads a number, and how long an integer Python takes is a setting of its environment.
        value = json.loads(text, parse_int=float)
    except json.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    # Only an escape can write what cannot be stored: the text itself is strict UTF-8 without control characters.
    return value if "\\u" not in text or _is_storable(value) else None


def _depth(text: str) -> int:
    deepest = depth = 0
    for character in _STRINGS.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _is_storable(value: object) -> bool:
    # NUL and lone surrogates can be written in JSON but not stored as text: such a payload would lose its block.
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if _UNSTORABLE.search(item):
                return False
        elif isinstance(item, dict):
            pending += [*item, *item.values()]
        elif isinstance(item, list):
            pending += item
    return True
