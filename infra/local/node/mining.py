"""Regtest blocks in plain Python: pure functions that serialise a block and solve its proof of work.

Hashes are in wire order everywhere (`bytes.fromhex(displayed)[::-1]`), values in satoshi, times in Unix seconds.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from infra.local.node.wire import NULL_HASH, compact_size, decode_transaction, sha256d

if TYPE_CHECKING:
    from collections.abc import Sequence

REGTEST_BITS = 0x207FFFFF
HALVING_INTERVAL = 150
INITIAL_SUBSIDY = 50 * 100_000_000
_BLOCK_VERSION = 0x20000000
_MAX_SEQUENCE = 0xFFFFFFFF
_WITNESS_RESERVED = bytes(32)
_WITNESS_HEADER = b"\x6a\x24\xaa\x21\xa9\xed"
_COINBASE_SCRIPT_LIMIT = 100
_OP_PUSHDATA1 = 0x4C
_SMALL_NUMBERS = 16


def subsidy(height: int) -> int:
    """Return the new satoshi that a regtest block at `height` may create, fees not counted."""
    return INITIAL_SUBSIDY >> (height // HALVING_INTERVAL)


def script_number(number: int) -> bytes:
    """Return the script that pushes `number` (0 or more) in its shortest form, as BIP34 wants the height."""
    if number == 0:
        return b"\x00"
    if number <= _SMALL_NUMBERS:
        return bytes([0x50 + number])
    # One more bit than the number needs, so that its sign bit stays clear.
    return push(number.to_bytes(number.bit_length() // 8 + 1, "little"))


def push(data: bytes) -> bytes:
    """Return the script that pushes `data` (at most 255 bytes)."""
    return (bytes([len(data)]) if len(data) < _OP_PUSHDATA1 else bytes([_OP_PUSHDATA1, len(data)])) + data


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """Return the Merkle root of at least one 32-byte hash."""
    level = list(hashes)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [sha256d(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


def witness_commitment(wtxids: Sequence[bytes]) -> bytes:
    """Return the BIP141 commitment script over the block's transactions, the coinbase left out."""
    return _WITNESS_HEADER + sha256d(merkle_root([NULL_HASH, *wtxids]) + _WITNESS_RESERVED)


def coinbase(height: int, value: int, script: bytes, commitment: bytes, extra: bytes = b"") -> bytes:
    """Return the serialised coinbase that pays `value` to `script`; `extra` makes it differ from its twin."""
    # The zero byte keeps the script of heights 1 to 16 at the two bytes that consensus asks for.
    script_sig = script_number(height) + b"\x00" + (push(extra) if extra else b"")
    if len(script_sig) > _COINBASE_SCRIPT_LIMIT:
        raise ValueError(f"extra has {len(extra)} bytes: too many for a coinbase script of {_COINBASE_SCRIPT_LIMIT}")
    spend = NULL_HASH + struct.pack("<I", _MAX_SEQUENCE) + compact_size(len(script_sig)) + script_sig
    outputs = b"".join(_output(amount, lock) for amount, lock in ((value, script), (0, commitment)))
    body = b"\x01" + spend + struct.pack("<I", _MAX_SEQUENCE) + b"\x02" + outputs
    witness = b"\x01" + compact_size(len(_WITNESS_RESERVED)) + _WITNESS_RESERVED
    return struct.pack("<i", 2) + b"\x00\x01" + body + witness + struct.pack("<I", 0)


def solve(prev_hash: bytes, root: bytes, time: int, bits: int = REGTEST_BITS) -> bytes:
    """Return the 80-byte header with the first nonce that meets the target; two tries on average on regtest."""
    start = struct.pack("<i", _BLOCK_VERSION) + prev_hash + root + struct.pack("<II", time, bits)
    limit = target(bits)
    nonce = 0
    while True:
        header = start + struct.pack("<I", nonce)
        if int.from_bytes(sha256d(header), "little") <= limit:
            return header
        nonce += 1


def target(bits: int) -> int:
    """Return the number that a block hash must not exceed, from the header's compact form."""
    return (bits & 0x7FFFFF) << (8 * ((bits >> 24) - 3))


def build_block(  # noqa: PLR0913, PLR0917 - a block has that many independent parts
    prev_hash: bytes,
    height: int,
    time: int,
    coinbase_script: bytes,
    txs: Sequence[bytes],
    extra: bytes = b"",
    fees: int = 0,
) -> bytes:
    """Return a solved regtest block on `prev_hash`, its coinbase paying subsidy and `fees` to `coinbase_script`.

    `txs` are serialised transactions in an order in which each follows those it spends; raise WireError when one
    does not decode, ValueError when `extra` is longer than a coinbase script can carry. Whether the block is valid
    is for the node to say: a test may well want one that is not.
    """
    decoded = [decode_transaction(tx) for tx in txs]
    commitment = witness_commitment([tx.wtxid for tx in decoded])
    reward = coinbase(height, subsidy(height) + fees, coinbase_script, commitment, extra)
    root = merkle_root([decode_transaction(reward).txid, *(tx.txid for tx in decoded)])
    return solve(prev_hash, root, time) + compact_size(1 + len(txs)) + reward + b"".join(txs)


def block_hash(block: bytes) -> bytes:
    """Return the hash of a serialised block, in wire order."""
    return sha256d(block[:80])


def _output(value: int, script: bytes) -> bytes:
    return struct.pack("<q", value) + compact_size(len(script)) + script
