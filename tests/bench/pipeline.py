"""The indexer itself, block source to committed rows, and for comparison the mere reading of the same blocks."""

from __future__ import annotations

import os
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psycopg

from indexer.store.chain import Identity
from indexer.store.writer import Writer
from indexer.sync.ahead import DEPTH, InProcesses
from indexer.sync.follower import Follower, Step
from tests.bench import processes, profile
from tests.bench.cluster import MONITOR, Counters, Monitor, indexes
from tests.bench.files import START_HEIGHT
from tests.bench.opening import MARKETPLACE_HEIGHT, RULES, Trips, open_source, opener
from tests.bench.processes import PeakMemory, peak_memory
from tests.bench.task import Figures, Said, Task, say

if TYPE_CHECKING:
    from collections.abc import Iterator

UNDO_WINDOW = 100
IDENTITY = Identity(
    cluster="bench", network="regtest", start_height=START_HEIGHT, marketplace_height=MARKETPLACE_HEIGHT
)
EXIT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Mark:
    """What had been spent when a height was reached.

    Seconds of time, of CPU of the main process and of it with its workers; what the server did.
    """

    height: int
    wall: float
    main_cpu: float
    cpu: float
    server: Counters

    def to(self, later: Mark) -> Figures | None:
        """Return the cost of a block from here to a later mark, None where no block lies between."""
        blocks = later.height - self.height
        if blocks <= 0:
            return None
        return {
            "blocks": blocks,
            "cpu": (later.cpu - self.cpu) / blocks,
            "main_cpu": (later.main_cpu - self.main_cpu) / blocks,
            "server_cpu": (later.server.cpu - self.server.cpu) / blocks,
            "statements": (later.server.statements - self.server.statements) / blocks,
        }


def pipeline(task: Task) -> Figures:
    """Index from the start height to the chain's end into an empty database."""
    assert task.database is not None
    monitor = Monitor(task.database.monitor, task.database.url.rpartition("/")[2])
    memory = PeakMemory(os.getpid())
    with TemporaryDirectory() as folder, closing(monitor):
        source = open_source(task, Path(folder))
        writer = Writer.try_open(task.database.url, IDENTITY, undo_window=UNDO_WINDOW, working_set=task.working_set)
        assert writer is not None, "another writer has the lock"
        ahead = InProcesses(opener(task, Path(folder)), task.workers) if task.workers else None
        profiled = profile.into(Path(f"{task.profile}-main.pstats")) if task.profile else nullcontext()
        with closing(writer), closing(Follower(source, writer, RULES, ahead)) as follower, profiled:
            marks = list(_follow(follower, monitor, memory, task.height))
            state_hash = writer.tip.position.state_hash
        _wait_for_exit(task.database.url)
        return {
            **_spent(marks[0], marks[-1], monitor.counters()),
            **windows(marks, task.height),
            **_stored(task.database.url, monitor),
            "round_trips": Trips(Path(folder)).total(),
            "interface": source.interface(),
            "working_set": task.working_set,
            "workers": task.workers,
            "state_hash": state_hash.hex(),
            "memory": memory.look(),
        }


def _follow(follower: Follower, monitor: Monitor, memory: PeakMemory, height: int) -> Iterator[Mark]:
    """Step to the tip; yield marks before and after the first step, where the windows begin and end, at the end."""
    blocks = height - START_HEIGHT + 1
    yield _mark(follower, monitor)
    wanted, started = [START_HEIGHT], 0
    while follower.step() is not Step.AT_TIP:
        memory.look()
        say(Said((follower.height - START_HEIGHT) / blocks))
        if follower.height >= wanted[0]:
            yield _mark(follower, monitor)
            started = started or follower.height
            wanted = [*(each for each in edges(started, height) if each > follower.height), height + 1]
    assert follower.height == height, f"stopped at height {follower.height} of {height}"


def edges(started: int, height: int) -> tuple[int, int, int, int]:
    """Return where the first tenth ends, where the last begins and ends, and the last height.

    The first step is left out, with all that is done once. The last tenth ends some blocks before the end: those are
    prepared already when they are applied, and would look cheaper than they are.
    """
    tenth = (height - START_HEIGHT + 1) // 10
    tail = height - min(2 * DEPTH, tenth)
    return started + tenth, tail - tenth, tail, height


def _mark(follower: Follower, monitor: Monitor) -> Mark:
    server = monitor.counters()
    return Mark(follower.height, time.perf_counter(), time.process_time(), processes.cpu(os.getpid()), server)


def _spent(first: Mark, last: Mark, ended: Counters) -> Figures:
    return {
        "blocks": last.height - first.height,
        "seconds": last.wall - first.wall,
        "cpu": last.cpu - first.cpu,
        "server_cpu": last.server.cpu - first.server.cpu,
        "statements": ended.statements - first.server.statements,
        # The server counts a session's transactions a second late, and all of them when it ends.
        "transactions": ended.transactions - first.server.transactions,
    }


def windows(marks: list[Mark], height: int) -> Figures:
    """Return what a block cost in the first and in the last tenth."""
    start = marks[1]
    ends_first, starts_last, ends_last, _ = (_first(marks, edge) for edge in edges(start.height, height))
    return {"first_tenth": start.to(ends_first), "last_tenth": starts_last.to(ends_last)}


def _first(marks: list[Mark], height: int) -> Mark:
    return next((mark for mark in marks if mark.height >= height), marks[-1])


def _stored(url: str, monitor: Monitor) -> Figures:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT (SELECT sum(op_count) FROM index.blocks), (SELECT count(*) FROM index.balances)"
        ).fetchone()
    operations, balances = row or (0, 0)
    return {
        "operations": operations,
        "balances": balances,
        "size": monitor.size(),
        "indexes": indexes(url),
        "settings": monitor.settings(),
    }


def _wait_for_exit(url: str) -> None:
    """Wait until the server has closed the writer's session and counted what it did."""
    deadline = time.monotonic() + EXIT_SECONDS
    with psycopg.connect(url, user=MONITOR, autocommit=True) as connection:
        while connection.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
            " AND pid <> pg_backend_pid()"
        ).fetchone():
            assert time.monotonic() < deadline, "the writer's session did not end"
            time.sleep(0.01)


def read_only(task: Task) -> Figures:
    """Read the blocks with traffic from the node one after another, as the indexer's client does."""
    with TemporaryDirectory() as folder:
        source = open_source(task, Path(folder))
        source.tip()
        wall, cpu = time.perf_counter(), time.process_time()
        hashes = source.hashes(START_HEIGHT, task.height - START_HEIGHT + 1)
        size = sum(len(source.raw_block(block_hash)) for block_hash in hashes)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory = peak_memory(os.getpid())
    return {"blocks": len(hashes), "bytes": size, "seconds": wall, "cpu": cpu, "memory": memory}
