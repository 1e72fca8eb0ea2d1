"""API keys: `sk_<id>_<secret>`. The id may be shown anywhere; the whole is known to its owner only."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field

PREFIX = "sk_"  # what scanners for leaked secrets look for

_ID_FORM = re.compile(r"[0-9a-f]{12}")
_FORM = re.compile(r"sk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")  # 32 bytes as base64url


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A row of ops.api_keys; times in seconds since the epoch."""

    key_id: str
    name: str
    role: str
    digest: bytes = field(repr=False)
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    changed: int


class Digester:
    """Turns a key into what the database holds: its HMAC-SHA-256 under a pepper that the database does not have."""

    __slots__ = ("_keyed",)

    def __init__(self, pepper: str) -> None:
        self._keyed = hmac.new(pepper.encode(), digestmod="sha256")

    def digest(self, key: str) -> bytes:
        """Return the 32 bytes that are stored for a key (ASCII)."""
        keyed = self._keyed.copy()  # with the pepper taken in already: a third faster than from the start
        keyed.update(key.encode())
        return keyed.digest()

    def is_of(self, key: str, digest: bytes) -> bool:
        """Tell whether a digest is of this key, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(self.digest(key), digest)


def new_key() -> tuple[str, str]:
    """Return the id of a new random key and the key."""
    key_id = secrets.token_hex(6)
    return key_id, f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"


def id_of(key: str) -> str | None:
    """Return the id in a key, None where it has not the form of one."""
    match = _FORM.fullmatch(key)
    return match[1] if match else None


def is_id(text: str) -> bool:
    """Tell whether a text has the form of a key's id."""
    return _ID_FORM.fullmatch(text) is not None
