"""Transactions made by hand and really signed: legacy, BIP143 and BIP341, with libsecp256k1."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from infra.local.node.wire import Output, compact_size, decode_transaction
from infra.local.traffic.keys import UNSIGNED, Key, Kind, script_of
from infra.local.traffic.sighash import (
    ALL,
    DEFAULT,
    SINGLE_ANYONECANPAY,
    Coin,
    Frame,
    Spend,
    hash_legacy,
    hash_segwit,
    hash_taproot,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ALL",
    "DEFAULT",
    "SINGLE_ANYONECANPAY",
    "Coin",
    "Output",
    "Spend",
    "build",
    "op_return",
    "payment",
    "push",
    "txid",
]
# 32 fixed bytes: the library's default would draw them anew, and no chain could be made twice.
_NO_RANDOMNESS = bytes(32)
_SIGHASHES = frozenset({ALL, DEFAULT, SINGLE_ANYONECANPAY})
_WITNESS = frozenset({Kind.P2WPKH, Kind.P2SH_P2WPKH, Kind.P2TR, Kind.P2WSH})


def push(data: bytes) -> bytes:
    """Return the script that pushes `data` (up to 65535 bytes) with the shortest length prefix."""
    if len(data) <= 75:
        return bytes([len(data)]) + data
    if len(data) <= 0xFF:
        return b"\x4c" + bytes([len(data)]) + data
    return b"\x4d" + struct.pack("<H", len(data)) + data


def payment(value: int, kind: Kind, key: Key) -> Output:
    """Return an output of `value` satoshi to `key` in the manner of `kind`."""
    return Output(value, script_of(kind, key))


def op_return(payload: bytes, style: str = "minimal", *, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return an OP_RETURN script that pushes `payload` in one of five styles.

    `minimal` takes the shortest prefix; `direct` (up to 75 bytes), `pushdata1`, `pushdata2` and `pushdata4` say which.
    `before` and `after` are raw script bytes around the push. Raises ValueError where a style can't hold it.
    """
    match style:
        case "minimal":
            pushed = push(payload)
        case "direct" if len(payload) <= 75:
            pushed = bytes([len(payload)]) + payload
        case "pushdata1" if len(payload) <= 0xFF:
            pushed = b"\x4c" + bytes([len(payload)]) + payload
        case "pushdata2" if len(payload) <= 0xFFFF:
            pushed = b"\x4d" + struct.pack("<H", len(payload)) + payload
        case "pushdata4":
            pushed = b"\x4e" + struct.pack("<I", len(payload)) + payload
        case _:
            raise ValueError(f"a push in the style {style!r} cannot hold {len(payload)} bytes")
    return b"\x6a" + before + pushed + after


def build(spends: Sequence[Spend], outputs: Sequence[Output], *, version: int = 2, locktime: int = 0) -> bytes:
    """Return a signed transaction in wire form (with witnesses where an input has one)."""
    frame = Frame(
        tuple(spends),
        tuple(struct.pack("<q", o.value) + compact_size(len(o.script)) + o.script for o in outputs),
        struct.pack("<i", version),
        struct.pack("<I", locktime),
    )
    unlocked = [_unlock(frame, index) for index in range(len(frame.spends))]
    witnesses = [witness for _, witness in unlocked]
    marker = b"\x00\x01" if any(witnesses) else b""
    inputs = b"".join(
        s.coin.outpoint + compact_size(len(script)) + script + struct.pack("<I", s.sequence)
        for s, (script, _) in zip(frame.spends, unlocked, strict=True)
    )
    stacks = b"".join(compact_size(len(w)) + b"".join(compact_size(len(x)) + x for x in w) for w in witnesses)
    return b"".join(
        (
            frame.version,
            marker,
            compact_size(len(frame.spends)),
            inputs,
            compact_size(len(frame.outputs)),
            *frame.outputs,
            stacks if marker else b"",
            frame.locktime,
        )
    )


def txid(raw: bytes) -> bytes:
    """Return the id of a transaction that `build` made, in wire order (shown reversed)."""
    return decode_transaction(raw).txid


def _unlock(frame: Frame, index: int) -> tuple[bytes, tuple[bytes, ...]]:
    """Return (scriptSig, witness) of input `index`."""
    spend = frame.spends[index]
    kind, key = spend.coin.kind, spend.coin.key
    if spend.script_sig is not None:
        return spend.script_sig, ()
    if kind in UNSIGNED:
        return b"", (key.witness_script(kind),) if kind is Kind.P2WSH_TRUE else ()
    signature = spend.signature if spend.signature is not None else _sign(frame, index)
    if kind in _WITNESS:
        script_sig = push(script_of(Kind.P2WPKH, key)) if kind is Kind.P2SH_P2WPKH else b""
        second = {Kind.P2TR: (), Kind.P2WSH: (key.witness_script(kind),)}.get(kind, (key.public,))
        return script_sig, (signature, *second)
    pushed = push(signature)
    return {Kind.P2PKH: pushed + push(key.public), Kind.P2PK: pushed}.get(kind, b"\x00" + pushed), ()


def _sign(frame: Frame, index: int) -> bytes:
    spend = frame.spends[index]
    kind, sighash = spend.coin.kind, spend.sighash_type
    if kind in UNSIGNED or sighash not in _SIGHASHES:
        raise ValueError(f"cannot sign a {kind} input with sighash {sighash:#04x}")
    if kind is Kind.P2TR:
        message = hash_taproot(frame, index, sighash)
        signature = spend.coin.key.taproot_signer.sign_schnorr(message, _NO_RANDOMNESS)
        return signature + (bytes([sighash]) if sighash != DEFAULT else b"")
    if sighash == DEFAULT:
        raise ValueError("only taproot has SIGHASH_DEFAULT")
    message = (hash_segwit if kind in _WITNESS else hash_legacy)(frame, index, sighash)
    return spend.coin.key.signer.sign(message, hasher=None) + bytes([sighash])
