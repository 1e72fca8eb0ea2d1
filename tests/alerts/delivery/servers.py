"""A real Alertmanager, and the small servers that its messages come to: HTTP, and SMTP for mail."""

from __future__ import annotations

import json
import socket
import socketserver
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx2

from infra.local.layout import layout
from infra.local.tools import locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

START_SECONDS = 20.0
# The longest that any message is waited for: Alertmanager's own pace is scaled down to seconds in these tests.
DELIVERY_SECONDS = 30.0


@dataclass
class Inbox:
    """What a server got, in order; `refuse` is how many of the next requests it answers with 500."""

    refuse: int = 0
    messages: list[Any] = field(default_factory=list)
    refused: list[Any] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, message: Any) -> bool:  # noqa: ANN401 - JSON or mail
        """Keep a message; False where it is to be refused."""
        with self.arrived:
            taken = self.refuse <= 0
            self.refuse -= not taken
            (self.messages if taken else self.refused).append(message)
            self.arrived.notify_all()
            return taken

    def wait(self, wanted: Callable[[Any], bool], *, within: float = DELIVERY_SECONDS) -> Any:  # noqa: ANN401 - as above
        """Return the first message that is wanted, at the latest after `within` seconds."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: any(wanted(each) for each in self.messages), within), self.messages
            return next(each for each in self.messages if wanted(each))


@dataclass(frozen=True)
class Http:
    """An HTTP server of one inbox a path; messages are {"path", "headers", "body"}."""

    url: str
    inboxes: dict[str, Inbox]


@contextmanager
def http_server(*paths: str) -> Iterator[Http]:
    inboxes = {path: Inbox() for path in paths}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = {"path": self.path, "headers": dict(self.headers), "body": body}
            taken = self.path in inboxes and inboxes[self.path].take(message)
            answer = b"ok" if taken else b"not now"
            # PagerDuty's API answers 202.
            self.answer((202 if self.path.endswith("/enqueue") else 200) if taken else 500, answer)

        def do_GET(self) -> None:
            # What a page may say that is none of Alertmanager's: JSON of another kind, or none.
            self.answer(200, b'{"alerts": []}' if self.path.endswith("/alerts") else b"hello")

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: messages are looked at in the inboxes."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with _serving(server):
        yield Http(f"http://127.0.0.1:{server.server_port}", inboxes)


@dataclass(frozen=True)
class Smtp:
    """An SMTP server that wants a login; messages are {"login", "sender", "to", "text"}."""

    address: str
    inbox: Inbox


@contextmanager
def smtp_server() -> Iterator[Smtp]:
    inbox = Inbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            _speak_smtp(self, inbox)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with _serving(server):
        yield Smtp(f"127.0.0.1:{server.server_address[1]}", inbox)


def _speak_smtp(connection: socketserver.StreamRequestHandler, inbox: Inbox) -> None:
    def say(line: str) -> None:
        connection.wfile.write(f"{line}\r\n".encode())

    message: dict[str, Any] = {"to": []}
    say("220 test")
    while raw := connection.rfile.readline():
        line = raw.decode().strip()
        match line.split()[0].upper():
            case "EHLO" | "HELO":
                say("250-test")
                say("250 AUTH PLAIN")
            case "AUTH":
                message["login"] = line.split()[2]
                say("235 welcome")
            case "MAIL":
                message["sender"] = line
                say("250 ok")
            case "RCPT":
                message["to"].append(line)
                say("250 ok")
            case "DATA":
                say("354 go on")
                lines = iter(connection.rfile.readline, b".\r\n")
                message["text"] = b"".join(lines).decode()
                say("250 kept" if inbox.take(message) else "451 not now")
            case "QUIT":
                say("221 bye")
                return
            case _:
                say("250 ok")


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Server:
    """A server of ours that runs for a test: its URL, process id and log."""

    url: str
    pid: int
    log: Path

    def post(self, *alerts: Mapping[str, Any]) -> None:
        """Send alerts as Prometheus does."""
        httpx2.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=10, trust_env=False).raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = httpx2.get(f"{self.url}/api/v2/alerts", timeout=30, trust_env=False).json()
        return answer

    def status(self) -> str:
        """Return its page of status, with the configuration as it shows it."""
        return httpx2.get(f"{self.url}/api/v2/status", timeout=10, trust_env=False).text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def alertmanager(home: Path, configuration: str) -> Iterator[Server]:
    """Run Alertmanager with this configuration; whatever it leaves is below `home`."""
    file = home / "alertmanager.yaml"
    file.write_text(configuration)
    port = free_port()
    command = [
        str(locate("alertmanager", layout().tools)),
        f"--config.file={file}",
        f"--storage.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=debug",
    ]
    with process(command, f"http://127.0.0.1:{port}", home / "alertmanager.log") as running:
        yield running


@contextmanager
def prometheus(home: Path, rules: str) -> Iterator[Server]:
    """Run Prometheus, which scrapes nothing, with these rules."""
    (home / "rules.yaml").write_text(rules)
    (home / "prometheus.yaml").write_text("global: {evaluation_interval: 1s}\nrule_files: [rules.yaml]\n")
    port = free_port()
    command = [
        str(locate("prometheus", layout().tools)),
        f"--config.file={home / 'prometheus.yaml'}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with process(command, f"http://127.0.0.1:{port}", home / "prometheus.log") as running:
        yield running


@contextmanager
def process(command: list[str], url: str, log: Path) -> Iterator[Server]:
    with log.open("wb") as target, subprocess.Popen(command, stdout=target, stderr=target, cwd=log.parent) as running:
        try:
            until(lambda: _ready(url, running, log), within=START_SECONDS)
            yield Server(url, running.pid, log)
        finally:
            running.terminate()
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()


def _ready(url: str, running: subprocess.Popen[bytes], log: Path) -> bool:
    assert running.poll() is None, log.read_text()
    try:
        return httpx2.get(f"{url}/-/ready", timeout=1, trust_env=False).is_success
    except httpx2.HTTPError:
        return False


def until(happens: Callable[[], bool], *, within: float) -> None:
    """Look again and again until something has happened."""
    deadline = time.monotonic() + within
    while not happens():
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.05)
