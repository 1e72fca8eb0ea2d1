from __future__ import annotations

from dataclasses import replace

import pytest

from indexer.auth import ring, ring_file, tokens
from indexer.auth.authenticator import Authenticator
from indexer.auth.principal import ANONYMOUS, Principal, Reason, Refused, Scope
from indexer.auth.tokens import Token
from indexer.settings import Settings
from tests.indexer.auth.world import NOW, PEPPER, World, key, refusal


def test_without_a_credential_nobody_calls_and_may_nothing(world: World) -> None:
    assert world.authenticator.authenticate(None, None) is ANONYMOUS
    assert ANONYMOUS.kind == "anonymous"
    assert not ANONYMOUS.scopes


@pytest.mark.parametrize(
    ("role", "scopes"),
    [("reader", {"read"}), ("operator", {"read", "operate"}), ("admin", {"read", "operate", "admin"})],
)
def test_a_key_and_its_tokens_grant_the_scopes_of_the_role(world: World, role: str, scopes: set[Scope]) -> None:
    text, record = world.known(role)
    by_header = world.authenticator.authenticate(None, text)
    assert by_header == Principal(record.key_id, frozenset(scopes))
    assert by_header.kind == "key"
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert world.authenticator.authenticate(f"{scheme} {text}", None) == by_header
    for _ in range(2):
        by_token = world.authenticator.authenticate(f"Bearer {world.token(text)}", None)
        assert by_token == Principal(record.key_id, frozenset(scopes), via_token=True)
        assert by_token.kind == "token"


def test_a_role_that_this_release_does_not_know_grants_nothing(world: World) -> None:
    text, record = key("emperor")
    world.authenticator.update([record])
    assert world.authenticator.authenticate(None, text).scopes == frozenset()


def test_a_role_that_was_lowered_lowers_its_tokens_too(world: World) -> None:
    text, record = world.known("admin")
    token = world.token(text)
    assert "admin" in world.authenticator.authenticate(f"Bearer {token}", None).scopes
    world.authenticator.update([replace(record, role="reader", changed=9)])
    assert world.authenticator.authenticate(f"Bearer {token}", None).scopes == {"read"}


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic dTpw", "Token abc", "\xff\xfe", "Bearer \x00", "sk_"]
)
def test_other_schemes_and_empty_credentials_are_malformed(world: World, header: str) -> None:
    with pytest.raises(Refused) as refused:
        world.authenticator.authenticate(header, None)
    assert refused.value.reason is Reason.MALFORMED


def test_two_credentials_at_once_are_refused(world: World) -> None:
    text, _ = world.known()
    with pytest.raises(Refused, match="not both") as refused:
        world.authenticator.authenticate(f"Bearer {text}", text)
    assert refused.value.reason is Reason.MALFORMED


def test_a_key_with_a_wrong_secret_an_unknown_and_a_misshapen_one_are_refused(world: World) -> None:
    text, record = world.known()
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert refusal(world.authenticator, wrong) == (Reason.SIGNATURE, record.key_id)
    stranger, other = key()
    assert refusal(world.authenticator, stranger) == (Reason.UNKNOWN, other.key_id)
    assert refusal(world.authenticator, text + "x") == (Reason.MALFORMED, None)


def test_a_revoked_key_is_refused_at_once_and_so_is_its_cached_token(world: World) -> None:
    text, record = world.known()
    token = world.token(text)
    for credential in (text, token):
        world.authenticator.authenticate(f"Bearer {credential}", None)
    world.authenticator.update([replace(record, revoked_at=NOW - 1, changed=9)])
    for credential in (text, token):
        assert refusal(world.authenticator, credential) == (Reason.REVOKED, record.key_id)


def test_an_expired_key_is_refused_and_so_is_its_cached_token(world: World) -> None:
    text, record = world.known(expires_at=NOW + 100)
    token = world.token(text)
    for credential in (text, token):
        world.authenticator.authenticate(f"Bearer {credential}", None)
    world.clock.now = NOW + 99.9
    for credential in (text, token):
        world.authenticator.authenticate(f"Bearer {credential}", None)
    world.clock.now = NOW + 100
    for credential in (text, token):
        assert refusal(world.authenticator, credential) == (Reason.EXPIRED, record.key_id)


def test_whoever_has_not_the_secret_does_not_learn_that_a_key_is_revoked(world: World) -> None:
    text, record = key(revoked_at=NOW - 1)
    world.authenticator.update([record])
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert refusal(world.authenticator, wrong)[0] is Reason.SIGNATURE


def test_a_token_ends_with_its_key_and_says_so(world: World) -> None:
    text, _ = world.known(expires_at=NOW + 100)
    token = world.authenticator.issue(world.authenticator.authenticate(None, text))
    assert token.expires_in == 100
    text, record = world.known("operator")
    token = world.authenticator.issue(world.authenticator.authenticate(None, text))
    assert (token.expires_in, token.scope, token.key_id) == (900, "read operate", record.key_id)
    assert token.text not in repr(token)


def test_each_token_issued_is_told(world: World) -> None:
    text, _ = world.known()
    world.token(text)
    world.token(text)
    assert world.issued == 2
    with pytest.raises(Refused):
        world.authenticator.issue(ANONYMOUS)
    assert world.issued == 2


def test_a_cached_token_expires_like_any_other(world: World) -> None:
    text, record = world.known()
    token = world.token(text)
    world.clock.now += 900 + ring.LEEWAY - 1
    world.authenticator.authenticate(f"Bearer {token}", None)
    world.clock.now += 1
    fresh = world.process()
    fresh.update(world.records)
    for authenticator in (world.authenticator, fresh):
        assert refusal(authenticator, token) == (Reason.EXPIRED, record.key_id)


def test_a_key_that_leaves_the_ring_takes_its_cached_tokens_along_within_a_second(world: World) -> None:
    text, _ = world.known()
    token = world.token(text)
    world.authenticator.authenticate(f"Bearer {token}", None)
    ring_file.change(world.ring_path, lambda _: ring.create(NOW))
    world.clock.now += 1
    assert refusal(world.authenticator, token) == (Reason.SIGNATURE, None)


def test_before_the_keys_are_read_a_good_credential_is_not_called_bad(world: World) -> None:
    text, record = world.known()
    token = world.token(text)
    fresh = world.process()
    assert fresh.newest == -1
    for credential in (text, token):
        assert refusal(fresh, credential) == (Reason.UNAVAILABLE, record.key_id)
    fresh.update([])  # read, and there are none
    assert fresh.newest == 0
    for credential in (text, token):
        assert refusal(fresh, credential) == (Reason.UNKNOWN, record.key_id)


def test_after_a_restore_keys_that_are_gone_are_forgotten(world: World) -> None:
    text, _ = world.known()
    other, record = key(changed=50)
    world.authenticator.update([record])
    assert world.authenticator.newest == 50
    world.authenticator.update([replace(record, changed=3)], whole=True)
    assert world.authenticator.newest == 3
    assert refusal(world.authenticator, text)[0] is Reason.UNKNOWN
    assert world.authenticator.authenticate(None, other).user_id == record.key_id


def test_without_pepper_and_ring_keys_and_tokens_are_not_accepted(world: World) -> None:
    text, record = world.known()
    token = world.token(text)
    bare = Authenticator(None, None, 900)
    bare.update([record])
    assert refusal(bare, text)[0] is Reason.UNKNOWN
    assert refusal(bare, token)[0] is Reason.UNKNOWN
    with pytest.raises(Refused) as refused:
        bare.issue(Principal(record.key_id, frozenset()))
    assert refused.value.reason is Reason.UNAVAILABLE


def test_it_is_made_of_the_settings(world: World) -> None:
    text, record = key()
    database = "postgresql://nobody@127.0.0.1:1/none"
    bare = Authenticator.from_settings(Settings(_env_file=None, DATABASE_URL=database))
    bare.update([record])
    assert refusal(bare, text)[0] is Reason.UNKNOWN
    configured = Settings(
        _env_file=None,
        DATABASE_URL=database,
        AUTH_PEPPER=PEPPER,
        AUTH_KEY_RING=str(world.ring_path),
        AUTH_TOKEN_SECONDS=60,
    )
    issued: list[None] = []
    authenticator = Authenticator.from_settings(configured, lambda: issued.append(None))
    authenticator.update([record])
    token = authenticator.issue(authenticator.authenticate(None, text))
    assert token.expires_in == 60
    assert len(issued) == 1


def test_a_token_is_verified_once_while_there_is_room_for_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = world.known()
    monkeypatch.setattr("indexer.auth.authenticator.VERIFIED_TOKENS", 3)
    small = world.process()
    small.update(world.records)
    verified: list[str] = []
    verify = tokens.verify

    def counted(text: str, by: ring.Ring, now: float) -> tokens.Verified:
        verified.append(text)
        return verify(text, by, now)

    monkeypatch.setattr(tokens, "verify", counted)
    first, second, third, fourth = (world.token(text) for _ in range(4))
    for token in (first, second, third, first, second, third, fourth, second, first):
        small.authenticate(f"Bearer {token}", None)
    assert verified == [first, second, third, fourth, first]


def test_a_secret_is_in_no_text_of_what_is_kept(world: World) -> None:
    text, _ = world.known()
    token = world.token(text)
    principal = world.authenticator.authenticate(f"Bearer {token}", None)
    shown = f"{principal!r} {world.authenticator!r} {Token(token, 1, '', '')!r} {ring_file.load(world.ring_path)!r}"
    private = ring_file.load(world.ring_path).keys[0].private.private_bytes_raw()
    assert not any(secret in shown for secret in (text, token, PEPPER, private.hex(), repr(private)))
