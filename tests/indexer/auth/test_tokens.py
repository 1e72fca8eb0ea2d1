"""Tokens that are not ours: nothing but a refusal comes of them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.auth import ring_file
from indexer.auth.principal import Reason, Refused
from indexer.auth.ring import LEEWAY, create
from indexer.auth.tokens import mint, verify
from tests.indexer.auth.world import NOW, World, refusal

if TYPE_CHECKING:
    from indexer.auth.ring import RingKey

pytestmark = pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(signer: RingKey, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    """A token with our own signature over any header and claims."""
    head = {"typ": "JWT", "alg": "EdDSA", "kid": signer.kid} | (header or {})
    message = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{message}.{b64(signer.private.sign(message.encode()))}"


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@pytest.fixture
def signer(world: World) -> RingKey:
    return ring_file.load(world.ring_path).keys[0]


@pytest.fixture
def good(world: World) -> str:
    return world.token(world.known()[0])


def test_a_token_says_who_for_what_and_how_long_and_who_signed(world: World, signer: RingKey) -> None:
    text, record = world.known("operator")
    token = world.token(text)
    claims = claims_of(token)
    assert len(claims.pop("jti")) == 16
    begin = int(NOW)
    assert claims == {
        "iss": "simplicity",
        "aud": "simplicity-api",
        "sub": record.key_id,
        "scope": "read operate",
        "iat": begin,
        "nbf": begin,
        "exp": begin + 900,
    }
    assert jwt.get_unverified_header(token) == {"typ": "JWT", "alg": "EdDSA", "kid": signer.kid}
    assert claims_of(world.token(text))["jti"] != claims_of(token)["jti"]


def test_the_helper_of_these_tests_makes_good_tokens(world: World, signer: RingKey, good: str) -> None:
    assert world.authenticator.authenticate(f"Bearer {signed(signer, claims_of(good))}", None).via_token


def test_an_unsigned_token_is_refused(world: World, signer: RingKey, good: str) -> None:
    plain = jwt.encode(claims_of(good), "", "none", {"kid": signer.kid})
    assert refusal(world.authenticator, plain)[0] is Reason.MALFORMED
    for algorithm in ("none", "None", "NONE", ""):
        told = refusal(world.authenticator, signed(signer, claims_of(good), {"alg": algorithm}))
        assert told[0] in {Reason.SIGNATURE, Reason.MALFORMED}


def test_a_mac_under_our_public_key_is_refused(world: World, signer: RingKey, good: str) -> None:
    for secret in (
        signer.public.public_bytes_raw(),
        signer.public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex().encode(),
    ):
        for algorithm in ("HS256", "HS384", "HS512"):
            forged = jwt.encode(claims_of(good), secret, algorithm, {"kid": signer.kid})
            assert refusal(world.authenticator, forged)[0] in {Reason.SIGNATURE, Reason.MALFORMED}
    head, body, _ = good.split(".")
    forged = f"{b64(json.dumps({'typ': 'JWT', 'alg': 'HS256', 'kid': signer.kid}).encode())}.{body}.{'A' * 86}"
    assert refusal(world.authenticator, forged)[0] is Reason.SIGNATURE
    assert refusal(world.authenticator, f"{head}.{body}.{'A' * 86}")[0] is Reason.SIGNATURE


def test_a_token_of_another_ring_is_refused(world: World, good: str, signer: RingKey) -> None:
    stranger = create(NOW).keys[0]
    assert refusal(world.authenticator, signed(stranger, claims_of(good)))[0] is Reason.SIGNATURE
    # It may name our key, and it may bring its own: only the ring's keys count.
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(stranger.public.public_bytes_raw())}
    assert refusal(world.authenticator, signed(stranger, claims_of(good), {"kid": signer.kid}))[0] is Reason.SIGNATURE
    assert refusal(world.authenticator, signed(stranger, claims_of(good), {"jwk": jwk}))[0] is Reason.SIGNATURE


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"aud": []},
        {"sub": 1},
        {"scope": ["admin"]},
        {"exp": "soon"},
        {"nbf": None},
    ]
    + [{"jti": 5}, {"exp": 1e300}, {"exp": True}]
    + [{name: ...} for name in ("iss", "aud", "sub", "scope", "iat", "nbf", "exp", "jti")],
)
def test_what_our_key_signed_for_something_else_is_refused(
    world: World, signer: RingKey, good: str, changes: dict[str, Any]
) -> None:
    claims = {name: value for name, value in (claims_of(good) | changes).items() if value is not ...}
    assert refusal(world.authenticator, signed(signer, claims)) == (Reason.MALFORMED, None)


def test_a_token_is_valid_between_its_times_give_or_take_the_leeway(world: World, signer: RingKey, good: str) -> None:
    ring = ring_file.load(world.ring_path)
    claims = claims_of(good)
    for now in (claims["nbf"] - LEEWAY, claims["exp"] + LEEWAY - 0.01):
        assert verify(good, ring, now).key_id == claims["sub"]
    with pytest.raises(Refused, match="expired at 2027-01-15T08:15:00Z") as late:
        verify(good, ring, claims["exp"] + LEEWAY)
    assert late.value.reason is Reason.EXPIRED
    with pytest.raises(Refused, match="valid from 2027-01-15T08:00:00Z on") as early:
        verify(good, ring, claims["nbf"] - LEEWAY - 0.01)
    assert early.value.reason is Reason.NOT_YET
    assert refusal(world.authenticator, signed(signer, claims | {"nbf": int(NOW) + 60}))[0] is Reason.NOT_YET


def test_scopes_beyond_the_role_and_unknown_ones_grant_nothing(world: World, signer: RingKey, good: str) -> None:
    greedy = signed(signer, claims_of(good) | {"scope": "read admin everything"})
    assert world.authenticator.authenticate(f"Bearer {greedy}", None).scopes == {"read"}


def test_a_text_of_any_size_and_depth_is_refused_and_costs_little(world: World) -> None:
    deep = b64(b"[" * 100_000)
    for token in (
        f"{deep}.{deep}.{'A' * 86}",
        "a" * 1_000_000,
        "." * 100_000,
        f"{b64(b'[' * 150)}.{b64(b'{}' * 20)}.{'A' * 86}",
        f"{b64(bytes([0xFF] * 40))}.{b64(b'{}' * 20)}.{'A' * 86}",
        f"{b64(json.dumps({'alg': 'EdDSA', 'kid': {'a': 1}}).encode())}.{b64(b'{}' * 20)}.{'A' * 86}",
        f"{b64(json.dumps({'alg': 'EdDSA', 'crit': ['b64'], 'b64': False}).encode())}.{b64(b'{}' * 20)}.{'A' * 86}",
        f"{b64(json.dumps({'alg': ['EdDSA'], 'kid': 'abc'}).encode())}.{b64(b'{}' * 20)}.{'A' * 86}",
    ):
        assert refusal(world.authenticator, token)[0] in {Reason.MALFORMED, Reason.SIGNATURE}


def test_a_token_with_any_character_changed_is_refused(world: World, good: str) -> None:
    for position, character in enumerate(good):
        for other in "Aé=. \x00" if position % 20 == 0 else "A":
            if other != character:
                changed = good[:position] + other + good[position + 1 :]
                assert refusal(world.authenticator, changed)[0] in {Reason.MALFORMED, Reason.SIGNATURE}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(authorization=st.none() | st.text(max_size=300), api_key=st.none() | st.text(max_size=300))
def test_any_text_in_the_headers_is_malformed(world: World, authorization: str | None, api_key: str | None) -> None:
    if authorization is api_key is None:
        assert world.authenticator.authenticate(None, None).user_id is None
        return
    with pytest.raises(Refused) as refused:
        world.authenticator.authenticate(authorization, api_key)
    assert refused.value.reason is Reason.MALFORMED


def test_a_new_token_is_ours_whatever_the_scopes(signer: RingKey, world: World) -> None:
    token = mint(signer, "0" * 12, frozenset(), now=NOW, expires_at=NOW + 60)
    assert (token.scope, token.expires_in) == ("", 60)
    verified = verify(token.text, ring_file.load(world.ring_path), NOW)
    assert (verified.key_id, verified.scopes, verified.until) == ("0" * 12, frozenset(), int(NOW) + 60 + LEEWAY)
    assert isinstance(signer.private, Ed25519PrivateKey)
