"""A clock that tests move, keys and rings without a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from indexer.auth import ring_file
from indexer.auth.authenticator import Authenticator
from indexer.auth.keys import Digester, KeyRecord, new_key
from indexer.auth.principal import Reason, Refused
from indexer.auth.ring import create

if TYPE_CHECKING:
    from pathlib import Path

PEPPER = "a pepper that no database has, 32 characters"
NOW = 1_800_000_000.25


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


def key(
    role: str = "reader",
    *,
    changed: int = 1,
    pepper: str = PEPPER,
    expires_at: float | None = None,
    revoked_at: float | None = None,
) -> tuple[str, KeyRecord]:
    """A key and its row."""
    key_id, text = new_key()
    digest = Digester(pepper).digest(text)
    return text, KeyRecord(key_id, "wallet", role, digest, NOW - 100, expires_at, revoked_at, changed)


@dataclass
class World:
    """An authenticator with a ring in a file, and what it is told."""

    directory: Path
    clock: Clock = field(default_factory=Clock)
    token_seconds: int = 900
    issued: int = 0
    records: list[KeyRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        ring_file.create(self.ring_path, create(self.clock.now))
        self.authenticator = self.process()
        self.authenticator.update([])

    @property
    def ring_path(self) -> Path:
        return self.directory / "ring.json"

    def process(self, pepper: str | None = PEPPER) -> Authenticator:
        ring = ring_file.RingFile(self.ring_path, self.clock)
        return Authenticator(pepper, ring, self.token_seconds, on_issued=self._count, clock=self.clock)

    def _count(self) -> None:
        self.issued += 1

    def known(self, role: str = "reader", *, expires_at: float | None = None) -> tuple[str, KeyRecord]:
        """A key that the authenticator knows."""
        text, record = key(role, changed=self.authenticator.newest + 1, expires_at=expires_at)
        self.authenticator.update([record])
        self.records.append(record)
        return text, record

    def token(self, key_text: str) -> str:
        return self.authenticator.issue(self.authenticator.authenticate(None, key_text)).text


def refusal(authenticator: Authenticator, credential: str) -> tuple[Reason, str | None]:
    """Why a credential is refused, and the key that is named."""
    try:
        authenticator.authenticate(f"Bearer {credential}", None)
    except Refused as refused:
        text = str(refused)
        # What RFC 6750 allows between the quotes of error_description.
        assert text.isascii()
        assert text.isprintable()
        assert not set(text) & set('"\\')
        assert credential not in text
        return refused.reason, refused.key_id
    raise AssertionError("accepted")
