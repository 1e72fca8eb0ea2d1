"""Keys that follow from a seed, and the output scripts that pay to them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from coincurve import PrivateKey, PublicKeyXOnly

if TYPE_CHECKING:
    from collections.abc import Callable

OP_TRUE = b"\x51"


class Kind(StrEnum):
    """How an output is locked."""

    P2WPKH = "p2wpkh"
    P2TR = "p2tr"
    P2PKH = "p2pkh"
    P2SH_P2WPKH = "p2sh-p2wpkh"
    P2WSH = "p2wsh"
    P2WSH_TRUE = "p2wsh-true"
    P2PK = "p2pk"
    MULTISIG_1_1 = "multisig-1-1"
    MULTISIG_1_2 = "multisig-1-2"
    BARE_TRUE = "bare-true"


UNSIGNED = frozenset({Kind.P2WSH_TRUE, Kind.BARE_TRUE})
WITHOUT_ADDRESS = frozenset({Kind.P2PK, Kind.MULTISIG_1_1, Kind.MULTISIG_1_2, Kind.BARE_TRUE})


def tagged_hash(tag: str, data: bytes) -> bytes:
    """Return BIP340's tagged hash: 32 bytes."""
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix + prefix + data).digest()


def hash160(data: bytes) -> bytes:
    """Return RIPEMD-160 of SHA-256: 20 bytes."""
    return hashlib.new("ripemd160", hashlib.sha256(data).digest()).digest()


@dataclass(frozen=True)
class Key:
    """A private key (32 bytes) and what follows from it."""

    secret: bytes

    @cached_property
    def signer(self) -> PrivateKey:
        """The key as libsecp256k1 holds it, for ECDSA."""
        return PrivateKey(self.secret)

    @cached_property
    def public(self) -> bytes:
        """The compressed public key: 33 bytes."""
        return self.signer.public_key.format()

    @cached_property
    def taproot_signer(self) -> PrivateKey:
        """The key-path key of BIP86: the key made even, then tweaked by its own hash."""
        even = self.signer if self.public[0] == 2 else PrivateKey(_negate(self.secret))
        return even.add(tagged_hash("TapTweak", self.public[1:]))

    @cached_property
    def taproot_output(self) -> bytes:
        """The x-only output key: 32 bytes."""
        return PublicKeyXOnly.from_valid_secret(self.taproot_signer.secret).format()

    def witness_script(self, kind: Kind) -> bytes:
        """Return the script that a P2WSH output of `kind` hides."""
        return OP_TRUE if kind is Kind.P2WSH_TRUE else _push(self.public) + b"\xac"


_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def _negate(secret: bytes) -> bytes:
    return (_ORDER - int.from_bytes(secret, "big")).to_bytes(32, "big")


def _push(data: bytes) -> bytes:
    return bytes([len(data)]) + data


@lru_cache(maxsize=4096)
def make_key(seed: int | str, index: int = 0) -> Key:
    """Return the `index`-th key of `seed`; the same pair gives the same key for ever."""
    return Key(hashlib.sha256(f"simplicity traffic key {seed}/{index}".encode()).digest())


@lru_cache(maxsize=4096)
def script_of(kind: Kind, key: Key) -> bytes:
    """Return the output script that pays `key` in the manner of `kind`."""
    return _SCRIPTS[kind](key)


def _witness_program(kind: Kind, key: Key) -> bytes:
    return b"\x00\x20" + hashlib.sha256(key.witness_script(kind)).digest()


def _multisig_1_2(key: Key) -> bytes:
    # The second key is nobody's: the first alone always signs.
    other = make_key(f"multisig {key.secret.hex()}").public
    return b"\x51" + _push(key.public) + _push(other) + b"\x52\xae"


_SCRIPTS: dict[Kind, Callable[[Key], bytes]] = {
    Kind.P2WPKH: lambda key: b"\x00\x14" + hash160(key.public),
    Kind.P2TR: lambda key: b"\x51\x20" + key.taproot_output,
    Kind.P2PKH: lambda key: b"\x76\xa9\x14" + hash160(key.public) + b"\x88\xac",
    Kind.P2SH_P2WPKH: lambda key: b"\xa9\x14" + hash160(script_of(Kind.P2WPKH, key)) + b"\x87",
    Kind.P2WSH: lambda key: _witness_program(Kind.P2WSH, key),
    Kind.P2WSH_TRUE: lambda key: _witness_program(Kind.P2WSH_TRUE, key),
    Kind.P2PK: lambda key: _push(key.public) + b"\xac",
    Kind.MULTISIG_1_1: lambda key: b"\x51" + _push(key.public) + b"\x51\xae",
    Kind.MULTISIG_1_2: _multisig_1_2,
    Kind.BARE_TRUE: lambda _: OP_TRUE,
}
