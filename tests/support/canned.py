"""An HTTP server on the loopback address that says what a test wants it to say."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Canned:
    """Answers by path, each a status and a text or what becomes JSON; other paths are not found."""

    url: str
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)


@contextmanager
def canned(answers: dict[str, tuple[int, object]] | None = None) -> Iterator[Canned]:
    """Serve for the time of a `with`; the answers may be changed meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = made.answers.get(self.path, (404, ""))
            body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the base class finds it by name

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Canned(f"http://127.0.0.1:{server.server_address[1]}", answers or {})
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
