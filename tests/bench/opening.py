"""The source that a stage reads, opened in whichever process reads it, its round trips counted across all of them."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.bitcoin.rest import RestBlockSource
from indexer.bitcoin.rpc import RpcClient
from indexer.bitcoin.script import Network
from indexer.bitcoin.source import RpcBlockSource
from indexer.protocol.rules import Rules
from indexer.sync.prepare import Preparer
from tests.bench import profile
from tests.bench.source import FileBlockSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexer.bitcoin.block import OutPoint
    from indexer.bitcoin.source import NodeTip, Place
    from tests.bench.task import NodeAddress, Task

COUNTER_SIZE = 8
MARKETPLACE_HEIGHT = 1
RULES = Rules(Network.REGTEST, MARKETPLACE_HEIGHT)


class Trips:
    """Round trips of every process that reads, each in a file of its own in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def total(self) -> int:
        return sum(int.from_bytes(path.read_bytes()) for path in self._folder.glob("trips-*"))

    def mine(self) -> int:
        """Return the descriptor of this process's own counter."""
        return os.open(self._folder / f"trips-{os.getpid()}", os.O_RDWR | os.O_CREAT, 0o600)


class CountedSource:
    """A source that keeps its number of round trips where other processes see it."""

    def __init__(self, source: FileBlockSource | RpcBlockSource | RestBlockSource, trips: Trips) -> None:
        self._source = source
        self._counter = trips.mine()
        self.interface = source.interface

    def tip(self) -> NodeTip:
        found = self._source.tip()
        self._count()
        return found

    def hashes(self, first: int, count: int) -> list[bytes]:
        found = self._source.hashes(first, count)
        self._count()
        return found

    def hash_at(self, height: int) -> bytes | None:
        return next(iter(self.hashes(height, 1)), None)

    def raw_block(self, block_hash: bytes) -> bytes:
        found = self._source.raw_block(block_hash)
        self._count()
        return found

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        found = self._source.scripts(spends, block_hash)
        self._count()
        return found

    def _count(self) -> None:
        os.pwrite(self._counter, self._source.round_trips.to_bytes(COUNTER_SIZE), 0)


def open_source(task: Task, folder: Path) -> CountedSource:
    """Open the task's source; its round trips are counted in a folder."""
    return CountedSource(_plain(task), Trips(folder))


def open_in_worker(task: Task, folder: Path) -> Preparer:
    """Begin to prepare blocks in a process of its own, profiled from here on where the task says so."""
    if task.profile:
        profile.for_life(Path(f"{task.profile}-worker-{os.getpid()}.pstats"))
    return Preparer(open_source(task, folder), RULES)


def opener(task: Task, folder: Path) -> partial[Preparer]:
    return partial(open_in_worker, task, folder)


def _plain(task: Task) -> FileBlockSource | RpcBlockSource | RestBlockSource:
    if task.node is None:
        return FileBlockSource(Path(task.chain), task.height)
    rpc = client(task.node)
    return RestBlockSource(rpc) if task.node.interface == "rest" else RpcBlockSource(rpc)


def client(node: NodeAddress) -> RpcClient:
    return RpcClient(node.url, cookie_file=Path(node.cookie))
