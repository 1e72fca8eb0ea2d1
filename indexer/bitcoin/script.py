"""What the rules ask of a script: is it a data carrier, what does it carry, whose address is it."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from indexer.bitcoin.address import base58check, segwit, valid_address

OP_RETURN = 0x6A
OP_PUSHDATA1 = 0x4C
OP_PUSHDATA2 = 0x4D
OP_PUSHDATA4 = 0x4E
OP_16 = 0x60
RUNESTONE = b"\x6a\x5d"
MAX_ADDRESSED = 42  # bytes: a longer script has no address

_LENGTH_BYTES = {OP_PUSHDATA1: 1, OP_PUSHDATA2: 2, OP_PUSHDATA4: 4}


class Network(StrEnum):
    """The Bitcoin networks, under the names that `getblockchaininfo` gives them."""

    MAIN = "main"
    TEST = "test"
    TESTNET4 = "testnet4"
    SIGNET = "signet"
    REGTEST = "regtest"


class _Prefixes(NamedTuple):
    p2pkh: int
    p2sh: int
    segwit: str


_TEST_PREFIXES = _Prefixes(0x6F, 0xC4, "tb")
_PREFIXES = {
    Network.MAIN: _Prefixes(0x00, 0x05, "bc"),
    Network.TEST: _TEST_PREFIXES,
    Network.TESTNET4: _TEST_PREFIXES,
    Network.SIGNET: _TEST_PREFIXES,
    Network.REGTEST: _Prefixes(0x6F, 0xC4, "bcrt"),
}


def push_at(script: bytes, position: int) -> tuple[bytes, int] | None:
    """Return the data pushed by the opcode at `position` and the position after it.

    Opcodes that push a small number push no data here (b""). None where the script ends, the push is cut short or the
    opcode is no push.
    """
    if position >= len(script):
        return None
    opcode = script[position]
    start = position + 1
    if opcode < OP_PUSHDATA1:
        size = opcode
    elif opcode in _LENGTH_BYTES:
        width = _LENGTH_BYTES[opcode]
        if start + width > len(script):
            return None
        size = int.from_bytes(script[start : start + width], "little")
        start += width
    elif opcode <= OP_16:
        return b"", start
    else:
        return None
    end = start + size
    return (script[start:end], end) if end <= len(script) else None


def is_nulldata(script: bytes) -> bool:
    """Tell whether the script is OP_RETURN followed only by whole pushes (Bitcoin Core's `nulldata`)."""
    if not script or script[0] != OP_RETURN:
        return False
    position = 1
    while position < len(script):
        push = push_at(script, position)
        if push is None:
            return False
        position = push[1]
    return True


def first_push(script: bytes, position: int = 0) -> bytes | None:
    """Return the data of the push at `position`, None where there is no data push (a small number is none)."""
    if position < len(script) and not 0 < script[position] <= OP_PUSHDATA4:
        return None
    push = push_at(script, position)
    return push[0] if push else None


def address_of(script: bytes, network: Network) -> str | None:
    """Return the address of an output script in the network's own form, None where it has none.

    P2PKH, P2SH, P2WPKH, P2WSH, P2TR and later witness versions have one; P2PK, bare multisig and the rest do not.
    """
    return _address_of(script, network) if len(script) <= MAX_ADDRESSED else None


def is_address(text: str, network: Network) -> bool:
    """Say whether a text is an address of a network as `address` writes it, its checksum included."""
    prefixes = _PREFIXES[network]
    return valid_address(text, prefixes.segwit, (prefixes.p2pkh, prefixes.p2sh))


@lru_cache(maxsize=65_536)
def _address_of(script: bytes, network: Network) -> str | None:
    prefixes = _PREFIXES[network]
    size = len(script)
    if size >= 4 and script[1] == size - 2:
        if script[0] == 0 and size in {22, 34}:
            return segwit(prefixes.segwit, 0, script[2:])
        if 0x51 <= script[0] <= OP_16:
            return segwit(prefixes.segwit, script[0] - 0x50, script[2:])
    if size == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return base58check(prefixes.p2pkh, script[3:23])
    if size == 23 and script[:2] == b"\xa9\x14" and script[22] == 0x87:
        return base58check(prefixes.p2sh, script[2:22])
    return None
