"""Why the API accepts or refuses a credential: the API's own check, with the reasons told."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from indexer.auth import store, tokens
from indexer.auth.authenticator import Authenticator
from indexer.auth.keys import PREFIX
from indexer.auth.principal import Reason, Refused, Scope, scope_text
from indexer.auth.ring_file import RingFile, load
from indexer.auth.times import moment
from indexer.settings import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.auth.keys import KeyRecord
    from indexer.auth.principal import Kind, Principal
    from indexer.settings import Settings


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the API says to a credential: `reason` is None where it is accepted; `expires_at` None for never."""

    kind: Kind
    reason: str | None
    detail: str
    record: KeyRecord | None = None
    scopes: frozenset[Scope] = frozenset()
    expires_at: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict for machines."""
        record = self.record
        return {
            "accepted": self.reason is None,
            "reason": self.reason,
            "detail": self.detail,
            "kind": self.kind,
            "key_id": record and record.key_id,
            "name": record and record.name,
            "role": record and record.role,
            "scope": scope_text(self.scopes),
            "expires_at": None if self.expires_at is None else moment(self.expires_at),
        }

    def as_text(self) -> str:
        """Return the verdict in two lines at most."""
        first = f"refused ({self.reason}): {self.detail}" if self.reason else f"accepted: {self.detail}"
        if self.record is None:
            return first
        end = "never expires" if self.expires_at is None else f"expires {moment(self.expires_at)}"
        owner = f"{self.kind} of API key {self.record.key_id} ({self.record.name}), role {self.record.role}"
        return f"{first}\n{owner}, scope {scope_text(self.scopes) or '-'}, {end}"


def inspect(credential: str, settings: Settings, needed: Scope | None) -> Verdict:
    """Check a key or token, and whether it has a scope. The database is asked only where all else is right.

    Raises ConfigurationError, StoreError and StoreUnavailableError where that cannot be told here.
    """
    kind: Kind = "key" if credential.startswith(PREFIX) else "token"
    authenticator = _authenticator(kind, settings)
    try:
        authenticator.authenticate(None, credential)
    except Refused as refused:
        if refused.reason is not Reason.UNAVAILABLE:
            return Verdict(kind, refused.reason, str(refused))
    with store.opened(settings.DATABASE_URL.get_secret_value()) as connection:
        records = {record.key_id: record for record in store.listed(connection)}
    authenticator.update(records.values())
    try:
        principal = authenticator.authenticate(None, credential)
    except Refused as refused:
        # With a wrong secret nothing is told of the key whose id it names.
        record = None if refused.reason is Reason.SIGNATURE else records.get(refused.key_id or "")
        return Verdict(kind, refused.reason, str(refused), record, expires_at=record.expires_at if record else None)
    return _accepted(credential, principal, records[principal.user_id or ""], settings.AUTH_KEY_RING, needed)


def _authenticator(kind: Kind, settings: Settings) -> Authenticator:
    """Return one that knows what this kind of credential needs; the other kind's settings may be wrong."""
    if kind == "key":
        if settings.AUTH_PEPPER is None:
            raise ConfigurationError("AUTH_PEPPER is not set: without the API hosts' pepper a key cannot be checked")
        return Authenticator(settings.AUTH_PEPPER.get_secret_value(), None, settings.AUTH_TOKEN_SECONDS)
    if settings.AUTH_KEY_RING is None:
        raise ConfigurationError("AUTH_KEY_RING is not set: without the API hosts' key ring a token cannot be checked")
    return Authenticator(None, RingFile(settings.AUTH_KEY_RING), settings.AUTH_TOKEN_SECONDS)


def _accepted(
    credential: str, principal: Principal, record: KeyRecord, ring: Path | None, needed: Scope | None
) -> Verdict:
    expires_at = record.expires_at
    if principal.via_token and ring is not None:
        expires_at = float(tokens.verify(credential, load(ring), time.time()).expires_at)
    reason, detail = None, f"a good {principal.kind}"
    if needed is not None and needed not in principal.scopes:
        reason, detail = "scope", f"it has not the scope {needed}"
    return Verdict(principal.kind, reason, detail, record, principal.scopes, expires_at)
