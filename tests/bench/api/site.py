"""What runs while it is measured: database, Valkey, a node that can hang, the API and what it is compared with."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from indexer.auth.keys import Digester, new_key
from tests.bench.api import kept, metrics
from tests.bench.api.data import block_hash
from tests.bench.runner import ROOT
from tests.support.processes import running
from tests.support.scripted_node import scripted_node
from tests.support.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.api.data import Shape
    from tests.bench.cluster import DurableCluster
    from tests.support.scripted_node import ScriptedNode

KEYS = 1_000
START_SECONDS = 30
NO_LIMIT = "100000000/minute"  # is counted, and never reached
CLASSES = ("read", "bulk", "stream", "auth", "other")


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers on a port."""

    port: int
    pid: int


@dataclass
class Node:
    """A Bitcoin node that says where its chain stands, and hangs while it is told to."""

    server: ScriptedNode
    tip: int
    _answers: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.server.answer = self._answer
        # Who was kept waiting has gone when the answer comes, which is no news.
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._answers.set()

    def hang(self) -> None:
        self._answers.clear()

    def resume(self) -> None:
        self._answers.set()

    def _answer(self, *_: object) -> dict[str, Any]:
        self._answers.wait()
        return {"chain": "main", "blocks": self.tip, "bestblockhash": block_hash(self.tip)[::-1].hex()}


@dataclass(frozen=True)
class Site:
    """All that the API needs, and the API keys that it knows. `extra` settings go to every API."""

    folder: Path
    shape: Shape
    cluster: DurableCluster
    valkey: Valkey
    node: Node
    extra: dict[str, str]
    pepper: str
    keys: list[str]

    @property
    def database(self) -> str:
        return self.cluster.url(kept.DATABASE)

    @contextmanager
    def api(self, name: str, **settings: str) -> Iterator[Server]:
        """Run the API with its default settings but for places, limits and these."""
        log = self.folder / f"{name}.log"
        with running("api", environment=self._environment() | settings | self.extra, log=log) as api:
            port = int(api.wait_for("listening", within=START_SECONDS)["port"])
            _until_ready(port)
            yield Server(port, api.process.pid)
            api.stop()

    def watched(self, server: Server) -> dict[str, int]:
        """Return the processes whose CPU seconds are told while an API is asked."""
        assert self.cluster.process is not None
        assert self.valkey.process is not None
        return {"server": server.pid, "postgresql": self.cluster.process.pid, "valkey": self.valkey.process.pid}

    def _environment(self) -> dict[str, str]:
        limits = " ".join(f"{name}={NO_LIMIT}" for name in CLASSES)
        return {
            "DATABASE_URL": self.database,
            "REDIS_URL": self.valkey.url,
            "BITCOIN_RPC_URL": self.node.server.url,
            "BITCOIN_RPC_USER": "bench",
            "BITCOIN_RPC_PASSWORD": "bench",
            "AUTH_PEPPER": self.pepper,
            "API_PORT": "0",
            "API_RATE_LIMITS": limits,
            "API_KEY_RATE_LIMITS": limits,
            "API_DRAIN_SECONDS": "0",
        }


@contextmanager
def site(cache: Path, folder: Path, shape: Shape, extra: dict[str, str]) -> Iterator[Site]:
    """Start what the API needs; all is gone at the end but for the filled database, which is kept in `cache`."""
    pepper = secrets.token_hex(32)
    with kept.filled(cache, folder, shape) as cluster, Valkey.create() as valkey, scripted_node() as server:
        node = Node(server, shape.tip)
        try:
            yield Site(folder, shape, cluster, valkey, node, extra, pepper, _make_keys(cluster, pepper))
        finally:
            node.resume()  # threads of the node that still hang


@contextmanager
def bare(kind: str = "bare") -> Iterator[Server]:
    """Run what the API, or the client, is compared with."""
    command = [sys.executable, "-m", "tests.bench.api.bare", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield Server(int(process.stdout.readline()), process.pid)
        finally:
            process.kill()


def _make_keys(cluster: DurableCluster, pepper: str) -> list[str]:
    """Store keys as `simplicity auth keys create` does, but all in one transaction."""
    digester = Digester(pepper)
    made = [new_key() for _ in range(KEYS)]
    with psycopg.connect(cluster.url(kept.DATABASE)) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ops.api_keys (key_id, name, role, digest, changed)"
            " VALUES (%s, 'bench', 'reader', %s, nextval('ops.api_keys_changed'))",
            [(key_id, digester.digest(key)) for key_id, key in made],
        )
    return [key for _, key in made]


def _until_ready(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while metrics.get(port, "/health/ready")[0] != 200:
        assert time.monotonic() < deadline, "the API did not become ready"
        time.sleep(0.02)
