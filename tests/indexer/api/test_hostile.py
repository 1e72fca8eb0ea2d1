"""Hostile input against the API as it is served: a clear 4xx or an empty answer, a security event, and nothing else."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.api.hostile import sign_of
from indexer.api.protocol import BoundedHttp
from indexer.settings import Settings
from indexer.telemetry import security
from tests.indexer.api.example_chain import ADDRESS, index_examples
from tests.indexer.api.live import SOON, Live, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Cluster

READ = "/v1/indexer"
HISTORY = f"{READ}/brc20/ordi/history"
MALFORMED, OVERSIZED, SLOW = "malformed_request", "oversized_request", "slow_request"
HOSTILE = "hostile_input"


@pytest.fixture(scope="module")
def live(cluster: Cluster, migrated_template: str) -> Iterator[Live]:
    url = cluster.new_database(migrated_template)
    index_examples(url)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(security, "BURST", 10_000)  # each attack's own line is looked for
        with serving(Settings(_env_file=None, DATABASE_URL=url, API_RATE_LIMITS="")) as live:
            yield live
            # Whatever came, the process goes on.
            assert sent(live, request("/"))[0] == 200


def request(target: str, method: str = "GET", headers: tuple[str, ...] = (), body: bytes = b"") -> bytes:
    """A request as it goes over the wire: no client mends it."""
    lines = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", *headers]
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def sent(live: Live, data: bytes) -> tuple[int, bytes]:
    """Send bytes; return status and body of the first answer. The server has to end the connection."""
    with socket.create_connection(("127.0.0.1", live.port), timeout=SOON) as connection:
        connection.sendall(data)
        received = b""
        while part := connection.recv(65_536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.1 (\d{3}) (?s:.*?)(?:\r\nx-request-id: (\w+)|$)", head)
    assert found is not None, received
    if found[2] is not None:
        wait_for_line(live, found[2].decode())
    return int(found[1]), body


def wait_for_line(live: Live, request_id: str) -> None:
    """Wait for a request's last act, which comes after its answer."""
    deadline = time.monotonic() + SOON
    while request_id not in {line["request_id"] for line in live.log.of("access")[-9:]}:
        assert time.monotonic() < deadline, "no line of the request"
        time.sleep(0.001)


def told(live: Live, data: bytes) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Send bytes; return status, body, and the security events with their details."""
    before = len(live.log.of("security"))
    status, body = sent(live, data)
    return status, body, [(line["message"], line["detail"]) for line in live.log.of("security")[before:]]


def at(place: str, text: str) -> str:
    """A target with a text in its place."""
    return place.replace("*", quote(text, safe=""))


INFO, LIMIT, OP_TYPE = f"{READ}/brc20/*/info", f"{HISTORY}?limit=*", f"{HISTORY}?op_type=*"
# What is sent, its status (0: an empty list, or 422), and what is told of it.
ATTACKS: dict[str, tuple[str, int, str]] = {
    "SQL as a ticker": (at(INFO, "' OR 1=1--"), 404, "sql"),
    "SQL as a ticker without escapes": (f"{READ}/brc20/'OR/**/1=1/info", 404, ""),
    "SQL as an address": (at(f"{READ}/address/*/history", "x'; DROP TABLE index.chain;--"), 422, "sql"),
    "SQL as a filter": (at(OP_TYPE, "' UNION SELECT digest FROM ops.api_keys--"), 0, "sql"),
    "SQL as a number": (at(LIMIT, "1;SELECT pg_sleep(9)"), 422, "sql"),
    "HTML as a ticker": (at(INFO, "<script>alert(1)</script>"), 404, "markup"),
    "HTML as a parameter": (at(LIMIT, "<img src=x onerror=alert(1)>"), 422, "markup"),
    "HTML as a path": (at("/*", "<svg/onload=alert(1)>"), 404, "markup"),
    "a path upwards": ("/../../../../etc/passwd", 404, "path traversal"),
    "a path upwards from the documentation": ("/docs/../../settings.py", 404, "path traversal"),
    "an escaped path upwards": ("/docs/..%2f..%2fsettings.py", 404, "path traversal"),
    "a path upwards that was escaped twice": ("/docs/%252e%252e%252fsettings.py", 404, "path traversal"),
    "a path upwards as a ticker": (at(INFO, "..\\..\\"), 404, "path traversal"),
    "a path upwards in overlong UTF-8": ("/docs/%c0%ae%c0%ae/settings.py", 404, "broken UTF-8"),
    "a secret file": ("/.env", 404, "path traversal"),
    "NUL as a ticker": (at(INFO, "\0"), 404, "nul"),
    "NUL as a filter": (at(f"{READ}/address/{ADDRESS}/history?ticker=*", "a\0b"), 422, "nul"),
    "NUL as a cursor": (at(f"{HISTORY}?cursor=*", "\0"), 422, "nul"),
    "NUL as a path": (at("/*", "\0"), 404, "nul"),
    "control characters": (at(INFO, "\x1b[2J"), 404, "control characters"),
    "a header in a parameter": (at(LIMIT, "1\r\nSet-Cookie: a=b"), 422, "control characters"),
    "a template": (at(LIMIT, "${jndi:ldap://x/a}"), 422, "injection"),
    "broken UTF-8 as a ticker": (f"{READ}/brc20/%ff%fe/info", 404, "broken UTF-8"),
    "broken UTF-8 as a parameter": (f"{HISTORY}?op_type=%c3%28", 0, "broken UTF-8"),
    "a huge height": (f"{READ}/state/{'9' * 400}", 422, "huge number"),
    "a huge number": (at(LIMIT, "9" * 5_000), 422, "huge number"),
    "a huge negative number": (f"{HISTORY}?skip=-{'9' * 30}", 422, "huge number"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_a_clear_answer_and_is_told_of(live: Live, name: str) -> None:
    target, expected, sign = ATTACKS[name]
    status, body, events = told(live, request(target))
    assert events == ([(HOSTILE, sign)] if sign else [])
    if expected:
        assert status == expected
        problem = json.loads(body)
        assert problem["status"] == expected
        assert problem["detail"]
    else:
        # Any text is a filter. There is just nothing of that kind.
        assert (status, body) in {(200, b"[]"), (422, body)}
    assert not re.search(rb"<script|<img|SELECT|root:|Set-Cookie", body)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=1e3", "limit"),
        ("limit=0x10", "limit"),
        ("limit=NaN", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=0", "limit"),
        ("limit[]=1&limit=%5b%5d", "limit"),
        ("include_invalid=maybe", "include_invalid"),
        ("cursor=W10", "cursor"),
        ("cursor=W1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbXV1dXV1dXV1dXV1dXV1dXV1d", "cursor"),
        (f"cursor={'W' * 5_999}", "cursor"),
    ],
)
def test_a_wrong_parameter_is_named_and_nobody_is_alarmed(live: Live, query: str, parameter: str) -> None:
    status, body, events = told(live, request(f"{HISTORY}?{query}"))
    assert (status, events) == (422, [])
    assert json.loads(body)["detail"].startswith(f"query.{parameter}: ")


def test_of_a_parameter_that_is_sent_twice_the_last_counts(live: Live) -> None:
    status, body, events = told(live, request(f"{HISTORY}?limit=0&limit=2&nothing=1&nothing=2"))
    assert (status, len(json.loads(body)), events) == (200, 2, [])


DEEP = b"[" * 8_000
WIRE: dict[str, tuple[bytes, int, str]] = {
    "an enormous query": (request(f"{HISTORY}?{'a=1&' * 4_096}"), 414, OVERSIZED),
    "an enormous path": (request("/" + "a" * 9_000), 414, OVERSIZED),
    "a header bomb": (request("/", headers=tuple(f"X-{number}: {number}" for number in range(2_000))), 431, OVERSIZED),
    "an enormous header": (request("/", headers=("X-A: " + "a" * 20_000,)), 431, OVERSIZED),
    "an enormous credential": (request("/", headers=("Authorization: Bearer " + "a" * 20_000,)), 431, OVERSIZED),
    "a long credential": (
        request("/", headers=("Authorization: Bearer " + "a" * 9_000,)),
        401,
        "authentication_failed",
    ),
    "a credential that is no text": (request("/", headers=("X-API-Key: \xff\xfe\x01",)), 400, MALFORMED),
    "a body that is too large": (request("/v1/auth/token", "POST", body=b"[" * 16_385), 413, OVERSIZED),
    "a length and chunks": (
        request("/v1/auth/token", "POST", ("Content-Length: 5", "Transfer-Encoding: chunked"), b"")
        + b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        400,
        MALFORMED,
    ),
    "two lengths": (
        request("/v1/auth/token", "POST", ("Content-Length: 5", "Content-Length: 6")) + b"hello!",
        400,
        MALFORMED,
    ),
    "a length with a sign": (request("/", "POST", ("Content-Length: +5",)) + b"hello", 400, MALFORMED),
    "a length that is none": (request("/", "POST", ("Content-Length: 0x5",)) + b"hello", 400, MALFORMED),
    "a space before the colon": (
        request("/", "POST", ("Transfer-Encoding : chunked",)) + b"0\r\n\r\n",
        400,
        MALFORMED,
    ),
    "a header over two lines": (request("/", headers=("X-A: a", " b")), 400, MALFORMED),
    "a bad chunk": (request("/", "POST", ("Transfer-Encoding: chunked",)) + b"zz\r\n", 400, MALFORMED),
    "NUL in a header": (request("/", headers=("X-A: a\x00b",)), 400, MALFORMED),
    "an unknown method": (request("/", "EVIL"), 400, MALFORMED),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, MALFORMED),
    "HTTP/2 without asking": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, MALFORMED),
    "another version of HTTP": (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400, MALFORMED),
}


@pytest.mark.parametrize("name", WIRE)
def test_what_is_no_request_in_bounds_is_refused_before_a_route_is_looked_for(live: Live, name: str) -> None:
    data, expected, event = WIRE[name]
    status, body, events = told(live, data)
    assert (status, [kind for kind, _ in events]) == (expected, [event])
    assert json.loads(body)["status"] == expected
    # One answer: nothing of what was sent passes for a second request.
    assert not re.search(rb"HTTP/1\.1 \d", body)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "POST", "CONNECT"])
def test_a_method_that_a_route_has_not_is_not_allowed(live: Live, method: str) -> None:
    target = "x:80" if method == "CONNECT" else f"{READ}/brc20/status"
    status, body, _ = told(live, request(target, method, headers=("X-Secret: hunter2",)))
    assert status in ({400, 404, 405} if method == "CONNECT" else {405})
    assert b"hunter2" not in body


def test_deep_json_is_not_even_read(live: Live) -> None:
    json_type = ("Content-Type: application/json",)
    status, body, _ = told(live, request("/v1/auth/token", "POST", json_type, DEEP))
    assert (status, json.loads(body)["detail"]) == (401, "a token is given for an API key: send one")


def test_a_forged_address_changes_nothing(live: Live) -> None:
    forged = ("X-Forwarded-For: 10.0.0.1", "X-Request-ID: chosen", "X-API-Key: nonsense")
    told(live, request("/", headers=forged))
    last = live.log.of("security")[-1]
    assert (last["client"], last["request_id"] == "chosen") == ("127.0.0.1", False)


def test_no_event_tells_what_was_sent(live: Live) -> None:
    told(live, request(f"{HISTORY}?limit={quote('<script>hunter2')}&token=hunter2"))
    assert live.log.of("security")[-1]["message"] == HOSTILE
    assert "hunter2" not in json.dumps(live.log.all)


def test_a_client_that_never_ends_its_request_is_turned_away(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_examples(database_url)
    monkeypatch.setattr(BoundedHttp, "head_seconds", 0.2)
    with serving(Settings(_env_file=None, DATABASE_URL=database_url)) as impatient:
        status, body, events = told(impatient, b"GET / HTTP/1.1\r\nX-Slow: ")
        assert (status, [kind for kind, _ in events]) == (408, [SLOW])
        assert json.loads(body)["detail"] == "the request's head did not arrive in time"


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    prefix=st.sampled_from(
        ["/", f"{READ}/brc20/", f"{READ}/address/", f"{READ}/state/", f"{HISTORY}?cursor=", "/docs/"]
    ),
    rest=st.binary(max_size=60),
    suffix=st.sampled_from(["", "/info", "/history", "/holders/all", "/tx/x/history"]),
)
def test_any_bytes_as_a_target_get_an_answer_below_500(live: Live, prefix: str, rest: bytes, suffix: str) -> None:
    status, _ = sent(live, request(prefix + quote_from_bytes(rest, safe="/?&=.;'()") + suffix))
    assert status < 500


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        (at(INFO, "ordi"), "", 200),
        (at(INFO, "nothing"), "", 404),
        (at(INFO, "🐸🐸"), "limit=1000", 200),
        (at(INFO, "a/b"), "", 404),
        (at(INFO, "50% off; select ..."), "", 404),
        (at(INFO, "rock'n'roll and so on"), "", 404),
        (at(INFO, "..a.."), "", 404),
        (at(INFO, "<3"), "", 404),
        (f"/v1/indexer/brc20/{'1' * 25}/info", "", 404),
        (f"/v1/indexer/brc20/ordi/tx/{'12' * 32}/history", "", 200),
        (at(INFO, "\x01\x02"), "", 200),
        (at(INFO, "${}"), "", 200),
        ("/v1/indexer/address/nobody/history", "", 422),
        ("/v1/indexer/brc20/list", "limit=1001", 422),
        ("/favicon.ico", "", 404),
        ("/x", "' or 1=1", 429),
    ],
)
def test_what_people_ask_for_and_mistype_is_no_attack(path: str, query: str, status: int) -> None:
    assert sign_of(path.encode(), query.encode(), status) is None


def test_a_long_target_is_looked_at_quickly() -> None:
    for part in ("'", "' or ", "<", "..", "/..", "union ", "%2527", "1"):
        target = (part * 8_192)[:8_192].encode()
        started = time.process_time()
        sign_of(target, b"", 404)
        assert time.process_time() - started < 0.05, part
