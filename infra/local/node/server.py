"""The HTTP front: Basic authentication, limits on size, time and connections, one thread a connection."""

from __future__ import annotations

import base64
import binascii
import hmac
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.local.node.rest import Rest
    from infra.local.node.rpc import Dispatcher

# bitcoind's own limits: 32 MiB a request (a block of 4 MB is 8 MB of hexadecimal), 30 s to send it.
MAX_BODY = 32 * 1024 * 1024
SOCKET_TIMEOUT = 30
# Far more than the envelope opens; keeps a client that leaks connections from taking every thread.
MAX_CONNECTIONS = 200
# bitcoind waits as long, so that guessing passwords is slow.
_WRONG_PASSWORD_DELAY = 0.25


@dataclass(frozen=True, slots=True)
class Credentials:
    """The users that may call: `user:password` of the options (if set) and the cookie's."""

    accepted: tuple[bytes, ...]

    def allow(self, header: str) -> bool:
        """Return whether an Authorization header names one of them; compares in constant time."""
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return any(hmac.compare_digest(given, known) for known in self.accepted)


class RpcServer(ThreadingHTTPServer):
    """Listens on one address: authorised bodies go to the dispatcher, other paths to REST where it is on."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], dispatcher: Dispatcher, credentials: Credentials, rest: Rest | None = None
    ) -> None:
        self.dispatcher = dispatcher
        self.credentials = credentials
        self.rest = rest
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._idle = threading.Condition()
        self._answering = 0
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's types
        """Start a thread for the connection, or close it when there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Serve the connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count an answer as under way."""
        with self._idle:
            self._answering += 1
        try:
            yield
        finally:
            with self._idle:
                self._answering -= 1
                self._idle.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait until every answer under way has left, at most so long."""
        with self._idle:
            self._idle.wait_for(lambda: self._answering == 0, seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Say nothing: a client that went away or sent garbage is no event of the node's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SOCKET_TIMEOUT
    disable_nagle_algorithm = True
    # Head and body leave in one segment.
    wbufsize = 64 * 1024
    server: RpcServer

    def do_POST(self) -> None:
        """Answer one JSON-RPC request or batch."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self._refuse(411, "Length Required")
            return
        if int(length[:12]) > MAX_BODY:
            self._refuse(413, "Request body too large")
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return
        if not self._speaks_json_rpc():
            self._answer_rest()
            return
        if not self.server.credentials.allow(self.headers.get("Authorization", "")):
            time.sleep(_WRONG_PASSWORD_DELAY if "Authorization" in self.headers else 0)
            self._send(401, b"", {"WWW-Authenticate": 'Basic realm="jsonrpc"'})
            return
        with self.server.answering():
            reply = self.server.dispatcher.handle(body)
            self._send(reply.status, reply.body, {"Content-Type": "application/json"} if reply.body else {})

    def do_GET(self) -> None:
        """Answer by REST; the RPC is spoken by POST alone."""
        if self._speaks_json_rpc():
            self._refuse(405, "JSONRPC server handles only POST requests")
            return
        # A body here would be one that nobody reads.
        self.close_connection |= "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
        self._answer_rest()

    do_HEAD = do_PUT = do_GET  # noqa: N815 - the base class finds them by name

    def do_DELETE(self) -> None:
        """Refuse: bitcoind knows no such method on any path."""
        self._refuse(405, "")

    do_OPTIONS = do_PATCH = do_DELETE  # noqa: N815 - as above

    def _speaks_json_rpc(self) -> bool:
        return self.path == "/" or self.path.startswith("/wallet/")

    def _answer_rest(self) -> None:
        with self.server.answering():
            answer = self.server.rest.answer(self.path) if self.server.rest else None
            if answer is None:
                self._send(404, b"", {})
            else:
                self._send(answer.status, answer.body, {"Content-Type": answer.type})

    def _refuse(self, status: int, reason: str) -> None:
        # What follows on this connection may be a body that nobody read.
        self.close_connection = True
        self._send(status, reason.encode(), {"Connection": "close"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the base class fixes the signature
        """Log no access lines: an indexer makes thousands of requests a second."""


def bound_port(server: RpcServer) -> int:
    """Return the port that the server listens on."""
    address: tuple[Any, ...] = server.socket.getsockname()
    return int(address[1])
