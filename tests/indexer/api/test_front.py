"""What every request goes through: its name, its methods, what is told of it, and nothing that a client may break."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.api import App, Chain, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping


LIST, BULK, STREAM = "/v1/indexer/brc20/list", "/v1/indexer/brc20/list/all", "/v1/indexer/events"
PEPPER = "a pepper that no database has, 32 characters"
OUTSIDE, PROXY = "203.0.113.9", "10.1.2.3"
FIELDS = [
    "timestamp",
    "level",
    "logger",
    "message",
    "user_id",
    "request_id",
    "endpoint",
    "method",
    "status_code",
    "duration_ms",
]


@pytest.fixture
async def app(chain: Chain) -> AsyncIterator[App]:
    async with running(chain.url, AUTH_PEPPER=PEPPER) as made:
        yield made


# --- names and addresses ---------------------------------------------------------------------------------------------


async def test_each_request_gets_an_id_of_its_own_which_is_logged(calm: App) -> None:
    ids = [(await calm.ask(target)).header("x-request-id") for target in (LIST, LIST, "/v1/nothing", BULK)]
    assert len(set(ids)) == 4
    assert [line["request_id"] for line in calm.log.of("access")] == ids


async def test_only_a_trusted_proxy_names_requests_and_clients(chain: Chain) -> None:
    limits: dict[str, Any] = {"API_RATE_LIMITS": "read=2/hour", "API_TRUSTED_PROXIES": "10.0.0.0/8"}
    async with running(chain.url, **limits) as app:

        def says(client: str) -> dict[str, str]:
            return {"x-request-id": "abc-1", "x-forwarded-for": client}

        through = await app.ask(LIST, headers=says("198.51.100.1"), peer=PROXY)
        assert through.header("x-request-id") == "abc-1"
        alone = await app.ask(LIST, headers=says("198.51.100.1"), peer=OUTSIDE)
        assert alone.header("x-request-id") != "abc-1"
        # A stranger counts as itself, whatever it says.
        statuses = [(await app.ask(LIST, headers=says(f"198.51.100.{n}"), peer=OUTSIDE)).status for n in range(3)]
        assert statuses == [200, 429, 429]
        # Behind the proxy each client counts for itself; what it says itself stands left of what the proxy saw.
        for last in range(10, 13):
            forged = says(f"203.0.113.{last}, 198.51.100.7")
            seen = [(await app.ask(LIST, headers=forged, peer=PROXY)).status]
        assert seen == [429]
        assert (await app.ask(LIST, headers=says("198.51.100.8"), peer=PROXY)).status == 200


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", 'x"y', "ü", "a\tb"])
async def test_a_name_that_is_no_plain_word_is_replaced(chain: Chain, name: str) -> None:
    async with running(chain.url, API_TRUSTED_PROXIES="10.0.0.0/8") as app:
        answer = await app.ask(LIST, headers={"x-request-id": name}, peer=PROXY)
        assert re.fullmatch(r"[0-9a-f]{20}", answer.header("x-request-id") or "")


async def test_a_peer_without_an_address_is_served(calm: App) -> None:
    assert (await calm.ask(LIST, peer=None)).status == 200


# --- what is told of it ----------------------------------------------------------------------------------------------


async def test_a_request_is_one_line_with_exactly_the_agreed_fields(calm: App) -> None:
    answer = await calm.ask("/v1/indexer/brc20/NOSUCH/info?a=secret")
    (line,) = calm.log.all
    assert list(line) == FIELDS
    assert {name: line[name] for name in FIELDS[3:9]} == {
        "message": "request",
        "user_id": None,
        "request_id": answer.header("x-request-id"),
        "endpoint": "/v1/indexer/brc20/{ticker}/info",
        "method": "GET",
        "status_code": 404,
    }
    assert line["duration_ms"] > 0


@pytest.mark.parametrize(
    ("target", "endpoint", "status"),
    [
        (LIST, LIST, 200),
        (BULK, BULK, 200),
        ("/v1/indexer/brc20/A%2FB/info", "/v1/indexer/brc20/{ticker}/info", 404),
        ("/v1/indexer/brc20/list?limit=0", LIST, 422),
        ("/v1/indexer/state/1", "/v1/indexer/state/{height}", 200),
        ("/v1/indexer/address/x!/history", "/v1/indexer/address/{address}/history", 422),
        ("/v1/indexer/brc20/A/tx/" + "0" * 64 + "/history", "/v1/indexer/brc20/{ticker}/tx/{txid}/history", 200),
        ("/robots.txt", "unmatched", 404),
        ("/v1/indexer/nothing/here", "unmatched", 404),
    ],
)
async def test_requests_are_counted_and_logged_by_template(calm: App, target: str, endpoint: str, status: int) -> None:
    for _ in range(2):  # the second time from the cache
        assert (await calm.ask(target)).status == status
    assert calm.metric("http_requests_total", endpoint=endpoint, method="GET", status=str(status)) == 2
    assert [line["endpoint"] for line in calm.log.of("access")] == [endpoint] * 2
    assert calm.metric("http_requests_in_flight") == 0


@pytest.mark.parametrize("target", [LIST, BULK, "/v1/auth/me", "/health/ready"])
async def test_an_unexpected_error_is_a_problem_whose_trace_is_in_the_log(
    chain: Chain, said: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    def broken(*_: object, **__: object) -> Any:  # noqa: ANN401 - it never returns
        raise RuntimeError("a secret detail")

    async with running(chain.url) as app:
        monkeypatch.setattr("indexer.api.shapes.ticker_info", broken)
        monkeypatch.setattr(app.api.service.reader, "all_tickers", broken)
        monkeypatch.setattr("indexer.api.call.call_of", broken)
        monkeypatch.setattr("indexer.api.app.call_of", broken)
        app.api.routes.state.serving = broken
        answer = await app.ask(target)
        assert answer.status == 500
        assert answer.header("content-type") == "application/problem+json"
        assert "secret" not in str(answer)
        number = answer.json()["trace_id"]
        assert re.fullmatch(r"[0-9a-f]{32}", number)
        (line,) = [each for each in said if each["event"] == "unexpected error"]
        assert (line["trace_id"], line["request_id"]) == (number, answer.header("x-request-id"))
        (access,) = app.log.of("access")
        assert (access["status_code"], access["level"], access["endpoint"]) == (500, "ERROR", target)


# --- other methods ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", [LIST, BULK, "/health", "/", "/v1/indexer/brc20/NOSUCH/info", "/nothing", f"{LIST}?limit=0"]
)
async def test_head_is_get_without_its_body(calm: App, target: str) -> None:
    whole, bare = await calm.ask(target), await calm.ask(target, method="HEAD")
    assert bare.body == b""
    assert bare.status == whole.status
    own = {"x-request-id", "cache-status", "date"}
    assert [each for each in bare.headers if each[0] not in own] == [
        each for each in whole.headers if each[0] not in own
    ]


async def test_head_fills_the_cache_for_get(calm: App) -> None:
    assert (await calm.ask(LIST, method="HEAD")).cache == "miss"
    answer = await calm.ask(LIST)
    assert answer.cache == "hit"
    assert answer.json()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "EVIL"])
async def test_another_method_is_a_405_that_names_the_right_one(calm: App, method: str) -> None:
    for target in (LIST, BULK, "/health"):
        answer = await calm.ask(target, method=method)
        assert answer.status == 405
        assert answer.header("allow") == "GET"
        assert answer.header("content-type") == "application/problem+json"
    assert "EVIL" not in calm.metrics


async def test_pages_of_any_origin_may_read_and_none_where_that_is_switched_off(chain: Chain) -> None:
    origin = {"origin": "https://explorer.example"}
    async with running(chain.url) as app:
        for target in (LIST, BULK, f"{LIST}?limit=0"):
            answer = await app.ask(target, headers=origin)
            assert answer.header("access-control-allow-origin") == "*"
            assert "ETag" in (answer.header("access-control-expose-headers") or "")
        asked = await app.ask(LIST, method="OPTIONS", headers=origin | {"access-control-request-method": "GET"})
        assert (asked.status, asked.body) == (204, b"")
        assert "X-API-Key" in (asked.header("access-control-allow-headers") or "")
    async with running(chain.url, API_CORS=False) as app:
        assert (await app.ask(LIST, headers=origin)).header("access-control-allow-origin") is None
        assert (await app.ask(LIST, method="OPTIONS", headers=origin)).status == 405


# --- nothing that a client sends -------------------------------------------------------------------------------------

HEADER_NAMES = [
    "authorization",
    "x-api-key",
    "x-forwarded-for",
    "x-request-id",
    "if-none-match",
    "traceparent",
    "origin",
]
TEXT = st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=60)
PATHS = st.one_of(
    st.just(LIST),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=40).map(
        lambda tail: f"/v1/indexer/brc20/{tail}"
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=40).map(
        lambda tail: f"/{tail}"
    ),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    asked=st.lists(
        st.tuples(
            PATHS,
            TEXT,
            st.lists(st.tuples(st.sampled_from(HEADER_NAMES), TEXT), max_size=4),
            st.sampled_from(["GET", "HEAD", "POST", "OPTIONS"]),
        ),
        min_size=1,
        max_size=10,
    )
)
async def test_whatever_a_client_sends_is_answered_and_is_no_error_of_ours(
    chain: Chain, asked: list[tuple[str, str, list[tuple[str, str]], str]]
) -> None:
    async with running(chain.url, AUTH_PEPPER=PEPPER, API_TRUSTED_PROXIES="127.0.0.1/32") as app:
        for path, query, headers, method in asked:
            target = path + "?" + "".join(sign if "!" < sign < "\x7f" else f"%{ord(sign):02x}" for sign in query)
            if path.rstrip("?") == STREAM:
                continue
            answer = await app.ask(target, headers=headers, method=method)
            assert answer.status < 500, (method, target, headers, answer.body)
            assert all(value.isprintable() or value == "" for _, value in answer.headers), answer.headers


async def test_a_body_that_is_too_large_is_refused(calm: App) -> None:
    answer = await calm.ask("/v1/auth/token", method="POST", headers={"content-length": "999999"})
    assert answer.status == 413
    assert [line["message"] for line in calm.log.of("security")] == ["oversized_request"]


async def test_in_flight_counts_those_that_are_answered_now(calm: App, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = asyncio.Event()
    read = calm.api.service.reader.tickers

    async def held(*given_: Any) -> Any:  # noqa: ANN401 - as they come
        await opened.wait()
        return await read(*given_)

    monkeypatch.setattr(calm.api.service.reader, "tickers", held)
    asking = [asyncio.create_task(calm.ask(f"{LIST}?limit={number}")) for number in range(1, 4)]
    await until(lambda: calm.metric("http_requests_in_flight") == 3)
    opened.set()
    await asyncio.gather(*asking)
    assert calm.metric("http_requests_in_flight") == 0
