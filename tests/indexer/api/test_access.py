"""Who may ask what, and how often."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from indexer.auth import ring_file, store
from indexer.auth.keys import Digester
from indexer.auth.ring import create
from tests.support.api import App, Chain, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from indexer.auth.principal import Role

LIST, BULK, STREAM = "/v1/indexer/brc20/list", "/v1/indexer/brc20/list/all", "/v1/indexer/events"
OPEN = ("/health", "/v1/indexer/brc20/health", "/", "/docs", "/openapi.json")
PEPPER = "a pepper that no database has, 32 characters"
OUTSIDE, PROXY = "203.0.113.9", "10.1.2.3"


@pytest.fixture
async def app(chain: Chain) -> AsyncIterator[App]:
    async with running(chain.url, AUTH_PEPPER=PEPPER) as made:
        yield made


def key(chain: Chain, role: Role = "reader", lifetime: int | None = None) -> tuple[str, str]:
    """A new key and its id."""
    with store.opened(chain.url) as connection:
        text, record = store.create(connection, Digester(PEPPER), name="wallet", role=role, lifetime=lifetime)
    return text, record.key_id


async def answers(app: App, status: int, text: str) -> None:
    """Wait until a key is answered with a status."""
    async with asyncio.timeout(1):
        while (await app.ask("/v1/auth/me", headers={"x-api-key": text})).status != status:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


# --- who may ---------------------------------------------------------------------------------------------------------


async def test_a_wrong_credential_is_a_401_that_says_why_wherever_it_is_shown(app: App, chain: Chain) -> None:
    text, _ = key(chain)
    await answers(app, 200, text)
    wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
    app.log.all.clear()
    for target in (LIST, BULK, STREAM, "/v1/auth/me", "/docs", "/metrics", "/v1/nothing"):
        answer = await app.ask(target, headers=bearer(wrong))
        assert answer.status == 401
        assert (answer.header("www-authenticate") or "").startswith('Bearer error="invalid_token"')
        assert answer.header("content-type") == "application/problem+json"
        assert answer.json()["reason"] == "signature"
        assert answer.header("cache-control") == "no-store"
    assert (await app.ask("/health", headers=bearer(wrong))).status == 200, "a probe is asked nothing"
    assert app.metric("authentication_failures_total", reason="signature") == 7
    events = [line for line in app.log.of("security") if line["message"] == "authentication_failed"]
    assert len(events) == 7
    assert {(line["client"], line["user_id"]) for line in events} == {("127.0.0.1", None)}
    assert not [line for line in app.log.all if wrong in str(line)]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": ""},
        {"authorization": "Bearer "},
        {"authorization": "Bearer \xff\xfe"},
        {"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."},
        {"x-api-key": ""},
        {"x-api-key": "sk_" + "0" * 9_000},
        {"x-api-key": "sk_0", "authorization": "Bearer sk_0"},
    ],
)
async def test_a_credential_of_no_form_is_a_401(app: App, headers: dict[str, str]) -> None:
    answer = await app.ask(LIST, headers=headers)
    assert answer.status == 401
    assert answer.json()["detail"]


async def test_closed_reads_need_a_key_and_their_answers_are_private(chain: Chain) -> None:
    text, _ = key(chain)
    async with running(chain.url, AUTH_PEPPER=PEPPER, API_PUBLIC_READS=False) as app:
        await answers(app, 200, text)
        for target in (LIST, BULK, STREAM):
            answer = await app.ask(target)
            assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
        for target in OPEN:
            assert (await app.ask(target)).status == 200, target
        for headers in (bearer(text), {"x-api-key": text}):
            answer = await app.ask(LIST, headers=headers)
            assert answer.status == 200
            assert "private" in (answer.header("cache-control") or "")
        assert (await app.ask(BULK, headers=bearer(text))).status == 200
        assert (await app.ask(LIST)).status == 401, "also when the answer is kept"


async def test_public_answers_are_public(app: App) -> None:
    assert (await app.ask(LIST)).header("cache-control") == "public, max-age=1, must-revalidate"


async def test_the_inside_is_for_inner_networks_and_operators(app: App, chain: Chain) -> None:
    reader, operator = key(chain)[0], key(chain, "operator")[0]
    await answers(app, 200, reader)
    await answers(app, 200, operator)
    for target in ("/metrics", "/health/detailed"):
        assert (await app.ask(target)).status == 200
        assert (await app.ask(target, peer=OUTSIDE)).status == 401
        refused = await app.ask(target, peer=OUTSIDE, headers=bearer(reader))
        assert refused.status == 403
        assert refused.header("www-authenticate") == 'Bearer error="insufficient_scope", scope="operate"'
        assert refused.json()["scope"] == "operate"
        assert (await app.ask(target, peer=OUTSIDE, headers=bearer(operator))).status == 200
    assert [line["message"] for line in app.log.of("security")].count("access_denied") == 2


async def test_a_proxy_within_the_inner_networks_lets_no_stranger_in(chain: Chain) -> None:
    async with running(chain.url, API_TRUSTED_PROXIES="127.0.0.1/32") as app:
        assert (await app.ask("/metrics", headers={"x-forwarded-for": OUTSIDE})).status == 401
        assert (await app.ask("/metrics", headers={"x-forwarded-for": f"127.0.0.1, {OUTSIDE}"})).status == 401


async def test_a_new_key_is_known_and_a_revoked_one_refused_within_a_second(app: App, chain: Chain) -> None:
    text, key_id = key(chain)
    await answers(app, 200, text)
    with store.opened(chain.url) as connection:
        store.revoke(connection, key_id)
    await answers(app, 401, text)


async def test_before_the_keys_were_read_a_good_one_is_told_to_come_again(chain: Chain) -> None:
    text, _ = key(chain)
    async with running(chain.url, known=False, AUTH_PEPPER=PEPPER) as app:
        answer = await app.ask("/v1/auth/me", headers=bearer(text))
        if answer.status != 200:
            assert (answer.status, answer.header("retry-after")) == (503, "5")


async def test_a_key_becomes_a_token_that_any_process_takes(chain: Chain, tmp_path: Path) -> None:
    ring = tmp_path / "ring.json"
    ring_file.create(ring, create(time.time()))
    text, key_id = key(chain)
    both: dict[str, Any] = {"AUTH_PEPPER": PEPPER, "AUTH_KEY_RING": ring, "API_PUBLIC_READS": False}
    async with running(chain.url, **both) as one, running(chain.url, **both) as two:
        await answers(one, 200, text)
        await answers(two, 200, text)
        issued = await one.ask("/v1/auth/token", method="POST", headers=bearer(text))
        assert (issued.status, issued.header("cache-control")) == (200, "no-store")
        token = issued.json()["access_token"]
        answer = await two.ask(LIST, headers=bearer(token))
        assert answer.status == 200
        assert two.log.of("access")[-1]["user_id"] == key_id
        assert one.metric("jwt_tokens_issued_total") == 1
        assert token not in str(one.log.all) + str(two.log.all)


# --- how often -------------------------------------------------------------------------------------------------------


async def test_who_asks_too_often_is_told_when_to_come_again(chain: Chain) -> None:
    async with running(chain.url, API_RATE_LIMITS="read=3/hour bulk=1/hour") as app:
        first = await app.ask(LIST)
        assert first.header("ratelimit-policy") == '"read";q=3;w=3600'
        assert re.fullmatch(r'"read";r=2;t=\d+', first.header("ratelimit") or "")
        statuses = [(await app.ask(f"{LIST}?limit={number}")).status for number in range(1, 4)]
        assert statuses == [200, 200, 429]
        refused = await app.ask(LIST)
        assert refused.status == 429
        assert 0 < int(refused.header("retry-after") or 0) <= 3600
        assert (refused.header("ratelimit") or "").startswith('"read";r=0;')
        assert refused.header("content-type") == "application/problem+json"
        assert "slow down" in refused.json()["detail"]
        # Others, other classes and those who ask how it is are not touched by it.
        assert (await app.ask(LIST, peer=OUTSIDE)).status == 200
        assert (await app.ask(BULK)).status == 200
        assert (await app.ask(BULK)).status == 429
        for target in ("/health", "/health/ready", "/metrics", "/docs"):
            assert (await app.ask(target)).status == 200
        assert app.metric("rate_limited_total", **{"class": "read"}) == 2
        assert [line["message"] for line in app.log.of("security")] == ["rate_limited"] * 3


async def test_a_key_has_a_limit_of_its_own_wherever_it_is_used(chain: Chain) -> None:
    one, two = key(chain)[0], key(chain)[0]
    limits: dict[str, Any] = {"API_RATE_LIMITS": "read=1/hour", "API_KEY_RATE_LIMITS": "read=3/hour"}
    async with running(chain.url, AUTH_PEPPER=PEPPER, **limits) as app:
        await answers(app, 200, one)
        await answers(app, 200, two)
        peers = [OUTSIDE, PROXY, OUTSIDE, PROXY]
        assert [(await app.ask(LIST, headers=bearer(one), peer=peer)).status for peer in peers] == [200, 200, 200, 429]
        assert (await app.ask(LIST, headers=bearer(two), peer=OUTSIDE)).status == 200
        assert [(await app.ask(LIST, peer=OUTSIDE)).status for _ in range(2)] == [200, 429]


async def test_guessing_keys_is_bounded_whatever_route_it_is_tried_on(chain: Chain) -> None:
    async with running(chain.url, AUTH_PEPPER=PEPPER, API_RATE_LIMITS="auth=5/hour") as app:
        targets = [LIST, BULK, "/docs", "/metrics", "/v1/auth/me", LIST, LIST]
        statuses = [
            (await app.ask(target, headers={"x-api-key": f"sk_{number:012x}_{'0' * 43}"}, peer=OUTSIDE)).status
            for number, target in enumerate(targets)
        ]
        assert statuses == [401] * 5 + [429] * 2
        assert (await app.ask(LIST, peer=OUTSIDE)).status == 200, "who shows no key is no guesser"


async def test_a_client_whose_key_was_refused_once_goes_on_unhindered_with_a_good_one(chain: Chain) -> None:
    # As each client does whose token has expired: it is refused, gets a new one, and goes on at its own rate.
    text, _ = key(chain)
    limits: dict[str, Any] = {"API_RATE_LIMITS": "auth=5/hour", "API_KEY_RATE_LIMITS": "read=1000/hour"}
    async with running(chain.url, AUTH_PEPPER=PEPPER, **limits) as app:
        await answers(app, 200, text)
        before = f"sk_{'0' * 12}_{'0' * 43}"
        assert (await app.ask(LIST, headers=bearer(before), peer=OUTSIDE)).status == 401
        assert {(await app.ask(LIST, headers=bearer(text), peer=OUTSIDE)).status for _ in range(20)} == {200}
