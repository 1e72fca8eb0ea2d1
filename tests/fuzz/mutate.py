"""Bytes bent without a thought for what they mean."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from infra.local.node.wire import compact_size

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_BYTES = (0x00, 0x01, 0x4B, 0x4C, 0x4D, 0x4E, 0x50, 0x60, 0x61, 0x6A, 0x7F, 0x80, 0xFC, 0xFD, 0xFE, 0xFF)
_NUMBERS = (0, 1, 2, 0x7F, 0xFC, 0xFD, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 63)
_LONGEST = 64  # of what is cut, doubled or put in


def mutate(rng: random.Random, data: bytes, other: bytes = b"", most: int = 4) -> bytes:
    """Return the bytes bent in one to `most` places; `other` is what pieces are taken from."""
    for _ in range(rng.randint(1, most)):
        data = rng.choice(_WAYS)(rng, data, other or data)
    return data


def hostile_number(rng: random.Random) -> bytes:
    """Return a number of variable length: an extreme one, one in a longer form than needed, or one cut short."""
    number = min(max(rng.choice(_NUMBERS) + rng.randint(-1, 1), 0), (1 << 64) - 1)
    match rng.randrange(4):
        case 0:
            return b"\xff" + struct.pack("<Q", number)
        case 1:
            return b"\xfd" + struct.pack("<H", number & 0xFFFF)
        case 2:
            return (b"\xff" + struct.pack("<Q", number))[: rng.randint(1, 9)]
        case _:
            return compact_size(number)


def _span(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(start + rng.randint(1, _LONGEST), len(data))


def _flip(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _set(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + bytes([rng.choice(_BYTES)]) + data[at + 1 :]


def _cut(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _double(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:end] + data[start:end] * rng.randint(1, 3) + data[end:]


def _insert(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randint(1, 9)) + data[at:]


def _truncate(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _span(rng, other)
    at = rng.randrange(len(data) + 1)
    return data[:at] + other[start:end] + data[at + rng.choice((0, end - start)) :]


def _number(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + hostile_number(rng) + data[at + 1 :]


_WAYS: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (
    _flip,
    _flip,
    _set,
    _set,
    _cut,
    _double,
    _insert,
    _truncate,
    _splice,
    _number,
)
