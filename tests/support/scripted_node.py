"""A node that answers as a test tells it to, by JSON-RPC and by REST."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from indexer.bitcoin.rpc import RpcError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Page(NamedTuple):
    status: int
    body: bytes


NO_PAGE = Page(404, b"")


class ScriptedNode(ThreadingHTTPServer):
    """`answer` gets a method and its parameters, and returns a result or raises RpcError; `pages` are for GET."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: Callable[..., Any] = lambda *_: None
        self.pages: dict[str, Page] = {}
        self.requests: list[Any] = []  # what was posted, and the paths asked for

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def reply(self, call: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": self.answer(call["method"], *call["params"]), "error": None, "id": call["id"]}
        except RpcError as error:
            return {"result": None, "error": {"code": error.code, "message": error.message}, "id": call["id"]}


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedNode
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        many = isinstance(request, list)
        answer: Any = [self.server.reply(call) for call in request] if many else self.server.reply(request)
        self._send(Page(200, json.dumps(answer).encode()))

    def do_GET(self) -> None:
        assert "Authorization" not in self.headers
        self.server.requests.append(self.path)
        self._send(self.server.pages.get(self.path, NO_PAGE))

    def _send(self, page: Page) -> None:
        self.send_response(page.status)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def scripted_node() -> Iterator[ScriptedNode]:
    """Serve for the time of a `with`."""
    with ScriptedNode() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
