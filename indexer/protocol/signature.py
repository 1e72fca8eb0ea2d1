"""Signatures that commit to one output only: the mark of a marketplace sale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.bitcoin.script import first_push

if TYPE_CHECKING:
    from indexer.bitcoin.block import TxIn

SINGLE_ANYONECANPAY = 0x83
SCHNORR_WITH_SIGHASH = 65  # a 64-byte Schnorr signature has no sighash byte, whatever its last byte is

_DER_MIN, _DER_MAX = 9, 73  # with the sighash byte (BIP 66)
_SEQUENCE, _INTEGER, _SIGN_BIT = 0x30, 0x02, 0x80


def is_single_anyonecanpay(spent: TxIn) -> bool:
    """Tell whether the input is signed SIGHASH_SINGLE|ANYONECANPAY."""
    signature = spent.witness if spent.witness is not None else first_push(spent.script_sig)
    if not signature or signature[-1] != SINGLE_ANYONECANPAY:
        return False
    return len(signature) == SCHNORR_WITH_SIGHASH or is_der(signature)


def is_der(signature: bytes) -> bool:
    """Tell whether an ECDSA signature with its sighash byte is encoded as BIP 66 demands."""
    if not _DER_MIN <= len(signature) <= _DER_MAX:
        return False
    if signature[0] != _SEQUENCE or signature[1] != len(signature) - 3:
        return False
    r_size = signature[3]
    if 5 + r_size >= len(signature):
        return False
    s_size = signature[5 + r_size]
    if r_size + s_size + 7 != len(signature):
        return False
    return _is_integer(signature[2 : 4 + r_size]) and _is_integer(signature[4 + r_size : 6 + r_size + s_size])


def _is_integer(element: bytes) -> bool:
    tag, size, digits = element[0], element[1], element[2:]
    if tag != _INTEGER or not size or digits[0] & _SIGN_BIT:
        return False
    return size == 1 or digits[0] != 0 or bool(digits[1] & _SIGN_BIT)
