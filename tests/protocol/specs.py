"""The readable form of a vector's transactions: inputs, outputs and expected rows as short texts or mappings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OPERATIONS = ("deploy", "mint", "transfer", "burn")
NOBODY = "-"


@dataclass(frozen=True)
class InputSpec:
    """What an input spends and how.

    `owner` is a holder ("alice", "bob/p2tr") whose fresh output is spent, or "@name:1" for output 1 of the vector's
    transaction `name`. `sighash` is "", "all", "0x83" or "ends83" (a 64-byte Schnorr signature whose last byte happens
    to be 83). `first` is hex that comes before everything else in scriptSig or witness, None to leave it out.
    """

    owner: str
    sighash: str = ""
    first: str | None = None


@dataclass(frozen=True)
class OutputSpec:
    """Either a payment to `to`, or a `script`."""

    to: str = ""
    script: bytes = b""


@dataclass(frozen=True)
class RowSpec:
    """An expected row; sender and recipient are holders ("-" for none)."""

    op: str
    ticker: str
    amount: str
    sender: str
    recipient: str
    error: str = ""
    vout: int = 0
    step: int | None = None


@dataclass(frozen=True)
class TxSpec:
    """One transaction and the rows that it leaves.

    `applied` sorts it among the block's transactions in the order of application, where that is not their own.
    """

    name: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    rows: tuple[RowSpec, ...]
    applied: int | None = None


@dataclass(frozen=True)
class BlockSpec:
    """A block; `coinbase` is the script that its coinbase pays to, None for any."""

    transactions: tuple[TxSpec, ...]
    coinbase: bytes | None = None


def read_block(entry: list[Any] | Mapping[str, Any]) -> BlockSpec:
    """Read a list of transactions, or a mapping of `txs` and `coinbase` (an output)."""
    if isinstance(entry, list):
        return BlockSpec(tuple(map(read_transaction, entry)))
    coinbase = read_output(entry["coinbase"]).script if "coinbase" in entry else None
    return BlockSpec(tuple(map(read_transaction, entry.get("txs", ()))), coinbase)


def read_transaction(entry: Mapping[str, Any]) -> TxSpec:
    """Read `in`, `out`, `row` or `rows`, `name` and `applied`; raise ValueError for any other key."""
    unknown = set(entry) - {"in", "out", "row", "rows", "name", "applied", "why"}
    if unknown:
        raise ValueError(f"a transaction has unknown keys: {', '.join(sorted(unknown))}")
    rows = entry.get("rows", [entry["row"]] if "row" in entry else [])
    return TxSpec(
        name=entry.get("name", ""),
        inputs=tuple(map(read_input, _listed(entry.get("in", "alice")))),
        outputs=tuple(map(read_output, _listed(entry["out"]))),
        rows=tuple(map(read_row, rows)),
        applied=int(entry["applied"]) if "applied" in entry else None,
    )


def _listed(entry: Any) -> list[Any]:  # noqa: ANN401 - YAML
    return entry if isinstance(entry, list) else [entry]


def read_input(entry: str | Mapping[str, str]) -> InputSpec:
    """Read "owner", "owner sighash", or a mapping of `spend`, `sighash` and `first`."""
    if isinstance(entry, str):
        return InputSpec(*entry.split())
    return InputSpec(entry["spend"], entry.get("sighash", ""), entry["first"])


def read_output(entry: str | Mapping[str, str]) -> OutputSpec:
    """Read an operation ("mint ordi 5"), a JSON text, a holder, or a mapping (see `script_of`)."""
    if isinstance(entry, str):
        if entry.split()[0] in OPERATIONS:
            return OutputSpec(script=op_return(compact(entry).encode()))
        if entry.startswith("{"):
            return OutputSpec(script=op_return(entry.encode()))
        return OutputSpec(to=entry)
    return OutputSpec(script=script_of(entry))


def script_of(entry: Mapping[str, str]) -> bytes:
    """Return the script that a mapping describes.

    `script`: the whole of it in hex. Else `payload` (text) or `payload_hex`, pushed as `push` says (minimal, direct,
    pushdata1, pushdata2, pushdata4), with `before` and `after` as hex around the push. In a text payload `~` is filled
    with x until it has `pad_to` bytes, `@` becomes `nest` nested arrays, and `%` the bytes that `splice` gives in hex.
    """
    if "script" in entry:
        return bytes.fromhex(entry["script"])
    if "payload_hex" in entry:
        payload = bytes.fromhex(entry["payload_hex"])
    else:
        text = entry["payload"]
        text = compact(text) if text.split()[0] in OPERATIONS else text
        if "nest" in entry:
            text = text.replace("@", "[" * int(entry["nest"]) + "]" * int(entry["nest"]))
        if "pad_to" in entry:
            text = text.replace("~", "x" * (int(entry["pad_to"]) - len(text.encode()) + 1))
        payload = text.encode()
        if "splice" in entry:
            payload = payload.replace(b"%", bytes.fromhex(entry["splice"]))
    return op_return(payload, entry.get("push", "minimal"), entry.get("before", ""), entry.get("after", ""))


def op_return(payload: bytes, push: str = "minimal", before: str = "", after: str = "") -> bytes:
    """Return an OP_RETURN script. Written out here, so that the vectors do not lean on the traffic's reading of it."""
    size = len(payload)
    if push == "minimal":
        push = "direct" if size <= 75 else "pushdata1" if size <= 0xFF else "pushdata2"
    prefix = {
        "direct": lambda: bytes([size]),
        "pushdata1": lambda: b"\x4c" + bytes([size]),
        "pushdata2": lambda: b"\x4d" + size.to_bytes(2, "little"),
        "pushdata4": lambda: b"\x4e" + size.to_bytes(4, "little"),
    }[push]()
    return b"\x6a" + bytes.fromhex(before) + prefix + payload + bytes.fromhex(after)


def compact(text: str) -> str:
    """Return the JSON of "mint ordi 5" or "deploy ordi m=100 l=10", without white space."""
    op, tick, *rest = text.split()
    fields = {"p": "brc-20", "op": op, "tick": tick}
    for part in rest:
        key, equals, value = part.partition("=")
        fields.update({key: value} if equals else {"amt": part})
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def read_row(entry: str | Mapping[str, str]) -> RowSpec:
    """Read "op ticker amount sender>recipient [ERROR] [vout=1] [step=0]", or a mapping of the same names.

    "-" stands for empty. Amounts may leave out decimals: "5" is 5.00000000.
    """
    if isinstance(entry, str):
        op, ticker, amount, parties, *rest = entry.split()
        sender, _, recipient = parties.partition(">")
        named = dict(part.split("=") for part in rest if "=" in part)
        named["error"] = next((part for part in rest if "=" not in part), "")
        entry = {"op": op, "ticker": ticker, "amount": amount, "from": sender, "to": recipient, **named}
        entry = {key: "" if value == NOBODY and key not in {"from", "to"} else value for key, value in entry.items()}
    return RowSpec(
        op=entry["op"],
        ticker=entry["ticker"],
        amount=full_amount(entry["amount"]),
        sender=entry["from"],
        recipient=entry["to"],
        error=entry.get("error", ""),
        vout=int(entry.get("vout", 0)),
        step=int(entry["step"]) if "step" in entry else None,
    )


def full_amount(text: str) -> str:
    """Return an amount with its 8 decimals; both sides of a deploy's "max/limit"."""
    if "/" in text:
        return "/".join(map(full_amount, text.split("/")))
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(8, '0')}" if whole else ""
