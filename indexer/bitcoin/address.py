"""Addresses as networks write them: base58check, bech32 and bech32m.

Our own since many operations name an address that was never seen before: a library's careful encoder took as long as
all the rest of a block together. A test holds it to that library's answers.
"""

from __future__ import annotations

from base64 import b32decode, b32encode
from functools import cache, lru_cache, reduce
from hashlib import sha256
from operator import xor

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_PAIRS = [first + second for first in _BASE58 for second in _BASE58]
_BECH32 = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_RFC4648 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BECH32_OF_RFC4648 = bytes.maketrans(_RFC4648, _BECH32)
_RFC4648_OF_BECH32 = bytes.maketrans(_BECH32, _RFC4648)
_VALUE_OF_RFC4648 = bytes.maketrans(_RFC4648, bytes(range(32)))

# BIP 173 and BIP 350.
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_CONSTANT, _BECH32M_CONSTANT = 1, 0x2BC830A3


def _fold(checksum: int, values: bytes) -> int:
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            checksum ^= term if top >> bit & 1 else 0
    return checksum


def base58check(version: int, payload: bytes) -> str:
    """Return a version byte and its payload with a checksum, in base 58."""
    data = bytes([version]) + payload
    data += sha256(sha256(data).digest()).digest()[:4]
    number, pairs = int.from_bytes(data), []
    while number:
        number, pair = divmod(number, len(_BASE58_PAIRS))
        pairs.append(_BASE58_PAIRS[pair])
    leading_zeros = len(data) - len(data.lstrip(b"\0"))
    return _BASE58[0] * leading_zeros + "".join(reversed(pairs)).lstrip(_BASE58[0])


def segwit(prefix: str, version: int, program: bytes) -> str:
    """Return the address of a witness program: bech32 for version 0, bech32m for later ones."""
    checksum = _checksum_of_zeros(prefix, version, len(program))
    for table, byte in zip(_tables(len(program)), program, strict=True):
        checksum ^= table[byte]
    data = b32encode(program).rstrip(b"=").translate(_BECH32_OF_RFC4648)
    tail = bytes(_BECH32[checksum >> shift & 31] for shift in (25, 20, 15, 10, 5, 0))
    return f"{prefix}1{_BECH32[version : version + 1].decode()}{(data + tail).decode()}"


@cache
def _checksum_of_zeros(prefix: str, version: int, size: int) -> int:
    """Return the checksum of an address whose program is all zeros."""
    letters = prefix.encode()
    expanded = bytes(letter >> 5 for letter in letters) + b"\0" + bytes(letter & 31 for letter in letters)
    constant = _BECH32M_CONSTANT if version else _BECH32_CONSTANT
    return _fold(1, expanded + bytes([version]) + _values(bytes(size))) ^ constant


@cache
def _tables(size: int) -> list[list[int]]:
    """Return, for each byte of a program, what each of its values adds to the checksum.

    The checksum is linear: that of an exclusive or is the exclusive or of the checksums.
    """
    tables = []
    for place in range(size):
        bits = [_fold(0, _values((1 << bit << 8 * (size - 1 - place)).to_bytes(size))) for bit in range(8)]
        tables.append([reduce(xor, (bits[bit] for bit in range(8) if byte >> bit & 1), 0) for byte in range(256)])
    return tables


def _values(program: bytes) -> bytes:
    """Return a program in groups of five bits, and the six that its checksum will take."""
    return b32encode(program).rstrip(b"=").translate(_VALUE_OF_RFC4648) + bytes(6)


@lru_cache(maxsize=16_384)
def valid_address(text: str, prefix: str, versions: tuple[int, ...]) -> bool:
    """Say whether a text is an address of a network: its segwit prefix, its base58 version bytes.

    Segwit addresses count in lower case only, as they are recorded.
    """
    if text.startswith(prefix + "1"):
        return _valid_segwit(text, prefix)
    return _valid_base58(text, versions)


def _valid_segwit(text: str, prefix: str) -> bool:
    data = text[len(prefix) + 1 :].encode()
    if not 11 <= len(data) <= 71 or data.strip(_BECH32):
        return False
    version, values = _BECH32.index(data[0]), data[1:-6]
    padded = values.translate(_RFC4648_OF_BECH32) + b"=" * (-len(values) % 8)
    try:
        program = b32decode(padded)
    except ValueError:
        return False
    if not 2 <= len(program) <= 40 or version > 16 or (version == 0 and len(program) not in {20, 32}):
        return False
    return segwit(prefix, version, program) == text


def _valid_base58(text: str, versions: tuple[int, ...]) -> bool:
    if not 26 <= len(text) <= 35 or text.strip(_BASE58):
        return False
    number = reduce(lambda total, letter: total * 58 + _BASE58.index(letter), text, 0)
    if number >= 1 << 200:
        return False
    data = number.to_bytes(25)
    return data[0] in versions and base58check(data[0], data[1:21]) == text
