"""Whatever is at the other end: bounded answers, one clear line for each way to fail, and the next request is clean."""

from __future__ import annotations

import socket
import socketserver
import threading
from typing import TYPE_CHECKING, Any

import pytest

from indexer.bitcoin import connection as connection_module
from indexer.bitcoin.connection import Answer, Connection, TooLargeError
from indexer.bitcoin.rpc import NodeUnavailableError, RpcClient

if TYPE_CHECKING:
    from collections.abc import Iterator

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
LIMIT = 1000


class Wire(socketserver.ThreadingTCPServer):
    """Answers each request with the next of the bytes given; after None it closes the connection."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[bytes | None] = []
        self.requests: list[bytes] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's types
        """Say nothing: clients go away here."""


class _Handler(socketserver.StreamRequestHandler):
    server: Wire

    def handle(self) -> None:
        self.server.connections += 1
        while line := self.rfile.readline():
            head = line
            while (line := self.rfile.readline()) not in {b"\r\n", b""}:
                head += line
            lengths = [part.split(b":")[1] for part in head.splitlines() if part.startswith(b"Content-Length")]
            self.server.requests.append(head + self.rfile.read(int(lengths[0]) if lengths else 0))
            answer = self.server.answers.pop(0)
            # Taken before writing: a client that has read enough may ask again, elsewhere, while this still writes.
            last = self.server.answers[:1] == [None]
            if last:
                self.server.answers.pop(0)
            if answer is not None:
                self.wfile.write(answer)
            if last or answer is None:
                return


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def connection(wire: Wire) -> Iterator[Connection]:
    found = Connection(wire.url, 5)
    yield found
    found.close()


def ask(connection: Connection) -> Answer:
    return connection.exchange("GET", "/", None, {}, limit=LIMIT)


def test_requests_share_a_connection(wire: Wire, connection: Connection) -> None:
    wire.answers = [FINE] * 3
    assert [ask(connection) for _ in range(3)] == [Answer(200, b"fine")] * 3
    assert wire.connections == 1


def test_a_connection_that_the_node_closed_while_idle_is_opened_again(wire: Wire, connection: Connection) -> None:
    wire.answers = [FINE, None, FINE]
    assert ask(connection) == ask(connection) == Answer(200, b"fine")
    assert wire.connections == 2


def test_a_node_that_closes_every_connection_unanswered_is_not_asked_for_ever(wire: Wire) -> None:
    wire.answers = [None, None, None]
    client = RpcClient(wire.url)
    with pytest.raises(NodeUnavailableError, match=r"cannot be reached \(Remote end closed"):
        client.get("/", limit=LIMIT)
    assert len(wire.requests) == 1
    client.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1000,
    ],
    ids=["with its length", "in chunks", "to the end"],
)
def test_an_answer_as_large_as_allowed_is_read_whole(wire: Wire, connection: Connection, answer: bytes) -> None:
    wire.answers = [answer, None] if answer.startswith(b"HTTP/1.0") else [answer]
    assert ask(connection) == Answer(200, b"x" * 1000)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 18 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1001,
    ],
    ids=["by its length", "by an absurd length", "in chunks", "to the end"],
)
def test_a_larger_answer_is_refused_and_the_next_request_starts_afresh(
    wire: Wire, connection: Connection, answer: bytes
) -> None:
    wire.answers = [answer, None, FINE]
    with pytest.raises(TooLargeError):
        ask(connection)
    assert ask(connection) == Answer(200, b"fine")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nshort\r\n",
        b"220 mail.example.com ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
    ids=["cut short", "a cut chunk", "a chunk of no length", "no HTTP", "headers without end"],
)
def test_an_answer_that_is_no_whole_http_is_said_in_one_line(wire: Wire, answer: bytes) -> None:
    wire.answers = [answer, None, FINE]
    client = RpcClient(wire.url, timeout=5)
    with pytest.raises(NodeUnavailableError, match="did not answer with whole HTTP") as caught:
        client.get("/", limit=LIMIT)
    assert len(str(caught.value)) < 400
    assert client.get("/", limit=LIMIT) == Answer(200, b"fine")
    client.close()


def test_a_node_that_says_nothing_is_not_waited_for_longer_than_set(wire: Wire) -> None:
    wire.answers = [b"", FINE]
    client = RpcClient(wire.url, timeout=0.2)
    with pytest.raises(NodeUnavailableError, match="did not answer in time"):
        client.get("/", limit=LIMIT)
    assert client.get("/", limit=LIMIT) == Answer(200, b"fine")
    client.close()


def test_an_answer_that_trickles_is_given_up(
    wire: Wire, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "PATIENCE", -1)
    wire.answers = [FINE]
    with pytest.raises(TimeoutError, match="trickles"):
        ask(connection)


def test_path_and_query_of_the_url_reach_the_node_whole(wire: Wire) -> None:
    wire.answers = [FINE]
    found = Connection(f"{wire.url}/v2/k%20ey/\u00e9?token=a b", 5)
    assert not found.root
    found.exchange("POST", found.target, b"{}", {}, limit=LIMIT)
    assert wire.requests[0].startswith(b"POST /v2/k%20ey/%C3%A9?token=a%20b HTTP/1.1\r\n")
    found.close()


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://node", True),
        ("http://node/", True),
        ("https://node:8332", True),
        ("http://node/key", False),
        ("http://node?key", False),
    ],
)
def test_a_url_without_a_path_is_a_nodes_root(url: str, root: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert Connection(url, 1).root is root


def test_tls_to_something_that_speaks_none_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_in_plain() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                accepted.recv(65536)

        thread = threading.Thread(target=answer_in_plain)
        thread.start()
        client = RpcClient(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=5)
        with pytest.raises(NodeUnavailableError, match=r"cannot be reached \(\[SSL"):
            client.get("/", limit=LIMIT)
        client.close()
        thread.join()


def test_where_nobody_listens_the_connection_says_so() -> None:
    with pytest.raises(ConnectionRefusedError):
        ask(Connection("http://127.0.0.1:1", 1))
