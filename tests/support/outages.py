"""What a database does to its clients on bad days: hangs, lies on a dead host, lags behind as a real replica."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import psutil

from indexer.store.connection import connect
from infra.local.components.postgresql import binary, unprivileged
from tests.support.postgres import Cluster, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@contextmanager
def hung(cluster: Cluster) -> Iterator[None]:
    """Stop every process of a server: the kernel still takes connections and bytes, and nothing is ever answered."""
    assert cluster.process is not None
    main = psutil.Process(cluster.process.pid)
    main.send_signal(signal.SIGSTOP)  # first, so that it starts no more
    children = main.children(recursive=True)
    for process in children:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in [*children, main]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


class Durable(Cluster):
    """A server that keeps over a kill what it has committed."""

    settings: ClassVar[dict[str, str]] = Cluster.settings | {"synchronous_commit": "on"}

    def stop(self) -> None:
        # Nobody reads it again: a checkpoint and a wait for those that follow it would be for nothing.
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
        self.process = None


class Standby(Durable):
    """A real replica by streaming replication."""

    @classmethod
    def of(cls, primary: Cluster) -> Standby:
        directory = Path(tempfile.mkdtemp(prefix="simplicity-standby-"))
        command = [
            *unprivileged(),
            binary("pg_basebackup"),
            "--pgdata",
            str(directory / "data"),
            "--write-recovery-conf",
        ]
        source = ["--dbname", primary.url().rpartition("/")[0], "--checkpoint=fast", "--no-sync"]
        subprocess.run([*command, *source], check=True, capture_output=True)
        standby = cls(directory, free_port())
        standby.start()
        return standby

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    @contextmanager
    def lagging(self) -> Iterator[None]:
        """Let it fall behind: what it receives is not applied."""
        with connect(self.url()) as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
            while connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() != ("paused",):
                time.sleep(0.01)
            try:
                yield
            finally:
                connection.execute("SELECT pg_wal_replay_resume()")


class Wire:
    """What lies between a client and a server: `silence` is a host that went without a word."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self._target = port
        self._dead: set[asyncio.StreamWriter] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_closed = False  # refuses who comes

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self.is_closed:
            writer.close()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        self._open |= {writer, back}
        with suppress(asyncio.CancelledError):
            await asyncio.gather(self._relay(reader, back), self._relay(there, writer))
        for each in (writer, back):
            self._open.discard(each)
            self._dead.discard(each)
            each.close()

    async def _relay(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if target in self._dead:
                    await asyncio.Event().wait()
                target.write(data)
                await target.drain()
        if target in self._dead:
            await asyncio.Event().wait()
        target.close()

    def silence(self) -> None:
        """Whoever is connected now hears nothing more, not even an end; who comes anew is served."""
        self._dead |= self._open

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def wired(port: int) -> AsyncIterator[Wire]:
    """A wire to a port, for the time of a `with`."""
    wire = Wire(port)
    server = await asyncio.start_server(wire.handle, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        await wire.stop()
