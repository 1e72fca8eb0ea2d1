"""The ring of Ed25519 keys that sign tokens. A rotated ring refuses no valid token.

A new key may sign only when every process can have read the ring that holds it, and the old key stays until the last
token that it can have signed by then has run out. That holds where a process reads the ring at most `delay - LEEWAY`
seconds after the rotation, and clocks differ by at most LEEWAY.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LEEWAY = 10  # seconds by which clocks of two hosts may differ; NTP keeps them within milliseconds

State = Literal["signs", "waits", "verifies", "ended"]


@dataclass(frozen=True, slots=True)
class RingKey:
    """A key that signs from a time on, and whose tokens are believed until another; seconds since the epoch."""

    private: Ed25519PrivateKey = field(repr=False)
    signs_from: int
    verifies_until: int | None = None
    public: Ed25519PublicKey = field(init=False, repr=False)
    kid: str = field(init=False)

    def __post_init__(self) -> None:
        public = self.private.public_key()
        object.__setattr__(self, "public", public)
        object.__setattr__(self, "kid", sha256(public.public_bytes_raw()).hexdigest()[:16])

    def is_believed(self, now: float) -> bool:
        """Tell whether tokens of this key are accepted."""
        return self.verifies_until is None or now < self.verifies_until


@dataclass(frozen=True, slots=True)
class Ring:
    """Keys in the order in which they sign; only the last has no end."""

    keys: tuple[RingKey, ...]

    def signer(self, now: float) -> RingKey:
        """Return the key that signs: the last whose time has come."""
        # None has come where the clock is behind that of the host that made the ring.
        return next((key for key in reversed(self.keys) if key.signs_from <= now), self.keys[0])

    def verifier(self, kid: str, now: float) -> RingKey | None:
        """Return the key of this id, if its tokens are accepted; one that does not sign yet counts."""
        return next((key for key in self.keys if key.kid == kid and key.is_believed(now)), None)

    def state(self, key: RingKey, now: float) -> State:
        """Return what a key of this ring does."""
        if key is self.signer(now):
            return "signs"
        if not key.is_believed(now):
            return "ended"
        return "waits" if key.signs_from > now else "verifies"


def create(now: float) -> Ring:
    """Return a ring with one new key that signs at once; nobody is asked to believe an older one."""
    return Ring((RingKey(Ed25519PrivateKey.generate(), math.floor(now)),))


def rotated(ring: Ring, now: float, *, delay: int, token_seconds: int) -> Ring:
    """Return the ring with a new key that signs `delay` seconds from now, and ends for all others.

    `token_seconds` is how long a token is valid, everywhere and since the last rotation.
    """
    kept = pruned(ring, now).keys
    # After a rotation with a longer delay the new key still comes after that one's.
    signs_from = max(math.ceil(now + delay), kept[-1].signs_from)
    until = signs_from + token_seconds + LEEWAY
    ending = (replace(key, verifies_until=until) if key.verifies_until is None else key for key in kept)
    return Ring((*ending, RingKey(Ed25519PrivateKey.generate(), signs_from)))


def pruned(ring: Ring, now: float) -> Ring:
    """Return the ring without the keys whose tokens are not accepted any more."""
    return Ring(tuple(key for key in ring.keys if key.is_believed(now)))


class _StoredKey(msgspec.Struct, forbid_unknown_fields=True):
    kid: str
    private_key: bytes
    signs_from: int
    verifies_until: int | None


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[1]
    keys: Annotated[list[_StoredKey], msgspec.Meta(min_length=1)]


def encoded(ring: Ring) -> bytes:
    """Return the ring as JSON, private keys and all."""
    keys = [
        _StoredKey(key.kid, key.private.private_bytes_raw(), key.signs_from, key.verifies_until) for key in ring.keys
    ]
    return msgspec.json.format(msgspec.json.encode(_Document(1, keys))) + b"\n"


def decoded(data: bytes) -> Ring:
    """Return the ring in a JSON text. Raises ValueError, which says what is wrong and repeats nothing of it."""
    try:
        stored = msgspec.json.decode(data, type=_Document).keys
        keys = tuple(
            RingKey(Ed25519PrivateKey.from_private_bytes(key.private_key), key.signs_from, key.verifies_until)
            for key in stored
        )
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise ValueError(f"is no key ring: {error}") from None
    if [key.kid for key in keys] != [key.kid for key in stored] or len({key.kid for key in keys}) != len(keys):
        raise ValueError("is damaged: a key does not belong to its id")
    times = [key.signs_from for key in keys]
    if times != sorted(times) or [key for key in keys if key.verifies_until is None] != [keys[-1]]:
        raise ValueError("is damaged: the keys' times do not follow one another")
    return Ring(keys)
