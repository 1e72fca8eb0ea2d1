"""Who calls, told from memory alone: a request waits for no database."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Self

from cachetools import LRUCache

from indexer.auth import keys, tokens
from indexer.auth.principal import ANONYMOUS, ROLES, Principal, Reason, Refused
from indexer.auth.ring import LEEWAY, Ring
from indexer.auth.ring_file import RingFile
from indexer.auth.times import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from indexer.auth.keys import KeyRecord
    from indexer.settings import Settings

VERIFIED_TOKENS = 8_192  # about 8 MB


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """An API key that exists; `until` is when it ends, in the past for a revoked one."""

    record: KeyRecord
    principal: Principal
    until: float

    @classmethod
    def of(cls, record: KeyRecord) -> Self:
        # A role of a later release grants nothing here.
        principal = Principal(record.key_id, ROLES.get(record.role, frozenset()))
        if record.revoked_at is not None:
            return cls(record, principal, -math.inf)
        return cls(record, principal, math.inf if record.expires_at is None else record.expires_at)


@dataclass(frozen=True, slots=True, eq=False)
class _Accepted:
    """A token whose signature was verified, and what it grants as long as its key is that one."""

    verified: tokens.Verified
    known: _Known
    principal: Principal


class Authenticator:
    """Tells who calls from the headers; knows the keys that `update` was given. Not for several threads.

    `newest` is the highest `changed` that it was given, -1 before the first time: until then a good credential is
    refused as UNAVAILABLE, which is no fault of the client.
    """

    def __init__(
        self,
        pepper: str | None,
        ring: RingFile | None,
        token_seconds: int,
        *,
        on_issued: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.newest = -1
        self._digester = None if pepper is None else keys.Digester(pepper)
        self._ring = ring
        self._token_seconds = token_seconds
        self._on_issued = on_issued
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._accepted: LRUCache[str, _Accepted] = LRUCache(VERIFIED_TOKENS)
        self._accepted_by: Ring | None = None

    @classmethod
    def from_settings(cls, settings: Settings, on_issued: Callable[[], None] = lambda: None) -> Self:
        """Make one of AUTH_PEPPER, AUTH_KEY_RING and AUTH_TOKEN_SECONDS. Raises ConfigurationError for a bad ring."""
        pepper = settings.AUTH_PEPPER.get_secret_value() if settings.AUTH_PEPPER else None
        ring = RingFile(settings.AUTH_KEY_RING) if settings.AUTH_KEY_RING else None
        return cls(pepper, ring, settings.AUTH_TOKEN_SECONDS, on_issued=on_issued)

    def update(self, records: Iterable[KeyRecord], *, whole: bool = False) -> None:
        """Take in new and changed keys, also when there are none; they count from the next request on.

        `whole`: these are all keys there are. After a failover or a restore the table may know less than before.
        """
        if whole:
            self._known.clear()
        self.newest = 0 if whole else max(self.newest, 0)
        for record in records:
            self._known[record.key_id] = _Known.of(record)
            self.newest = max(self.newest, record.changed)

    def authenticate(self, authorization: str | None, api_key: str | None) -> Principal:
        """Return who sent these headers (Authorization, X-API-Key). Raises Refused."""
        if authorization is None and api_key is None:
            return ANONYMOUS
        credential = _credential(authorization, api_key)
        return self._by_key(credential) if credential.startswith(keys.PREFIX) else self._by_token(credential)

    def issue(self, principal: Principal) -> tokens.Token:
        """Return a token for a caller with an API key, not valid for longer than the key. Raises Refused."""
        now = self._clock()
        if self._ring is None:
            raise Refused(Reason.UNAVAILABLE, "tokens are not set up here", principal.user_id)
        known = self._live(principal.user_id or "", now)
        signer = self._ring.current().signer(now)
        ends = [now + self._token_seconds, known.until]
        if signer.verifies_until is not None:
            ends.append(signer.verifies_until - LEEWAY)
        token = tokens.mint(signer, known.record.key_id, known.principal.scopes, now=now, expires_at=min(ends))
        self._on_issued()
        return token

    def _by_key(self, key: str) -> Principal:
        # Not cached: the digest takes a microsecond, and a secret that is not kept cannot leak.
        key_id = keys.id_of(key)
        if key_id is None:
            raise Refused(Reason.MALFORMED, "the API key has not the form sk_<id>_<secret>")
        if self._digester is None:
            raise Refused(Reason.UNKNOWN, "API keys are not accepted here", key_id)
        known = self._known.get(key_id)
        if known is None:
            self._refuse_unknown(key_id)
        # Before anything is said about the key: whoever has not the secret learns nothing of its state.
        if not self._digester.is_of(key, known.record.digest):
            raise Refused(Reason.SIGNATURE, "the API key is wrong", key_id)
        if known.until <= self._clock():
            _refuse_ended(known)
        return known.principal

    def _by_token(self, text: str) -> Principal:
        if self._ring is None:
            raise Refused(Reason.UNKNOWN, "tokens are not accepted here")
        now, ring = self._clock(), self._ring.current()
        if ring is not self._accepted_by:  # a key may have gone from the ring
            self._accepted.clear()
            self._accepted_by = ring
        accepted = self._accepted.get(text)
        if accepted is not None and now < accepted.verified.until:
            verified = accepted.verified
            if self._known.get(verified.key_id) is accepted.known and now < accepted.known.until:
                return accepted.principal
        verified = tokens.verify(text, ring, now)
        known = self._live(verified.key_id, now)
        principal = Principal(verified.key_id, verified.scopes & known.principal.scopes, via_token=True)
        self._accepted[text] = _Accepted(verified, known, principal)
        return principal

    def _live(self, key_id: str, now: float) -> _Known:
        known = self._known.get(key_id)
        if known is None:
            self._refuse_unknown(key_id)
        if known.until <= now:
            _refuse_ended(known)
        return known

    def _refuse_unknown(self, key_id: str) -> NoReturn:
        if self.newest < 0:
            raise Refused(Reason.UNAVAILABLE, "API keys cannot be checked yet; try again shortly", key_id)
        raise Refused(Reason.UNKNOWN, "there is no such API key", key_id)


def _credential(authorization: str | None, api_key: str | None) -> str:
    if authorization is None:
        return api_key or ""
    if api_key is not None:
        raise Refused(Reason.MALFORMED, "send Authorization or X-API-Key, not both")
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Refused(Reason.MALFORMED, "Authorization must be: Bearer, then an API key or a token")
    return credential.strip(" ")


def _refuse_ended(known: _Known) -> NoReturn:
    record = known.record
    if record.revoked_at is not None:
        raise Refused(Reason.REVOKED, f"the API key was revoked at {moment(record.revoked_at)}", record.key_id)
    raise Refused(Reason.EXPIRED, f"the API key expired at {moment(known.until)}", record.key_id)
