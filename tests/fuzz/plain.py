"""Blocks, transactions and spent outputs read a second time: plainly, byte after byte, sharing no code with `indexer`.

Lenient where the indexer is (a number in a longer form than needed, a witness without items: the node refuses those),
so that both must accept exactly the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

HEADER = 80
WIDTHS = {0xFD: 2, 0xFE: 4, 0xFF: 8}

T = TypeVar("T")


class CutShortError(Exception):
    """The bytes end before what they announce."""


@dataclass(frozen=True)
class PlainInput:
    """What is spent, the scriptSig, and the first item of the witness."""

    txid: bytes
    vout: int
    script_sig: bytes
    witness: bytes | None


@dataclass(frozen=True)
class PlainTx:
    txid: bytes
    inputs: tuple[PlainInput, ...]
    outputs: tuple[bytes, ...]


@dataclass(frozen=True)
class PlainBlock:
    hash: bytes
    prev_hash: bytes
    time: int
    transactions: tuple[PlainTx, ...]


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise CutShortError
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self) -> int:
        first = self.take(1)[0]
        return int.from_bytes(self.take(WIDTHS[first]), "little") if first in WIDTHS else first

    def blob(self) -> bytes:
        return self.take(self.number())

    def is_at_end(self) -> bool:
        return self.at == len(self.data)


def read_block(raw: bytes) -> PlainBlock | None:
    """Return the block that these bytes are; None where they are none that a merkle root vouches for."""
    reader = Reader(raw)
    try:
        header = reader.take(HEADER)
        transactions = tuple(read_transaction(reader) for _ in range(reader.number()))
    except CutShortError:
        return None
    if not transactions or not reader.is_at_end():
        return None
    if merkle_root([tx.txid for tx in transactions]) != header[36:68]:
        return None
    return PlainBlock(twice(header), header[4:36], int.from_bytes(header[68:72], "little"), transactions)


def read_outputs(raw: bytes) -> tuple[bytes, ...] | None:
    """Return the output scripts of a transaction that fills the bytes, None where none does."""
    reader = Reader(raw)
    try:
        tx = read_transaction(reader)
    except CutShortError:
        return None
    return tx.outputs if reader.is_at_end() else None


def read_spent(data: bytes, places: list[tuple[int, int]]) -> list[bytes] | None:
    """Return the scripts at these places of a block's spent outputs, None where the bytes do not have them."""
    reader = Reader(data)
    try:
        count = reader.number()
        last = max(index for index, _ in places)
        if last >= count:
            return None
        found = [[(reader.take(8), reader.blob())[1] for _ in range(reader.number())] for _ in range(last + 1)]
        return [found[index][number] for index, number in places]
    except (CutShortError, IndexError):
        return None


def read_transaction(reader: Reader) -> PlainTx:
    version = reader.take(4)
    is_segwit = reader.data[reader.at : reader.at + 2] == b"\0\1"
    if is_segwit:
        reader.take(2)
    start = reader.at
    inputs = [(reader.take(32), reader.take(4), reader.blob(), reader.take(4)) for _ in range(reader.number())]
    outputs = tuple((reader.take(8), reader.blob())[1] for _ in range(reader.number()))
    body = reader.data[start : reader.at]
    witnesses: list[list[bytes]] = [[] for _ in inputs]
    if is_segwit:
        witnesses = [[reader.blob() for _ in range(reader.number())] for _ in inputs]
    return PlainTx(
        txid=twice(version + body + reader.take(4)),
        inputs=tuple(
            PlainInput(txid, int.from_bytes(vout, "little"), script_sig, witness[0] if witness else None)
            for (txid, vout, script_sig, _), witness in zip(inputs, witnesses, strict=True)
        ),
        outputs=outputs,
    )


def merkle_root(hashes: list[bytes]) -> bytes | None:
    """Return the root, None where two equal neighbours make it ambiguous."""
    if len(hashes) == 1:
        return hashes[0]
    pairs = [hashes[start : start + 2] for start in range(0, len(hashes), 2)]
    if any(len(pair) == 2 and pair[0] == pair[1] for pair in pairs):
        return None
    return merkle_root([twice(pair[0] + pair[-1]) for pair in pairs])


def twice(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()
