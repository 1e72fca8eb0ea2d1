"""Short-lived tokens: JWT signed with Ed25519, which any process verifies without asking anybody."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import jwt
import msgspec

from indexer.auth.principal import Reason, Refused, Scope, scope_text, scopes_in
from indexer.auth.ring import LEEWAY
from indexer.auth.times import moment

if TYPE_CHECKING:
    from indexer.auth.ring import Ring, RingKey

ISSUER = "simplicity"
AUDIENCE = "simplicity-api"

_ALGORITHM = "EdDSA"
# Looked at before anything is decoded: what is too long for one of ours costs next to nothing.
_FORM = re.compile(r"[A-Za-z0-9_-]{20,200}\.[A-Za-z0-9_-]{20,1000}\.[A-Za-z0-9_-]{86}")
_CLAIMS = ["iss", "aud", "sub", "scope", "iat", "nbf", "exp", "jti"]
# Times are compared below with the clock that the ring is read by, and with words of our own.
_OPTIONS: jwt.types.Options = {"require": _CLAIMS, "verify_exp": False, "verify_nbf": False, "verify_iat": False}


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its client gets it; `expires_in` in seconds."""

    text: str = field(repr=False)
    expires_in: int
    scope: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token says, proven to come from us; `until` is when it is not accepted any more, leeway included."""

    key_id: str
    scopes: frozenset[Scope]
    expires_at: int
    until: float


class _Claims(msgspec.Struct):
    sub: str
    scope: str
    nbf: int
    exp: int


def mint(signer: RingKey, key_id: str, scopes: frozenset[Scope], *, now: float, expires_at: float) -> Token:
    """Return a new token of an API key."""
    begin, end, scope = int(now), int(expires_at), scope_text(scopes)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": key_id,
        "scope": scope,
        "iat": begin,
        "nbf": begin,
        "exp": end,
        "jti": secrets.token_urlsafe(12),
    }
    text = jwt.encode(claims, signer.private, _ALGORITHM, {"kid": signer.kid})
    return Token(text, end - begin, scope, key_id)


def verify(text: str, ring: Ring, now: float) -> Verified:
    """Return what a token says. Raises Refused where it is not one, not ours, too old or too new."""
    if _FORM.fullmatch(text) is None:
        raise Refused(Reason.MALFORMED, "this is neither an API key nor a token")
    signer, claims = _signed(text, ring, now)
    if claims.exp + LEEWAY <= now:
        raise Refused(Reason.EXPIRED, f"the token expired at {moment(claims.exp)}", claims.sub)
    if claims.nbf - LEEWAY > now:
        raise Refused(Reason.NOT_YET, f"the token is valid from {moment(claims.nbf)} on", claims.sub)
    until = claims.exp + LEEWAY if signer.verifies_until is None else min(claims.exp + LEEWAY, signer.verifies_until)
    return Verified(claims.sub, scopes_in(claims.scope), claims.exp, until)


def _signed(text: str, ring: Ring, now: float) -> tuple[RingKey, _Claims]:
    try:
        header = jwt.get_unverified_header(text)
    except jwt.PyJWTError:
        raise Refused(Reason.MALFORMED, "the token cannot be read") from None
    # The algorithm is ours to name: a header that asks for `none`, or for a MAC under our public key, is refused.
    if header.get("alg") != _ALGORITHM:
        raise Refused(Reason.SIGNATURE, "the token is not signed with EdDSA")
    signer = ring.verifier(str(header.get("kid")), now)
    if signer is None:
        raise Refused(Reason.SIGNATURE, "the token is signed with a key that is not or no longer accepted")
    try:
        claims = jwt.decode(
            text, signer.public, algorithms=[_ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=_OPTIONS
        )
        return signer, msgspec.convert(claims, _Claims)
    except jwt.InvalidSignatureError:
        raise Refused(Reason.SIGNATURE, "the token's signature is wrong") from None
    except (jwt.PyJWTError, msgspec.ValidationError):
        raise Refused(Reason.MALFORMED, "the token is not one for this API") from None
