"""HTTP's own limits, by raw sockets against a real server: what is too long, too slow or no HTTP is refused."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from indexer.api.protocol import BoundedHttp, bounded
from indexer.api.refusals import BodyRefusedError, whole_body

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

SOON = 5.0  # seconds within which what should happen at once has happened on a busy machine
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Server:
    """A uvicorn server in a thread of its own, and what it was asked and refused."""

    port: int = 0
    refused: list[tuple[str, str | None]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    uvicorn: uvicorn.Server | None = None

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, status, body = scope["path"], 200, b"ok"
        self.asked.append((scope["method"], path))
        if path == "/body":
            try:
                receive = await whole_body(scope, receive, seconds=0.3)
                message = await receive()
                body = b"%d bytes" % len(message["body"])
            except BodyRefusedError as error:
                status, body = error.status, str(error).encode()
        elif path == "/waiting":
            await asyncio.to_thread(self.go_on.wait, SOON)
        elif path == "/until-gone":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.gone.set()
            return
        elif path.startswith("/size/"):
            body = b"x" * int(path.removeprefix("/size/"))
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [length]})
        await send({"type": "http.response.body", "body": body})
        if path.startswith("/size/"):
            self.gone.set()
        self.headers = scope["headers"]

    def connections(self) -> int:
        assert self.uvicorn is not None
        return len(self.uvicorn.server_state.connections)


@contextmanager
def serving(listener: socket.socket | None = None, **bounds: object) -> Iterator[Server]:
    listener = listener or socket.create_server(("127.0.0.1", 0))
    made = Server(port=listener.getsockname()[1])
    protocol = bounded(lambda kind, client: made.refused.append((kind, client)))
    config = uvicorn.Config(
        made.app,
        http=type("Quick", (protocol,), bounds),
        interface="asgi3",
        proxy_headers=False,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    made.uvicorn = uvicorn.Server(config)
    thread = threading.Thread(target=made.uvicorn.run, args=([listener],))
    thread.start()
    try:
        yield made
    finally:
        made.go_on.set()
        made.uvicorn.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def usual() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(usual: Server) -> Server:
    """A server with the bounds that it has in production."""
    usual.refused.clear()
    usual.asked.clear()
    return usual


@pytest.fixture(scope="module")
def impatient() -> Iterator[Server]:
    with serving(tight(), head_seconds=0.3, body_seconds=0.3, send_seconds=0.4, linger_seconds=0.1) as server:
        yield server


@pytest.fixture
def hurried(impatient: Server) -> Server:
    """A server with short times, and with a kernel that holds little for a client that does not read."""
    impatient.refused.clear()
    impatient.asked.clear()
    impatient.go_on.clear()
    return impatient


def tight() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


@contextmanager
def connected(server: Server, **options: int) -> Iterator[socket.socket]:
    with socket.socket() as client:
        for name, value in options.items():
            client.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        client.settimeout(SOON)
        client.connect(("127.0.0.1", server.port))
        yield client


def to_the_end(client: socket.socket) -> bytes:
    """Read until the server closes."""
    parts = []
    while part := client.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def one_response(client: socket.socket) -> tuple[int, bytes]:
    """Read one response with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65_536)
        assert part, data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        part = client.recv(65_536)
        assert part, body
        body += part
    assert len(body) == length
    return int(head.split()[1]), body


def problem(data: bytes) -> dict[str, Any]:
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: application/problem+json\r\n" in head
    assert b"\r\nconnection: close" in head
    found: dict[str, Any] = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % found["status"])
    return found


def sent_until_cut_off(client: socket.socket, piece: bytes, pause: float = 0.0) -> None:
    """Send a piece again and again, until the server has had enough of it."""
    deadline = time.monotonic() + SOON
    with suppress(ConnectionError):
        while time.monotonic() < deadline:
            client.sendall(piece)
            time.sleep(pause)
        raise AssertionError("it never had enough")


def wait_until(condition: Any, within: float = SOON) -> None:  # noqa: ANN401 - a callable that gives a truth
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# What is in order


def test_requests_on_a_kept_connection_are_answered(server: Server) -> None:
    with connected(server) as client:
        for _ in range(3):
            client.sendall(GET)
            assert one_response(client) == (200, b"ok")
    assert server.refused == []


def test_a_request_in_single_bytes_is_answered(server: Server) -> None:
    with connected(server) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            for number in range(len(GET)):
                client.sendall(GET[number : number + 1])
            assert one_response(client) == (200, b"ok")
    assert server.refused == []


def test_a_chunk_full_of_requests_and_a_piece_of_one_more_is_answered(server: Server) -> None:
    with connected(server) as client:
        client.sendall(GET * 1000 + GET[:10])
        received = b""
        while received.count(b"\r\n\r\nok") < 1000:
            part = client.recv(65_536)
            assert part
            received += part
        client.sendall(GET[10:])
        assert one_response(client) == (200, b"ok")
    assert server.refused == []


def test_a_head_just_within_the_bounds_is_taken(server: Server) -> None:
    target = b"/" + b"a" * 8_191
    head = b"GET %s HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n" % (target, b"b" * 8_000)
    for pieces in (1, 7):
        with connected(server) as client:
            size = len(head) // pieces + 1
            for start in range(0, len(head), size):
                client.sendall(head[start : start + size])
                time.sleep(0.01)
            assert one_response(client) == (200, b"ok")
    assert server.refused == []


# What is too large


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize(
    ("head", "status", "kind"),
    [
        (b"GET /" + b"a" * 8_192 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long"),
        (b"GET /?" + b"a" * 1_000_000, 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 16_384 + b"\r\n\r\n", 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(2_000)) + b"\r\n", 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000, 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"a" * 1_000_000, 431, "head_too_large"),
    ],
)
def test_a_head_that_is_too_large_is_refused(
    server: Server,
    head: bytes,
    status: int,
    kind: str,
    in_pieces: bool,  # noqa: FBT001 - a parameter
) -> None:
    with connected(server) as client:
        size = 1_000 if in_pieces else len(head)
        for start in range(0, len(head), size):
            try:
                client.sendall(head[start : start + size])
            except ConnectionError:
                break  # refused long ago
        received = to_the_end(client)
    assert problem(received)["status"] == status
    assert server.refused == [(kind, "127.0.0.1")]


def test_a_head_that_is_too_large_hides_behind_no_other_request(server: Server) -> None:
    with connected(server) as client:
        client.sendall(GET + b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n")
        assert to_the_end(client).endswith(b"\r\n\r\nok")
    assert server.refused == [("head_too_large", "127.0.0.1")]
    assert len(server.asked) == 1


def test_an_endless_head_takes_no_memory_and_ends_soon(hurried: Server) -> None:
    with connected(hurried) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        sent_until_cut_off(client, b"a" * 65_536)
    assert hurried.refused == [("head_too_large", "127.0.0.1")]


# What is no HTTP


@pytest.mark.parametrize(
    "wire",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HELO example.com\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_reported_once(server: Server, wire: bytes) -> None:
    with connected(server) as client:
        client.sendall(wire)
        assert problem(to_the_end(client))["status"] == 400
    assert server.refused == [("malformed", "127.0.0.1")]
    assert server.asked == []


def test_a_chunk_that_is_none_is_refused_and_the_application_knows_it(server: Server) -> None:
    server.gone.clear()
    with connected(server) as client:
        client.sendall(b"POST /until-gone HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        wait_until(lambda: server.asked)
        client.sendall(b"zz\r\n")
        assert problem(to_the_end(client))["status"] == 400
    assert server.gone.wait(SOON)
    assert server.refused == [("malformed", "127.0.0.1")]


def test_what_came_before_the_garbage_is_answered_first(server: Server) -> None:
    server.go_on.clear()
    with connected(server) as client:
        client.sendall(b"GET /waiting HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: server.asked)
        client.sendall(b"\0garbage")
        wait_until(lambda: server.refused)
        client.sendall(b"\0garbage" * 1000)
        server.go_on.set()
        received = to_the_end(client)
    assert received.endswith(b"\r\n\r\nok")
    assert b"\r\nconnection: close\r\n" in received
    assert server.refused == [("malformed", "127.0.0.1")]


@pytest.mark.parametrize("later", [False, True])
def test_a_body_behind_an_upgrade_is_not_taken_for_a_request(
    server: Server,
    later: bool,  # noqa: FBT001 - a parameter
) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /waiting HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n"
    server.go_on.clear()
    with connected(server) as client:
        client.sendall(head % len(smuggled) + (b"" if later else smuggled))
        wait_until(lambda: server.asked)
        client.sendall(smuggled)
        server.go_on.set()
        assert to_the_end(client).count(b"HTTP/1.1") == 1
    assert server.asked == [("POST", "/waiting")]


# Time


def test_a_connection_that_says_nothing_is_closed(hurried: Server) -> None:
    with connected(hurried) as client:
        started = time.monotonic()
        assert to_the_end(client) == b""
        assert time.monotonic() - started >= 0.19
        assert hurried.refused == []


@pytest.mark.parametrize("first", [b"", GET])
def test_a_head_that_trickles_is_refused_when_its_time_is_over(hurried: Server, first: bytes) -> None:
    with connected(hurried) as client:
        if first:
            client.sendall(first)
            one_response(client)
        started = time.monotonic()
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        client.settimeout(0.02)
        received = b""
        while not received and time.monotonic() - started < SOON:
            client.sendall(b"a")
            try:
                received = client.recv(65_536)
            except TimeoutError:
                continue
        assert 0.29 <= time.monotonic() - started < SOON
        assert problem(received)["status"] == 408
        assert hurried.refused == [("head_timeout", "127.0.0.1")]


def test_a_first_byte_late_has_the_whole_time_for_the_head() -> None:
    with serving(head_seconds=0.5) as server, connected(server) as client:
        time.sleep(0.3)
        client.sendall(GET[:10])
        time.sleep(0.3)
        client.sendall(GET[10:])
        assert one_response(client) == (200, b"ok")


def test_empty_lines_keep_no_connection_open(hurried: Server) -> None:
    with connected(hurried) as client:
        sent_until_cut_off(client, b"\r\n", pause=0.02)
        wait_until(lambda: hurried.connections() == 0)


def test_an_idle_kept_connection_is_left_open(hurried: Server) -> None:
    with connected(hurried) as client:
        client.sendall(GET)
        one_response(client)
        time.sleep(0.4)
        client.sendall(GET)
        assert one_response(client) == (200, b"ok")


def test_a_long_response_is_not_cut_by_what_its_client_began_meanwhile(hurried: Server) -> None:
    with connected(hurried) as client:
        client.sendall(b"GET /waiting HTTP/1.1\r\nHost: x\r\n\r\nGET /")
        time.sleep(0.4)
        hurried.go_on.set()
        received = to_the_end(client)
        assert b"\r\n\r\nok" in received
        assert problem(received.partition(b"\r\n\r\nok")[2])["status"] == 408


# Bodies


def post(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST /body HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return post(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), b"Transfer-Encoding: chunked")


def declared(body: bytes) -> bytes:
    return post(body, b"Content-Length: %d" % len(body))


def test_a_body_within_the_bounds_reaches_the_application(server: Server) -> None:
    with connected(server) as client:
        for request in (declared(b"a" * 16_384), chunked(b"a" * 16_384), declared(b"")):
            client.sendall(request)
            status, body = one_response(client)
            assert (status, body) == (200, b"%d bytes" % (0 if request == declared(b"") else 16_384))


@pytest.mark.parametrize("size", [16_385, 500_000])
def test_a_body_that_is_too_large_is_refused_and_a_client_that_still_sends_it_learns_so(
    server: Server, size: int
) -> None:
    for request in (declared(b"a" * size), chunked(b"a" * size)):
        with connected(server) as client:
            client.sendall(request)
            status, body = one_response(client)
            assert (status, body) == (413, b"the request's body is larger than 16 KiB")
            client.sendall(GET)  # the rest was read: the connection goes on
            assert one_response(client) == (200, b"ok")


def test_a_client_that_asks_first_is_not_told_to_send_what_is_too_large(server: Server) -> None:
    with connected(server) as client:
        client.sendall(post(b"", b"Content-Length: 20000", b"Expect: 100-continue"))
        assert one_response(client)[0] == 413
        client.sendall(b"a" * 20_000 + post(b"", b"Content-Length: 2", b"Expect: 100-continue"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ab")
        assert one_response(client) == (200, b"2 bytes")


def test_a_body_that_does_not_come_is_refused_and_its_connection_closed(hurried: Server) -> None:
    with connected(hurried) as client:
        client.sendall(post(b"ab", b"Content-Length: 3"))
        assert one_response(client) == (408, b"the request's body did not arrive in time")
        assert to_the_end(client) == b""


@pytest.mark.parametrize("rest", [b"", b"a" * 100_000])
def test_the_rest_of_a_body_after_its_answer_keeps_no_connection_open(hurried: Server, rest: bytes) -> None:
    with connected(hurried) as client:
        client.sendall(post(b"", b"Content-Length: 100000"))
        assert one_response(client)[0] == 413
        client.sendall(rest)
        assert to_the_end(client) == b""


@pytest.mark.parametrize("path", [b"/", b"/body"])
def test_what_follows_a_head_is_not_read_without_end(hurried: Server, path: bytes) -> None:
    chunks = b"Transfer-Encoding: chunked\r\n\r\n"
    endless = [
        (b"Content-Length: 999999999\r\n\r\n", b"a" * 65_536),
        (chunks, b"1\r\na\r\n" * 10_000),
        (chunks + b"1;", b"a" * 65_536),
        (chunks + b"0\r\nX: ", b"a" * 65_536),
    ]
    for beginning, more in endless:
        with connected(hurried) as client:
            client.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + beginning)
            sent_until_cut_off(client, more)
    wait_until(lambda: hurried.connections() == 0)


def test_trailers_do_not_reach_an_application_that_has_begun(server: Server) -> None:
    with connected(server) as client:
        client.sendall(post(b"1\r\na\r\n0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", b"Transfer-Encoding: chunked"))
        assert one_response(client) == (200, b"1 bytes")
    assert dict(server.headers).get(b"x-forwarded-for") is None


# Clients that do not read


def test_a_client_that_does_not_read_is_cut_off(hurried: Server) -> None:
    with connected(hurried, SO_RCVBUF=4096) as client:
        client.sendall(b"GET /size/3000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: hurried.refused)
        assert hurried.refused == [("slow_reader", "127.0.0.1")]
        wait_until(lambda: hurried.connections() == 0)
        assert len(to_the_end(client)) < 3_000_000


def test_a_client_that_reads_slowly_gets_everything(hurried: Server) -> None:
    with connected(hurried, SO_RCVBUF=4096) as client:
        client.sendall(b"GET /size/150000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = 0
        while part := client.recv(3000):
            received += len(part)
            time.sleep(0.005)
        assert received > 150_000
        assert hurried.refused == []


def test_a_response_that_nobody_reads_holds_no_closed_connection(hurried: Server) -> None:
    with connected(hurried, SO_RCVBUF=4096) as client:
        client.sendall(b"GET /size/60000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        wait_until(lambda: hurried.refused)
        assert hurried.refused == [("slow_reader", "127.0.0.1")]
        wait_until(lambda: hurried.connections() == 0)


def test_a_head_that_nobody_finishes_behind_a_response_that_nobody_reads_holds_nothing(hurried: Server) -> None:
    with connected(hurried, SO_RCVBUF=4096) as client:
        client.sendall(b"GET /size/60000 HTTP/1.1\r\nHost: x\r\n\r\nGET /")
        wait_until(lambda: hurried.refused)
        wait_until(lambda: hurried.connections() == 0)


# The end


def test_a_stop_answers_what_is_in_flight() -> None:
    with serving() as server, connected(server) as client, connected(server) as idle:
        client.sendall(b"GET /waiting HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: server.asked)
        assert server.uvicorn is not None
        server.uvicorn.should_exit = True
        assert to_the_end(idle) == b""
        server.go_on.set()
        assert to_the_end(client).endswith(b"\r\n\r\nok")


def test_the_bounds_are_those_that_the_documentation_names() -> None:
    assert (BoundedHttp.longest_target, BoundedHttp.largest_head) == (8_192, 16_384)
    assert (BoundedHttp.head_seconds, BoundedHttp.body_seconds, BoundedHttp.send_seconds) == (10, 10, 30)
