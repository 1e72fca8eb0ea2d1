"""Bitcoin's wire format: transactions and blocks, read strictly (no byte missing, none left over)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

NULL_HASH = bytes(32)
HEADER_SIZE = 80
_WITNESS_SCALE = 4


class WireError(ValueError):
    """The bytes are no transaction or block."""


def sha256d(data: bytes) -> bytes:
    """Return SHA-256 applied twice: 32 bytes in wire order (hashes are shown reversed)."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def compact_size(number: int) -> bytes:
    """Return `number` (0 to 2**64 - 1) as Bitcoin's variable-length integer."""
    if number < 0xFD:
        return bytes([number])
    if number < 0x1_0000:
        return b"\xfd" + struct.pack("<H", number)
    if number < 0x1_0000_0000:
        return b"\xfe" + struct.pack("<I", number)
    return b"\xff" + struct.pack("<Q", number)


@dataclass(frozen=True, slots=True)
class Input:
    """A transaction input; `txid` in wire order, `witness` the stack (empty when there is none)."""

    txid: bytes
    vout: int
    script: bytes
    sequence: int
    witness: tuple[bytes, ...] = ()

    @property
    def outpoint(self) -> bytes:
        """The 36 bytes that name the spent output."""
        return self.txid + struct.pack("<I", self.vout)


@dataclass(frozen=True, slots=True)
class Output:
    """A transaction output: value in satoshi and the script that locks it."""

    value: int
    script: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction with both of its hashes, in wire order."""

    version: int
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    locktime: int
    raw: bytes
    stripped: bytes
    txid: bytes
    wtxid: bytes

    @property
    def is_coinbase(self) -> bool:
        """Whether this is the transaction that creates a block's reward."""
        return len(self.inputs) == 1 and self.inputs[0].txid == NULL_HASH and self.inputs[0].vout == 0xFFFFFFFF

    @property
    def weight(self) -> int:
        """BIP141 weight units."""
        return len(self.stripped) * (_WITNESS_SCALE - 1) + len(self.raw)

    @property
    def vsize(self) -> int:
        """Virtual bytes: weight divided by four, rounded up."""
        return -(-self.weight // _WITNESS_SCALE)


@dataclass(frozen=True, slots=True)
class Header:
    """A block header; hashes in wire order."""

    version: int
    prev_hash: bytes
    merkle_root: bytes
    time: int
    bits: int
    nonce: int
    raw: bytes

    @property
    def hash(self) -> bytes:
        """The block hash, in wire order."""
        return sha256d(self.raw)


@dataclass(frozen=True, slots=True)
class Block:
    """A block; `offsets` are the byte positions of its transactions."""

    header: Header
    transactions: tuple[Transaction, ...]
    offsets: tuple[int, ...]
    raw: bytes

    @property
    def stripped_size(self) -> int:
        """Size in bytes without witnesses."""
        return (
            HEADER_SIZE + len(compact_size(len(self.transactions))) + sum(len(tx.stripped) for tx in self.transactions)
        )

    @property
    def weight(self) -> int:
        """BIP141 weight units."""
        return self.stripped_size * (_WITNESS_SCALE - 1) + len(self.raw)


class Reader:
    """A position in bytes; every read past the end raises WireError."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        end = self.position + size
        if end > len(self.data):
            raise WireError("unexpected end of data")
        chunk = self.data[self.position : end]
        self.position = end
        return chunk

    def uint32(self) -> int:
        """Return a little-endian 32-bit number."""
        return int.from_bytes(self.take(4), "little")

    def compact(self) -> int:
        """Return a variable-length integer."""
        first = self.take(1)[0]
        if first < 0xFD:
            return first
        size = 1 << (first - 0xFC)
        value = int.from_bytes(self.take(size), "little")
        # Two spellings of one number would give one transaction two hashes: Core refuses the longer one.
        if value < (0xFD if size == 2 else 1 << (size * 4)):
            raise WireError("non-canonical length")
        return value

    def blob(self) -> bytes:
        """Return bytes that follow their own length."""
        return self.take(self.compact())


def read_header(data: bytes) -> Header:
    """Decode the first 80 bytes of `data`; raise WireError when there are fewer."""
    raw = Reader(data).take(HEADER_SIZE)
    version, prev_hash, merkle_root, time, bits, nonce = struct.unpack("<i32s32sIII", raw)
    return Header(version, prev_hash, merkle_root, time, bits, nonce, raw)


def decode_transaction(data: bytes) -> Transaction:
    """Decode one transaction that fills `data`; raise WireError otherwise."""
    reader = Reader(data)
    transaction = _read_transaction(reader)
    if reader.position != len(data):
        raise WireError("bytes left over after the transaction")
    return transaction


def decode_block(data: bytes) -> Block:
    """Decode one block that fills `data`; raise WireError otherwise."""
    header = read_header(data)
    reader = Reader(data, HEADER_SIZE)
    transactions: list[Transaction] = []
    offsets: list[int] = []
    for _ in range(reader.compact()):
        offsets.append(reader.position)
        transactions.append(_read_transaction(reader))
    if reader.position != len(data):
        raise WireError("bytes left over after the block")
    return Block(header, tuple(transactions), tuple(offsets), data)


def _read_transaction(reader: Reader) -> Transaction:
    start = reader.position
    version = reader.take(4)
    segwit = reader.data[reader.position : reader.position + 2] == b"\x00\x01"
    if segwit:
        reader.take(2)
    body = reader.position
    inputs = [Input(reader.take(32), reader.uint32(), reader.blob(), reader.uint32()) for _ in range(reader.compact())]
    outputs = tuple(_read_output(reader) for _ in range(reader.compact()))
    end = reader.position
    if segwit:
        inputs = [_with_witness(item, tuple(reader.blob() for _ in range(reader.compact()))) for item in inputs]
        if not any(item.witness for item in inputs):
            raise WireError("superfluous witness record")
    locktime = reader.take(4)
    raw = reader.data[start : reader.position]
    stripped = version + reader.data[body:end] + locktime if segwit else raw
    txid = sha256d(stripped)
    return Transaction(
        version=int.from_bytes(version, "little"),
        inputs=tuple(inputs),
        outputs=outputs,
        locktime=int.from_bytes(locktime, "little"),
        raw=raw,
        stripped=stripped,
        txid=txid,
        wtxid=sha256d(raw) if segwit else txid,
    )


def _read_output(reader: Reader) -> Output:
    return Output(int.from_bytes(reader.take(8), "little", signed=True), reader.blob())


def _with_witness(item: Input, witness: tuple[bytes, ...]) -> Input:
    return Input(item.txid, item.vout, item.script, item.sequence, witness)
