"""The balancer on real connections, before two servers that do as a test tells them."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from infra.local.components import haproxy
from infra.local.components.api import READY
from infra.local.layout import layout
from infra.local.tools import locate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STREAM = "/v1/indexer/events"
PERSONAL = {"RateLimit": '"read";r=5', "RateLimit-Policy": '"read";q=600;w=60', "X-Request-ID": "theirs"}
CACHEABLE = PERSONAL | {"Cache-Control": "public, max-age=30", "ETag": '"tip"', "Cache-Status": "api; fwd=miss"}


@dataclass
class Server:
    """One server behind the balancer: what it was asked, and how it answers.

    `headers` go with each answer; with `breaks` it closes the connection without one.
    """

    number: int
    ready: bool = True
    breaks: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)


class Listening(ThreadingHTTPServer):
    daemon_threads = True  # a stream that the balancer keeps open must not keep the test

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.told = Server(self.server_address[1])

    def handle_error(self, *_: object) -> None:
        pass  # the balancer may close a connection at any moment


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listening

    def do_GET(self) -> None:
        told = self.server.told
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == READY:
            self.answer(200 if told.ready else 503, b"")
            return
        told.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        if told.breaks:
            self.close_connection = True
        elif self.path == STREAM:
            self.stream(told.gone)
        else:
            self.answer(200, str(told.number).encode())

    do_POST = do_GET  # noqa: N815 - the base class finds it by name

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        for name, value in self.server.told.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, gone: threading.Event) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.close_connection = True
        while not gone.wait(0.5):
            self.wfile.write(b"data: %f\n\n" % time.monotonic())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    with Listening() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.told
        finally:
            server.told.gone.set()
            server.shutdown()
            thread.join()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        number: int = probe.getsockname()[1]
        return number


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


@dataclass
class Balancer:
    port: int
    metrics: int
    output: Path

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request(method, path, headers={name.replace("_", "-"): v for name, v in headers.items()})
            answer = connection.getresponse()
            return Answer(
                answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode("utf-8", "replace")
            )

    def measured(self, text: str) -> float:
        """The sum of the series whose name and labels begin with `text`."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.metrics, timeout=5)) as connection:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(text))

    def ready(self) -> int:
        return sum(
            int(self.measured(f'haproxy_server_check_status{{proxy="api",server="{name}",state="L7OK"}}'))
            for name in ("api-1", "api-2")
        )

    def wait_ready(self, count: int) -> None:
        deadline = time.monotonic() + 5
        while self.ready() != count:
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.02)

    def logged(self) -> dict[str, object]:
        """The first request in the log; it is written when its connection ends, a moment after the answer."""
        deadline = time.monotonic() + 5
        while not (lines := [line for line in self.output.read_text().splitlines() if line.endswith("}")]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        found: dict[str, object] = json.loads(lines[0])
        return found


@pytest.fixture(scope="module")
def program() -> Path:
    return locate("haproxy", layout().tools)


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    with serving() as one, serving() as two:
        yield one, two


@contextmanager
def balancing(
    program: Path, folder: Path, servers: tuple[Server, Server], changes: Mapping[str, str] | None = None
) -> Iterator[Balancer]:
    """The balancer for the time of a `with`; `changes` replace words of its configuration."""
    made = Balancer(free_port(), free_port(), folder / "output")
    text = haproxy.configuration(made.port, made.metrics, {"api-1": servers[0].number, "api-2": servers[1].number})
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    (folder / haproxy.CONFIG).write_text(text)
    with made.output.open("wb") as output, ExitStack() as stack:
        process = subprocess.Popen([program, "-db", "-f", haproxy.CONFIG], cwd=folder, stdout=output, stderr=output)
        stack.callback(process.wait, 10)
        stack.callback(process.terminate)
        deadline = time.monotonic() + 5
        while True:
            assert process.poll() is None, made.output.read_text()
            try:
                made.ready()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        yield made


@pytest.fixture
def balancer(program: Path, tmp_path: Path, servers: tuple[Server, Server]) -> Iterator[Balancer]:
    with balancing(program, tmp_path, servers) as made:
        yield made


def asked(servers: tuple[Server, Server]) -> list[tuple[str, str, dict[str, str]]]:
    return servers[0].asked + servers[1].asked


def test_the_configuration_is_valid_and_warns_of_nothing(program: Path, tmp_path: Path) -> None:
    text = haproxy.configuration(free_port(), free_port(), {"api-1": free_port(), "api-2": free_port()})
    (tmp_path / haproxy.CONFIG).write_text(text)
    done = subprocess.run([program, "-c", "-f", haproxy.CONFIG], check=False, capture_output=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_control_socket_is_the_owners_alone(balancer: Balancer) -> None:
    assert (balancer.output.parent / "haproxy.sock").stat().st_mode & 0o777 == 0o600


def test_both_servers_get_requests_and_the_address_that_a_client_invents_never_reaches_them(
    balancer: Balancer, servers: tuple[Server, Server]
) -> None:
    for _ in range(6):
        balancer.ask("/x", X_Forwarded_For="6.6.6.6", Forwarded="for=6.6.6.6")
    assert servers[0].asked
    assert servers[1].asked
    for _, _, headers in asked(servers):
        assert headers["x-forwarded-for"] == "127.0.0.1"
        assert "forwarded" not in headers


def test_a_request_has_one_id_from_the_client_to_the_server_and_back(
    balancer: Balancer, servers: tuple[Server, Server]
) -> None:
    own = balancer.ask("/x", X_Request_ID="mine-1")
    made = balancer.ask("/x")
    seen = [headers["x-request-id"] for _, _, headers in asked(servers)]
    assert own.headers["x-request-id"] == "mine-1"
    assert len(made.headers["x-request-id"]) == 36
    assert sorted(seen) == sorted(["mine-1", made.headers["x-request-id"]])


def test_what_may_be_cached_is_served_to_others_without_what_was_the_first_ones_own(
    balancer: Balancer, servers: tuple[Server, Server]
) -> None:
    for server in servers:
        server.headers = CACHEABLE
    first = balancer.ask("/x?limit=5", X_Request_ID="first")
    assert {name: first.headers[name.lower()] for name in PERSONAL} == PERSONAL
    second = balancer.ask("/x?limit=5", X_Request_ID="second")
    assert len(asked(servers)) == 1
    assert second.body == first.body
    assert second.headers["x-request-id"] == "second"
    assert not {"ratelimit", "ratelimit-policy"} & set(second.headers)
    assert int(second.headers["age"]) <= 1
    assert (first.headers["cache-status"], second.headers["cache-status"]) == ("api; fwd=miss", "haproxy; hit")
    assert balancer.ask("/x?limit=5", If_None_Match='"tip"').status == 304
    balancer.ask("/x?limit=6")
    assert len(asked(servers)) == 2, "another query is another answer"


@pytest.mark.parametrize("header", ["Authorization", "X_API_Key"])
def test_who_names_himself_neither_gets_a_cached_answer_nor_leaves_one(
    balancer: Balancer, servers: tuple[Server, Server], header: str
) -> None:
    for server in servers:
        server.headers = CACHEABLE
    for named in (True, False, True, False):
        balancer.ask("/x", **({header: "Bearer x"} if named else {}))
    assert len(asked(servers)) == 3, "only the second anonymous request was served from the cache"


@pytest.mark.parametrize(
    "headers", [CACHEABLE | {"Cache-Control": "no-store"}, PERSONAL, CACHEABLE | {"Set-Cookie": "a=b"}]
)
def test_what_the_api_does_not_let_be_cached_is_not(
    balancer: Balancer, servers: tuple[Server, Server], headers: Mapping[str, str]
) -> None:
    for server in servers:
        server.headers = headers
    balancer.ask("/x")
    balancer.ask("/x")
    assert len(asked(servers)) == 2


def test_a_read_that_a_dying_server_drops_is_asked_of_the_other_and_counted(
    balancer: Balancer, servers: tuple[Server, Server]
) -> None:
    servers[0].breaks = True
    answers = [balancer.ask("/x") for _ in range(6)]
    assert {answer.status for answer in answers} == {200}
    assert {answer.body for answer in answers} == {str(servers[1].number)}
    assert balancer.measured("haproxy_server_retry_warnings_total") == len(servers[0].asked) > 0
    line = balancer.logged()
    assert (line["path"], line["status_code"], line["retries"]) == ("/x", 200, "+1")


def test_what_may_change_something_is_not_sent_twice(balancer: Balancer, servers: tuple[Server, Server]) -> None:
    for server in servers:
        server.breaks = True
    answer = balancer.ask("/v1/auth/token", "POST", X_Request_ID="once")
    assert len(asked(servers)) == 1
    assert answer.status == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "once"
    assert json.loads(answer.body)["status"] == 502


def test_a_server_that_is_not_ready_gets_no_requests_and_when_none_is_all_are_asked_all_the_same(
    balancer: Balancer, servers: tuple[Server, Server]
) -> None:
    balancer.wait_ready(2)
    servers[0].ready = False
    balancer.wait_ready(1)
    assert {balancer.ask("/x").body for _ in range(6)} == {str(servers[1].number)}
    servers[1].ready = False
    balancer.wait_ready(0)
    assert {balancer.ask("/x").status for _ in range(6)} == {200}
    assert servers[0].asked, "a stale answer says more than none"


def test_where_nobody_listens_the_answer_is_an_honest_problem_within_a_second(program: Path, tmp_path: Path) -> None:
    with balancing(program, tmp_path, (Server(free_port()), Server(free_port()))) as balancer:
        balancer.wait_ready(0)
        began = time.monotonic()
        answer = balancer.ask("/x")
        assert time.monotonic() - began < 1
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.headers["x-request-id"]) == 36


@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "/health/detailed"])
def test_what_is_for_operators_is_refused_to_the_outside(
    program: Path, tmp_path: Path, servers: tuple[Server, Server], path: str
) -> None:
    with balancing(program, tmp_path, servers, {"127.0.0.0/8": "192.0.2.0/24"}) as balancer:
        answer = balancer.ask(path)
    assert (answer.status, json.loads(answer.body)["title"]) == (403, "Forbidden")
    assert asked(servers) == []


def test_what_is_for_operators_is_open_on_this_machine(balancer: Balancer) -> None:
    assert balancer.ask("/metrics").status == 200


def test_a_head_that_arrives_byte_by_byte_is_cut_off(
    program: Path, tmp_path: Path, servers: tuple[Server, Server]
) -> None:
    with (
        balancing(program, tmp_path, servers, {"http-request 10s": "http-request 300ms"}) as balancer,
        closing(socket.create_connection(("127.0.0.1", balancer.port), 5)) as slow,
    ):
        began = time.monotonic()
        slow.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < 2
    assert asked(servers) == []


def test_events_come_at_once_and_for_longer_than_any_other_answer_may_take(
    program: Path, tmp_path: Path, servers: tuple[Server, Server]
) -> None:
    shorter = {"client 30s": "client 300ms", "server 45s": "server 300ms"}
    with (
        balancing(program, tmp_path, servers, shorter) as balancer,
        closing(http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=5)) as connection,
    ):
        connection.request("GET", STREAM)
        stream = connection.getresponse()
        for _ in range(2):
            sent = float(stream.readline().removeprefix(b"data: "))
            assert stream.readline() == b"\n"
            assert time.monotonic() - sent < 0.15


def test_a_path_of_odd_characters_is_one_line_of_json_in_the_log(
    balancer: Balancer, servers: tuple[Server, Server]
) -> None:
    for server in servers:
        server.breaks = True
    with closing(socket.create_connection(("127.0.0.1", balancer.port), 5)) as raw:
        raw.sendall(b'GET /a"b\\c%0a\'? HTTP/1.1\r\nHost: x\r\nX-Request-ID: q"\\\r\nConnection: close\r\n\r\n')
        while raw.recv(1000):
            pass
    line = balancer.logged()
    assert (line["path"], line["request_id"]) == ("/a\"b\\c%0a'", 'q"\\')
