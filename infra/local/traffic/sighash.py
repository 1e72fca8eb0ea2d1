"""The three signature hashes of Bitcoin: legacy, BIP143 and BIP341, each for ALL, DEFAULT and SINGLE|ANYONECANPAY."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from infra.local.node.wire import compact_size, sha256d
from infra.local.traffic.keys import Key, Kind, script_of, tagged_hash

ALL = 0x01
DEFAULT = 0x00
SINGLE_ANYONECANPAY = 0x83
FINAL_BUT_REPLACEABLE = 0xFFFFFFFD


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output that we can sign for; `txid` in wire order, `value` in satoshi."""

    txid: bytes
    vout: int
    value: int
    key: Key
    kind: Kind

    @property
    def script(self) -> bytes:
        """The output's script."""
        return script_of(self.kind, self.key)

    @property
    def outpoint(self) -> bytes:
        """The 36 bytes that name the output."""
        return self.txid + struct.pack("<I", self.vout)


@dataclass(frozen=True, slots=True)
class Spend:
    """An input to be: a coin and how its signature commits (None: ALL, or DEFAULT for taproot).

    `signature` replaces what would have been signed, `script_sig` the whole scriptSig (for inputs that are wrong on
    purpose, or need no signature).
    """

    coin: Coin
    sighash: int | None = None
    sequence: int = FINAL_BUT_REPLACEABLE
    signature: bytes | None = None
    script_sig: bytes | None = None

    @property
    def sighash_type(self) -> int:
        """The sighash byte that applies."""
        if self.sighash is None:
            return DEFAULT if self.coin.kind is Kind.P2TR else ALL
        return self.sighash


@dataclass(frozen=True, slots=True)
class Frame:
    """What every signature hash of one transaction reads."""

    spends: tuple[Spend, ...]
    outputs: tuple[bytes, ...]
    version: bytes
    locktime: bytes


def with_length(script: bytes) -> bytes:
    """Return `script` with its length in front, as it is hashed and serialised."""
    return compact_size(len(script)) + script


def hash_legacy(frame: Frame, index: int, sighash: int) -> bytes:
    """Return the original signature hash (ALL, or SINGLE|ANYONECANPAY)."""
    spend = frame.spends[index]
    if sighash == SINGLE_ANYONECANPAY:
        if index >= len(frame.outputs):
            # Core's oldest quirk: without an output of its own, a SINGLE input signs the number one.
            return b"\x01" + bytes(31)
        inputs = [(spend, spend.coin.script)]
        outputs = [b"\xff" * 8 + b"\x00"] * index + [frame.outputs[index]]
    else:
        inputs = [(s, s.coin.script if s is spend else b"") for s in frame.spends]
        outputs = list(frame.outputs)
    body = b"".join(
        s.coin.outpoint + compact_size(len(script)) + script + struct.pack("<I", s.sequence) for s, script in inputs
    )
    counts = compact_size(len(inputs)), compact_size(len(outputs))
    return sha256d(
        frame.version + counts[0] + body + counts[1] + b"".join(outputs) + frame.locktime + struct.pack("<I", sighash)
    )


def hash_segwit(frame: Frame, index: int, sighash: int) -> bytes:
    """Return BIP143's signature hash."""
    spend = frame.spends[index]
    coin, key = spend.coin, spend.coin.key
    if sighash == SINGLE_ANYONECANPAY:
        prevouts = sequences = bytes(32)
        outputs = sha256d(frame.outputs[index]) if index < len(frame.outputs) else bytes(32)
    else:
        prevouts = sha256d(b"".join(s.coin.outpoint for s in frame.spends))
        sequences = sha256d(b"".join(struct.pack("<I", s.sequence) for s in frame.spends))
        outputs = sha256d(b"".join(frame.outputs))
    code = key.witness_script(coin.kind) if coin.kind is Kind.P2WSH else script_of(Kind.P2PKH, key)
    own = coin.outpoint + with_length(code) + struct.pack("<qI", coin.value, spend.sequence)
    return sha256d(
        frame.version + prevouts + sequences + own + outputs + frame.locktime + struct.pack("<I", sighash),
    )


def hash_taproot(frame: Frame, index: int, sighash: int) -> bytes:
    """Return BIP341's signature hash for a key-path spend; ValueError where SINGLE has no output."""
    spend = frame.spends[index]
    single = sighash == SINGLE_ANYONECANPAY
    if single and index >= len(frame.outputs):
        raise ValueError("taproot: an input signed SINGLE needs an output of the same index")
    parts = [b"\x00", bytes([sighash]), frame.version, frame.locktime]
    if not single:
        parts += [
            _sha256(b"".join(s.coin.outpoint for s in frame.spends)),
            _sha256(b"".join(struct.pack("<q", s.coin.value) for s in frame.spends)),
            _sha256(b"".join(with_length(s.coin.script) for s in frame.spends)),
            _sha256(b"".join(struct.pack("<I", s.sequence) for s in frame.spends)),
            _sha256(b"".join(frame.outputs)),
        ]
    parts.append(b"\x00")
    if single:
        parts += [spend.coin.outpoint, struct.pack("<q", spend.coin.value), with_length(spend.coin.script)]
        parts += [struct.pack("<I", spend.sequence), _sha256(frame.outputs[index])]
    else:
        parts.append(struct.pack("<I", index))
    return tagged_hash("TapSighash", b"".join(parts))


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
