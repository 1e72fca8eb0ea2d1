"""Transactions that a node takes though nobody signs them, made fast.

Consensus has no rule yet for witness versions 2 to 16: whoever shows any witness may spend such an output. So a program
of version 2 stands in for a key's or Taproot's of the same size, its witness for a signature of the same size, and no
elliptic curve is needed. Inside a P2SH output the same program stands in for a nested key.
"""

from __future__ import annotations

import random
import struct
from hashlib import new, sha256
from typing import NamedTuple

KEY_HASH = b"\x52\x14"  # as large as P2WPKH
TAPROOT = b"\x52\x20"  # as large as P2TR
NOISE = 1 << 16

_VERSION = struct.pack("<I", 2)
_LOCK_TIME = bytes(4)
_SEQUENCE = b"\xfd\xff\xff\xff"
_VALUE = struct.Struct("<q")
_U32 = struct.Struct("<I")


class Coin(NamedTuple):
    """An output that can be spent: where it is, its satoshi, its script, and what a P2SH script hashes."""

    outpoint: bytes
    value: int
    script: bytes
    redeem: bytes = b""


class Built(NamedTuple):
    """A serialised transaction with its hashes, and the scripts of the outputs that it spends."""

    raw: bytes
    txid: bytes
    wtxid: bytes
    inputs: tuple[Coin, ...]

    def coin(self, vout: int, value: int, lock: Lock) -> Coin:
        return Coin(self.txid + _U32.pack(vout), value, lock.script, lock.redeem)


class Lock(NamedTuple):
    """An output script, and what it hashes where it is P2SH; `spendable` where we could show a witness for it."""

    script: bytes
    redeem: bytes = b""
    spendable: bool = True


class Output(NamedTuple):
    value: int
    script: bytes


def size(number: int) -> bytes:
    """Bitcoin's variable-length integer."""
    if number < 0xFD:
        return bytes((number,))
    if number < 0x1_0000:
        return b"\xfd" + number.to_bytes(2, "little")
    return b"\xfe" + number.to_bytes(4, "little")


def op_return(payload: bytes) -> bytes:
    length = len(payload)
    return (b"\x6a" + bytes((length,)) if length < 0x4C else b"\x6a\x4c" + bytes((length,))) + payload


class Locks:
    """Scripts that were never seen before, from a seed."""

    def __init__(self, seed: str, nested: float) -> None:
        self._rng = random.Random(f"locks {seed}")
        self._seed = sha256(seed.encode()).digest()
        self._nested = nested
        self._count = 0

    def _program(self) -> bytes:
        self._count += 1
        return sha256(self._seed + _U32.pack(self._count)).digest()

    def spendable(self) -> Lock:
        draw, program = self._rng.random(), self._program()
        if draw < self._nested:
            redeem = KEY_HASH + program[:20]
            return Lock(b"\xa9\x14" + new("ripemd160", sha256(redeem).digest()).digest() + b"\x87", redeem)
        return Lock(TAPROOT + program if draw < 0.5 else KEY_HASH + program[:20])

    def final(self) -> Lock:
        """A script of the forms that people use most (P2WPKH, P2TR, P2PKH, P2SH); nobody here has the key."""
        draw, program = self._rng.random(), self._program()
        if draw < 0.4:
            script = b"\x00\x14" + program[:20]
        elif draw < 0.7:
            script = b"\x51\x20" + program
        elif draw < 0.85:
            script = b"\x76\xa9\x14" + program[:20] + b"\x88\xac"
        else:
            script = b"\xa9\x14" + program[:20] + b"\x87"
        return Lock(script, spendable=False)


class Builder:
    """Serialises transactions; witnesses are noise of the size that real ones have."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(f"witnesses {seed}")
        self._noise = self._rng.randbytes(NOISE)

    def build(self, inputs: tuple[Coin, ...], outputs: list[Output], inscription: int = 0) -> Built:
        """Build a transaction; its first input reveals `inscription` bytes beside its signature."""
        parts = [size(len(inputs))]
        for coin in inputs:
            script_sig = bytes((len(coin.redeem),)) + coin.redeem if coin.redeem else b""
            parts += (coin.outpoint, bytes((len(script_sig),)), script_sig, _SEQUENCE)
        parts.append(size(len(outputs)))
        for value, script in outputs:
            parts += (_VALUE.pack(value), bytes((len(script),)), script)
        body = b"".join(parts)
        witnesses = b"".join([self._witness(coin) for coin in inputs[1:]])
        witnesses = (self._revealing(inscription) if inscription else self._witness(inputs[0])) + witnesses
        raw = _VERSION + b"\x00\x01" + body + witnesses + _LOCK_TIME
        txid = sha256(sha256(_VERSION + body + _LOCK_TIME).digest()).digest()
        return Built(raw, txid, sha256(sha256(raw).digest()).digest(), inputs)

    def _witness(self, coin: Coin) -> bytes:
        at = int(self._rng.random() * (NOISE - 200))
        if coin.script[:2] == TAPROOT:
            return b"\x01\x40" + self._noise[at : at + 64]
        # Ends as SIGHASH_ALL does: a sale on a marketplace (0x83) is a matter of the rules, not of this benchmark.
        return b"\x02\x48\x30" + self._noise[at : at + 70] + b"\x01\x21\x02" + self._noise[at + 70 : at + 102]

    def _revealing(self, length: int) -> bytes:
        content = (self._noise * (length // NOISE + 1))[:length]
        return b"\x03\x40" + self._noise[:64] + size(length) + content + b"\x21\xc0" + self._noise[:32]


def stripped_id(coinbase: bytes) -> bytes:
    """Return the txid of a coinbase, whose witness is one item of 32 bytes."""
    stripped = coinbase[:4] + coinbase[6:-38] + coinbase[-4:]
    return sha256(sha256(stripped).digest()).digest()
