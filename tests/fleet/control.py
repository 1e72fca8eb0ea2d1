"""What tests need of the control node: its trust in the fleet's authority, and a receiver that hosts reach."""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.environment import Environment


def authority(environment: Environment) -> Path:
    """The directory of the fleet's own authority."""
    return Path(environment.drivers["certificates"].settings["directory"])


def trusting(environment: Environment) -> ssl.SSLContext:
    """Trust the fleet's authority and nobody else's."""
    return ssl.create_default_context(cafile=str(authority(environment) / "ca.pem"))


def control(environment: Environment) -> str:
    """The control node's address on the fleet's network."""
    return str(environment.drivers["hosts"].settings["from"])


def waited(what: Callable[[], bool], seconds: float) -> bool:
    """Say whether something comes true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.2)
    return what()


@contextmanager
def receiver(address: str, port: int) -> Iterator[list[tuple[str, str]]]:
    """Take what is posted: pairs of its `Authorization` and its body."""
    taken: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            taken.append((self.headers.get("Authorization", ""), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((address, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()
