"""Addresses of output scripts, as the indexer shows them (regtest unless told otherwise)."""

from __future__ import annotations

import hashlib

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_CHECK, _BECH32M_CHECK = 1, 0x2BC830A3
_P2PKH_VERSION, _P2SH_VERSION = 0x6F, 0xC4
_OP_1 = 0x51


def address(script: bytes, hrp: str = "bcrt") -> str | None:
    """Return the regtest address of an output script, or None where the script has none (P2PK, bare scripts, ...).

    With `hrp` "tb" the same call gives testnet and signet addresses: their base58 versions are regtest's.
    """
    if _is_p2pkh(script):
        return _base58check(bytes([_P2PKH_VERSION]) + script[3:23])
    if _is_p2sh(script):
        return _base58check(bytes([_P2SH_VERSION]) + script[2:22])
    version = _witness_version(script)
    return None if version is None else _segwit(hrp, version, script[2:])


def has_address(script: bytes) -> bool:
    """Whether `address` would return one."""
    return _is_p2pkh(script) or _is_p2sh(script) or _witness_version(script) is not None


def _is_p2pkh(script: bytes) -> bool:
    return len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac"


def _is_p2sh(script: bytes) -> bool:
    return len(script) == 23 and script[:2] == b"\xa9\x14" and script[22] == 0x87


def _witness_version(script: bytes) -> int | None:
    """Return 0-16 where the script is a witness program that has an address."""
    if not 4 <= len(script) <= 42 or script[1] != len(script) - 2:
        return None
    if script[0] == 0:
        return 0 if len(script) in (22, 34) else None
    return script[0] - _OP_1 + 1 if _OP_1 <= script[0] <= _OP_1 + 15 else None


def _base58check(payload: bytes) -> str:
    data = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            check ^= generator if top >> bit & 1 else 0
    return check


def _segwit(hrp: str, version: int, program: bytes) -> str:
    bits = int.from_bytes(program, "big")
    groups = -(-len(program) * 8 // 5)
    bits <<= groups * 5 - len(program) * 8
    words = [version, *((bits >> 5 * (groups - 1 - i)) & 31 for i in range(groups))]
    expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    check = _polymod([*expanded, *words, *[0] * 6]) ^ (_BECH32M_CHECK if version else _BECH32_CHECK)
    words += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return hrp + "1" + "".join(_BECH32[word] for word in words)
