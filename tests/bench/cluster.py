"""A PostgreSQL server as an operator would run it: default durability, memory for its tables, statements counted."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import psycopg

from infra.local.components.postgresql import binary, unprivileged
from tests.bench import processes
from tests.bench.chain import CACHE
from tests.bench.task import MonitorAddress
from tests.support.postgres import Cluster, free_port

if TYPE_CHECKING:
    from typing import Any

MONITOR = "bench_monitor"  # a role of its own, so that what it asks is not counted
SHOWN = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")


@dataclass
class DurableCluster(Cluster):
    """A throw-away server on the disk of the checkout that keeps every committed transaction through a power cut."""

    # 128 MB, the default, is for the smallest machine there is: no operator leaves it.
    settings: ClassVar[dict[str, str]] = {"shared_buffers": "512MB", "shared_preload_libraries": "pg_stat_statements"}

    @classmethod
    def create(cls, folder: Path = CACHE) -> Self:
        directory = Path(tempfile.mkdtemp(prefix="postgresql-", dir=folder))
        try:
            command = [*unprivileged(), binary("initdb"), "-D", str(directory / "data"), "-U", "postgres"]
            options = ["--locale=C", "--encoding=UTF8", "--auth=trust"]
            subprocess.run([*command, *options], check=True, capture_output=True)
            cluster = cls(directory, free_port())
            cluster.start()
        except BaseException:
            shutil.rmtree(directory)
            raise
        with psycopg.connect(cluster.url(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            connection.execute(f"CREATE ROLE {MONITOR} SUPERUSER LOGIN")
        return cluster

    def monitor(self) -> MonitorAddress:
        assert self.process is not None
        return MonitorAddress(self.url(user=MONITOR), self.process.pid)


@dataclass(frozen=True, slots=True)
class Counters:
    """What the server did so far: statements and transactions of one database, CPU seconds of all its processes."""

    statements: int
    transactions: int
    cpu: float


class Monitor:
    """Reads the server's counters on a connection to another database than the measured one."""

    def __init__(self, address: MonitorAddress, database: str) -> None:
        self._connection = psycopg.connect(address.url, autocommit=True)
        self._postmaster = address.pid
        self._database = database

    def close(self) -> None:
        self._connection.close()

    def counters(self) -> Counters:
        statements = self._number(
            "SELECT coalesce(sum(s.calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
            " JOIN pg_roles r ON r.oid = s.userid WHERE d.datname = %s AND r.rolname <> current_user"
        )
        transactions = self._number("SELECT xact_commit FROM pg_stat_database WHERE datname = %s")
        return Counters(statements, transactions, processes.cpu(self._postmaster))

    def size(self) -> int:
        return self._number("SELECT pg_database_size(%s)")

    def settings(self) -> dict[str, str]:
        return {name: str(self._row(f"SHOW {name}")[0]) for name in SHOWN}

    def _number(self, query: str) -> int:
        return int(self._row(query, self._database)[0])

    def _row(self, query: str, *parameters: str) -> tuple[Any, ...]:
        # Our statements are constants of this module; psycopg's types ask for literals.
        row = self._connection.execute(query.encode(), parameters or None).fetchone()
        assert row is not None
        return row


def indexes(database_url: str) -> list[str]:
    """Return the definitions of all indexes of the index's tables."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'index' ORDER BY 1").fetchall()
    return [str(row[0]) for row in rows]
