"""Raw block bytes to the few transactions that may carry BRC-20.

Almost no transaction of a block does. So a block is walked once for its boundaries, and only transactions with a
candidate output are decoded whole; the others are kept as spans of the raw bytes, for their txid when the merkle root
is checked and for their outputs when a candidate of the same block spends them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from operator import add, eq
from typing import NamedTuple

from indexer.bitcoin.script import OP_RETURN, is_nulldata

MARK = b"brc-20"
HEADER_SIZE = 80

_U32 = struct.Struct("<I")
_HEADER = struct.Struct("<i32s32sIII")


class BlockDecodeError(ValueError):
    """The bytes are not a whole, self-consistent block."""


class OutPoint(NamedTuple):
    """An output by its transaction (32 bytes, internal order) and index."""

    txid: bytes
    vout: int


@dataclass(frozen=True, slots=True)
class TxIn:
    """An input: what it spends, its scriptSig and the first item of its witness (None without a witness)."""

    prevout: OutPoint
    script_sig: bytes
    witness: bytes | None


@dataclass(frozen=True, slots=True)
class Tx:
    """A decoded transaction: its place in the block, its id (internal order), inputs and output scripts."""

    index: int
    txid: bytes
    inputs: tuple[TxIn, ...]
    outputs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A block: header fields (hashes in internal order), candidates, and what they spend of this very block."""

    hash: bytes
    prev_hash: bytes
    time: datetime
    candidates: tuple[Tx, ...]
    local_scripts: dict[OutPoint, bytes]


# Where a transaction starts, its input count is, its output count is, its outputs end and it ends; and whether it is a
# candidate. A plain tuple: of each transaction of a block one is made.
_Span = tuple[int, int, int, int, int, bool]


def display(internal: bytes) -> str:
    """Return a hash as people write it: reversed, in hex."""
    return internal[::-1].hex()


def internal(displayed: str) -> bytes:
    """Return a displayed hash in internal byte order."""
    return bytes.fromhex(displayed)[::-1]


def sha256d(data: bytes) -> bytes:
    """Return Bitcoin's double SHA-256."""
    return sha256(sha256(data).digest()).digest()


def decode(raw: bytes) -> Block:
    """Decode a serialised block; a `BlockDecodeError` says what is wrong with bytes that are none.

    Structure, the merkle root over all transactions and the absence of trailing bytes are checked; that the node
    validated the block is taken from the node.
    """
    try:
        return _decode(raw)
    except (struct.error, IndexError) as error:
        raise BlockDecodeError(f"block of {len(raw)} bytes ends in the middle of a transaction") from error


def _decode(raw: bytes) -> Block:
    if len(raw) <= HEADER_SIZE:
        raise BlockDecodeError(f"block of {len(raw)} bytes is shorter than a header and a coinbase")
    _, prev_hash, merkle_root, time, _, _ = _HEADER.unpack_from(raw)
    count, position = _varint(raw, HEADER_SIZE)
    if not 0 < count <= len(raw):
        raise BlockDecodeError(f"block claims {count} transactions in {len(raw)} bytes")
    spans = []
    for _ in range(count):
        span = _walk(raw, position)
        spans.append(span)
        position = span[4]
    _require_end(raw, position)
    txids = [sha256(sha256(_without_witness(raw, span)).digest()).digest() for span in spans]
    if _merkle_root(txids.copy()) != merkle_root:
        raise BlockDecodeError("merkle root does not match the transactions")
    candidates = tuple(
        Tx(index, txids[index], _inputs(raw, span), _outputs(raw, span[2]))
        for index, span in enumerate(spans)
        if span[5] and index
    )
    return Block(
        hash=sha256d(raw[:HEADER_SIZE]),
        prev_hash=prev_hash,
        time=datetime.fromtimestamp(time, UTC),
        candidates=candidates,
        local_scripts=_local_scripts(raw, spans, txids, candidates),
    )


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    first = raw[position]
    if first < 0xFD:
        return first, position + 1
    width = 1 << (first - 0xFC)
    value = raw[position + 1 : position + 1 + width]
    if len(value) != width:
        raise IndexError
    return int.from_bytes(value, "little"), position + 1 + width


def _walk(raw: bytes, start: int) -> _Span:
    # Every loop reads a byte of its own before it goes on, so a hostile count or length ends at the end of the bytes.
    # Counts and lengths below 0xFD are read in place: this function is half of what a block without operations costs.
    segwit = raw[start + 4] == 0 and raw[start + 5] == 1
    inputs = start + 6 if segwit else start + 4
    input_count = raw[inputs]
    position = inputs + 1
    if input_count >= 0xFD:
        input_count, position = _varint(raw, inputs)
    for _ in range(input_count):
        size = raw[position + 36]
        position += 41 + size
        if size >= 0xFD:
            size, position = _varint(raw, position - 5 - size)
            position += size + 4
    outputs = position
    output_count, position = _varint(raw, position)
    is_candidate = False
    for _ in range(output_count):
        size = raw[position + 8]
        position += 9
        if size >= 0xFD:
            size, position = _varint(raw, position - 1)
        if size and raw[position] == OP_RETURN and not is_candidate:
            is_candidate = is_candidate_script(raw[position : position + size])
        position += size
    end = (_skip_witnesses(raw, position, input_count) if segwit else position) + 4
    return start, inputs, outputs, position, end, is_candidate


def _skip_witnesses(raw: bytes, position: int, input_count: int) -> int:
    for _ in range(input_count):
        items = raw[position]
        position += 1
        if items >= 0xFD:
            items, position = _varint(raw, position - 1)
        for _ in range(items):
            size = raw[position]
            position += 1 + size
            if size >= 0xFD:
                size, position = _varint(raw, position - 1 - size)
                position += size
    return position


def _require_end(raw: bytes, end: int) -> None:
    if end > len(raw):
        raise IndexError
    if end < len(raw):
        raise BlockDecodeError(f"{len(raw) - end} bytes follow the last transaction")


def is_candidate_script(script: bytes) -> bool:
    """Tell whether an output makes its transaction worth decoding.

    The rules count a Runestone, too; alone it leaves no row, and beside a payload that one has the transaction decoded.
    """
    return MARK in script and is_nulldata(script)


def _without_witness(raw: bytes, span: _Span) -> bytes:
    start, inputs, _, witness, end, _ = span
    if inputs == start + 4:
        return raw[start:end]
    return raw[start : start + 4] + raw[inputs:witness] + raw[end - 4 : end]


def _merkle_root(txids: list[bytes]) -> bytes:
    level = txids
    while len(level) > 1:
        # Two equal neighbours hash like an odd one with its twin: a block with doubled transactions would pass for the
        # real one (CVE-2012-2459).
        if any(map(eq, level[::2], level[1::2])):
            raise BlockDecodeError("transactions are doubled")
        if len(level) % 2:
            level.append(level[-1])
        pairs = map(add, level[::2], level[1::2])
        level = [sha256(sha256(pair).digest()).digest() for pair in pairs]
    return level[0]


def _inputs(raw: bytes, span: _Span) -> tuple[TxIn, ...]:
    count, position = _varint(raw, span[1])
    spends = []
    for _ in range(count):
        prevout = OutPoint(raw[position : position + 32], _U32.unpack_from(raw, position + 32)[0])
        size, position = _varint(raw, position + 36)
        spends.append((prevout, raw[position : position + size]))
        position += size + 4
    firsts = _first_witnesses(raw, span, count)
    return tuple(TxIn(prevout, script_sig, first) for (prevout, script_sig), first in zip(spends, firsts, strict=True))


def _first_witnesses(raw: bytes, span: _Span, input_count: int) -> list[bytes | None]:
    start, inputs, _, position, _, _ = span
    if inputs == start + 4:
        return [None] * input_count
    firsts: list[bytes | None] = []
    for _ in range(input_count):
        items, position = _varint(raw, position)
        first = None
        for item in range(items):
            size, position = _varint(raw, position)
            if item == 0:
                first = raw[position : position + size]
            position += size
        firsts.append(first)
    return firsts


def _outputs(raw: bytes, position: int) -> tuple[bytes, ...]:
    count, position = _varint(raw, position)
    scripts = []
    for _ in range(count):
        size, position = _varint(raw, position + 8)
        scripts.append(raw[position : position + size])
        position += size
    return tuple(scripts)


def _local_scripts(
    raw: bytes, spans: list[_Span], txids: list[bytes], candidates: tuple[Tx, ...]
) -> dict[OutPoint, bytes]:
    if not candidates:
        return {}
    places = {txid: index for index, txid in enumerate(txids)}
    scripts: dict[int, tuple[bytes, ...]] = {}  # each parent once, however many of its outputs are spent
    found = {}
    for tx in candidates:
        for spent in tx.inputs:
            place = places.get(spent.prevout.txid)
            if place is None:
                continue
            if place not in scripts:
                scripts[place] = _outputs(raw, spans[place][2])
            if spent.prevout.vout < len(scripts[place]):
                found[spent.prevout] = scripts[place][spent.prevout.vout]
    return found


def decode_output_scripts(raw_transaction: bytes) -> tuple[bytes, ...]:
    """Return the output scripts of a serialised transaction. Raises BlockDecodeError."""
    try:
        span = _walk(raw_transaction, 0)
        _require_end(raw_transaction, span[4])
        return _outputs(raw_transaction, span[2])
    except (struct.error, IndexError) as error:
        raise BlockDecodeError(f"transaction of {len(raw_transaction)} bytes is cut short") from error
