"""A real PostgreSQL for a test session, and a fresh database for each test that asks."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import psycopg

from infra.local.components.postgresql import binary, unprivileged

if TYPE_CHECKING:
    from types import TracebackType

START_SECONDS = 30


@dataclass
class Cluster:
    """A server on a free loopback port. Durability is off: what a kill of the server loses is not tested on it."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    settings: ClassVar[dict[str, str]] = {
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "max_connections": "60",
    }

    @classmethod
    def create(cls) -> Self:
        directory = Path(tempfile.mkdtemp(prefix="simplicity-pg-"))
        command = [*unprivileged(), binary("initdb"), "-D", str(directory / "data"), "-U", "postgres"]
        subprocess.run(
            [*command, "--locale=C", "--encoding=UTF8", "--auth=trust", "--no-sync"], check=True, capture_output=True
        )
        cluster = cls(directory, free_port())
        cluster.start()
        return cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def start(self) -> None:
        listening = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        flags = [part for name, value in (listening | self.settings).items() for part in ("-c", f"{name}={value}")]
        log = (self.directory / "log").open("ab")
        self.process = subprocess.Popen(
            [*unprivileged(), binary("postgres"), "-D", str(self.directory / "data"), *flags],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log.close()
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start"

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(2)  # fast shutdown
            self.process.wait(30)
        self.process = None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str | None = None) -> str:
        """Make a database and return its URL; the cluster takes it away with itself."""
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return self.url(name)

    def _answers(self) -> bool:
        command = [binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]
        return subprocess.run(command, check=False, env=dict(os.environ)).returncode == 0


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
