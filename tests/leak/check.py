"""Follow a long chain through the real follower and writer, and watch what is held on the way."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from array import array
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psutil

from indexer.bitcoin.rpc import NodeError
from indexer.store.writer import Writer
from indexer.sync.ahead import InProcesses
from indexer.sync.follower import Follower, Step
from indexer.sync.prepare import Preparer
from tests.leak import worker
from tests.leak.chain import BACK, MAIN, Chain
from tests.leak.measure import Held, objects, resident
from tests.leak.node import MadeUpNode
from tests.support.indexing import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from indexer.protocol.model import BlockDelta

WORKING_SET = 50  # balances and deploys, each: full again soon after a fork, which empties it
UNDO_WINDOW = 50  # blocks
DEPTH = 4  # blocks prepared ahead: how many of them are there differs from sample to sample
LOOKS_EVERY = 7  # blocks at the tip
SMALLEST = 400  # blocks: with fewer, other processes are never asked to help
SAMPLES, STRIDE = 60, 10  # of each leg at most; blocks between them at least
PATIENCE = 100  # failures of the node beyond one a block: then it is no accident
_COLUMNS = 6


class Plant(StrEnum):
    """Where a leak is planted."""

    MAIN = "main"
    WORKER = "worker"


class Leg(StrEnum):
    """A way to follow the chain: far behind it, with other processes' help, or at its tip, a block at a time."""

    BEHIND = "catching up"
    AT_TIP = "at the tip"


@dataclass(frozen=True)
class Sample:
    """What the process that writes and those that prepare held at a height."""

    leg: Leg
    height: int
    main: Held
    workers: Held | None


@dataclass
class Watched:
    """What a run saw. Its samples lie in one array: a list of objects would look like a leak itself."""

    _samples: array[int] = field(default_factory=lambda: array("q"))
    blocks: int = 0
    reorgs: int = 0
    failures: int = 0
    seconds: float = 0.0

    @property
    def samples(self) -> list[Sample]:
        rows = zip(*[iter(self._samples)] * _COLUMNS, strict=True)
        return [
            Sample(tuple(Leg)[leg], height, Held(*held[:2]), Held(*held[2:]) if held[2] else None)
            for leg, height, *held in rows
        ]

    def add(self, leg: Leg, height: int, main: Held, workers: Held) -> None:
        self._samples.extend((list(Leg).index(leg), height, *main, *workers))


class LeakingWriter(Writer):
    """Keeps a reference to the operations of each block that it commits."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - those of a writer
        super().__init__(*arguments, **options)
        self.kept: list[object] = []

    def commit(self, *, node_height: int) -> list[BlockDelta]:
        deltas = super().commit(node_height=node_height)
        self.kept += [delta.rows for delta in deltas]
        return deltas


def watch(
    database_url: str,
    blocks: int,
    *,
    workers: int,
    plants: Collection[Plant] = (),
    told: Callable[[int], None] = lambda _: None,
) -> Watched:
    """Follow a chain of `blocks` blocks: half of it catching up, half at the tip. `told` is told each height.

    What the indexer remembers within bounds is bounded closely here: that it fills up is no leak, but looks like one.
    """
    chain = Chain.make(blocks)
    every = max(blocks // 2 // SAMPLES, STRIDE)
    kind = LeakingWriter if Plant.MAIN in plants else Writer
    writer = kind.try_open(database_url, identity(), undo_window=UNDO_WINDOW, working_set=WORKING_SET)
    assert writer is not None, "another writer has the lock"
    with (
        _small_heap(),
        tempfile.TemporaryDirectory(prefix="simplicity-leak-") as folder,
        patch("indexer.sync.prepare.REMEMBERED_OUTPUTS", worker.REMEMBERED),
        patch("indexer.sync.follower.BATCH_BLOCKS", every),
        patch("indexer.sync.ahead.DEPTH", DEPTH),
    ):
        make = partial(worker.preparer, chain, Path(folder), every, leaks=Plant.WORKER in plants)
        node = MadeUpNode(chain)
        for height in range(1, BACK):  # what is made when it is first needed
            Preparer(node, worker.RULES).prepare(height, chain.hash(height, MAIN))
        follower = Follower(node, writer, worker.RULES, InProcesses(make, workers))
        try:
            return _Run(node, follower, Path(folder), every, told).through(blocks)
        finally:
            follower.close()
            writer.close()


@contextmanager
def _small_heap() -> Iterator[None]:
    """Let the collector look only at what comes from now on: it is asked to often."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@dataclass
class _Run:
    """A follower on its way, and what is seen of it."""

    node: MadeUpNode
    follower: Follower
    folder: Path
    every: int
    told: Callable[[int], None]
    watched: Watched = field(default_factory=Watched)

    def through(self, blocks: int) -> Watched:
        started = time.monotonic()
        self._follow(Leg.BEHIND, blocks // 2, blocks)
        self._follow(Leg.AT_TIP, blocks, 1)
        self.watched.blocks = self.follower.height
        self.watched.seconds = time.monotonic() - started
        return self.watched

    def _follow(self, leg: Leg, last: int, stride: int) -> None:
        due = self.follower.height
        while self.follower.height < last:
            if self.follower.height == self.node.height:
                self.node.advance(stride, last)
            self._step()
            if leg is Leg.AT_TIP and self.follower.height % LOOKS_EVERY == 0:
                self._step()  # nothing to do, which must cost nothing that lasts
            if self.follower.height >= due:
                self._sample(leg)
                due += self.every
                self.told(self.follower.height)

    def _step(self) -> None:
        try:
            self.watched.reorgs += self.follower.step() is Step.UNDONE
        except NodeError:
            self.watched.failures += 1
            if self.watched.failures > self.follower.height + PATIENCE:
                raise

    def _sample(self, leg: Leg) -> None:
        counted = objects()
        self.watched.add(leg, self.follower.height, Held(resident(os.getpid()), counted), self._workers())

    def _workers(self) -> Held:
        """Sum up what the processes hold that prepare blocks and have said so."""
        held = [Held(0, 0)]
        for file in self.folder.iterdir():
            with suppress(psutil.NoSuchProcess, ValueError):  # ended; or about to write
                held.append(Held(resident(int(file.name)), int(file.read_text())))
        return Held(*map(sum, zip(*held, strict=True)))
