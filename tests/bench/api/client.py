"""The load's own process: far cheaper a request than any server of it, so that what is measured is the server.

Closed loop: each connection asks again as soon as it was answered. Open loop: requests are due at random moments of a
given rate, and a request's time counts from the moment that it was due: a server that stalls cannot hide that.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import random
import sys
import time
from collections import deque
from http import HTTPStatus
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import psutil
import uvloop

from tests.bench import processes
from tests.bench.api.load import Answer, Answered, Failed, Load, Sample, zipf
from tests.bench.api.wire import Splitter, UnreadableError, request

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
PREPARED = 65_536  # requests that a closed loop has ready; it begins again after them
AT_ONCE = 100  # connections that are opened at the same time
RECONNECT = 0.05  # seconds
LOWEST_STATUS = 100
SWEEP = 0.25  # seconds between looks for requests that took too long


class Planned(NamedTuple):
    """A request that is ready to be sent."""

    wire: bytes
    path: str
    group: int


def plan(load: Load) -> list[Planned]:
    """Return a load's requests in their order."""
    rng = random.Random(load.seed)
    number = load.count or PREPARED
    if load.rate:
        number = int(load.rate * (load.settle + load.seconds) * 1.2) + 200  # as good as never are more drawn
    groups = rng.choices(range(len(load.groups)), [group.share for group in load.groups], k=number)
    paths = [_paths(load, group, number, rng) for group in range(len(load.groups))]
    keys = rng.choices(load.keys, cum_weights=zipf(len(load.keys)), k=number) if load.keys else [None] * number
    host = f"{HOST}:{load.port}"
    chosen = ((next(paths[group]), group, key) for group, key in zip(groups, keys, strict=True))
    return [Planned(request(path, host, key), path, group) for path, group, key in chosen]


def _paths(load: Load, group: int, number: int, rng: random.Random) -> Iterator[str]:
    paths = load.groups[group].paths
    if load.groups[group].each_once:
        return cycle(paths)
    return iter(rng.choices(paths, cum_weights=zipf(len(paths)), k=number))


class Connection(asyncio.Protocol):
    """A kept connection that asks one thing at a time."""

    __slots__ = ("asked", "due", "planned", "run", "splitter", "transport")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.splitter = Splitter()
        self.planned: Planned | None = None
        self.due = self.asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.run.connected(self)

    def ask(self, planned: Planned, due: float, now: float) -> None:
        self.planned, self.due, self.asked = planned, due, now
        self.transport.write(planned.wire)  # type: ignore[attr-defined]  # a stream's transport

    def data_received(self, data: bytes) -> None:
        try:
            if self.splitter.feed(data):
                self.run.answered(self, self.splitter.status)
        except UnreadableError:
            self.give_up(Failed.UNREADABLE)

    def give_up(self, why: Failed) -> None:
        self.run.note(self, why)
        self.transport.abort()  # type: ignore[attr-defined]  # as above

    def connection_lost(self, _error: Exception | None) -> None:
        self.run.lost(self)


class Run:
    """A load while it lasts."""

    def __init__(self, load: Load) -> None:
        planned = plan(load)
        self.load = load
        self.answers: list[Answer] = []
        self.samples: list[Sample] = []
        self.idle_drops = 0
        self.open: set[Connection] = set()
        self._requests = iter(planned) if load.rate or load.count else cycle(planned)
        self._idle: deque[Connection] = deque()
        self._waiting: deque[tuple[Planned, float]] = deque()
        self._rng = random.Random(load.seed)
        self._is_running = False
        self._started = self._stop = 0.0
        self._next_sample = math.inf
        self._asked = 0
        self._expected: float = load.count or math.inf  # answers after which nothing is left to wait for
        self._done = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def execute(self) -> Answered:
        """Connect, ask for as long as the load says, wait for what is still on its way."""
        load = self.load
        for first in range(0, load.connections, AT_ONCE):
            await asyncio.gather(*(self._connect() for _ in range(first, min(first + AT_ONCE, load.connections))))
        self._begin()
        sweeper = asyncio.create_task(self._sweep())
        await asyncio.sleep(load.settle)
        wall, before, busy = time.monotonic(), _cpu(load.watched), _machine()
        await (self._done.wait() if load.count else asyncio.sleep(load.seconds))
        wall, after, busy = time.monotonic() - wall, _cpu(load.watched), _machine() - busy
        self._is_running, self._expected = False, self._asked
        if len(self.answers) < self._asked:
            await self._done.wait()
        sweeper.cancel()
        cpu = {name: after[name] - before[name] for name in before if name in after}
        elsewhere = min(1.0, max(0.0, busy - sum(cpu.values())) / wall / (os.cpu_count() or 1))
        return Answered(self._started, wall, self._measured(), self.samples, cpu, elsewhere, self.idle_drops)

    def connected(self, connection: Connection) -> None:
        self.open.add(connection)
        if self._is_running:
            self._free(connection, time.monotonic())
        else:
            self._idle.append(connection)

    def answered(self, connection: Connection, status: int) -> None:
        self.note(connection, status)
        self._free(connection, time.monotonic())

    def note(self, connection: Connection, status: int) -> None:
        """Write down how a connection's request ended."""
        planned, splitter = connection.planned, connection.splitter
        if planned is None:
            return
        connection.planned = None
        if status >= LOWEST_STATUS:
            said = (splitter.is_stale(), splitter.age(), splitter.has_retry_after(), splitter.size)
        else:
            said = (False, 0, False, 0)
        due = connection.due
        self._write(Answer(due - self._started, time.monotonic() - due, status, planned.group, *said))
        if splitter.keep:
            splitter.keep = False
            if status == HTTPStatus.OK:
                self.samples.append(Sample(planned.path, b"".join(splitter.parts).decode(errors="replace")))

    def lost(self, connection: Connection) -> None:
        self.open.discard(connection)
        if connection.planned is not None:
            self.note(connection, Failed.DROPPED)
        elif connection in self._idle:
            self._idle.remove(connection)
            self.idle_drops += self._is_running
        if self._is_running:
            asyncio.get_running_loop().call_later(RECONNECT, self._reconnect)

    def _begin(self) -> None:
        load = self.load
        self._is_running = True
        self._started = now = time.monotonic()
        self._stop = math.inf if load.count else now + load.settle + load.seconds
        self._next_sample = now + load.settle if load.samples else math.inf
        if load.rate:
            self._dispatch(now)
            return
        idle, self._idle = self._idle, deque()
        for connection in idle:
            self._free(connection, now)

    def _free(self, connection: Connection, now: float) -> None:
        """Give a connection its next request, or let it wait for one."""
        if self._waiting:
            self._ask(connection, *self._waiting.popleft(), now)
            return
        planned = None if self.load.rate or now >= self._stop else next(self._requests, None)
        if planned is None:
            self._idle.append(connection)
        else:
            self._asked += 1
            self._ask(connection, planned, now, now)

    def _dispatch(self, due: float) -> None:
        """Send what is due, and come back when the next is."""
        now = time.monotonic()
        while due <= now and due < self._stop:
            planned = next(self._requests)
            self._asked += 1
            if self._idle:
                self._ask(self._idle.popleft(), planned, due, now)
            else:
                self._waiting.append((planned, due))
            due += self._rng.expovariate(self.load.rate)
        if due < self._stop:
            asyncio.get_running_loop().call_later(due - now, self._dispatch, due)

    def _ask(self, connection: Connection, planned: Planned, due: float, now: float) -> None:
        if now >= self._next_sample:
            connection.splitter.keep = True
            self._next_sample += self.load.seconds / self.load.samples
        connection.ask(planned, due, now)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            now, patience = time.monotonic(), self.load.patience
            for connection in list(self.open):
                if connection.planned is not None and now - connection.asked > patience:
                    connection.give_up(Failed.TIMED_OUT)
            while self._waiting and now - self._waiting[0][1] > patience:
                planned, due = self._waiting.popleft()
                self._write(Answer(due - self._started, now - due, Failed.TIMED_OUT, planned.group))

    def _write(self, answer: Answer) -> None:
        self.answers.append(answer)
        if len(self.answers) >= self._expected:
            self._done.set()

    def _reconnect(self) -> None:
        task = asyncio.get_running_loop().create_task(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: Connection(self), HOST, self.load.port)
        except OSError:
            if not self._started:
                raise
            if self._is_running:
                loop.call_later(RECONNECT, self._reconnect)

    def _measured(self) -> list[Answer]:
        """Return the answers of the time that counts: an open loop's requests that were due then, else what came."""
        first, last = self.load.settle, self.load.settle + self.load.seconds
        if self.load.count:
            return self.answers
        if self.load.rate:
            return [answer for answer in self.answers if first <= answer.due < last]
        return [answer for answer in self.answers if first <= answer.end < last]


def _cpu(watched: dict[str, int]) -> dict[str, float]:
    """Return the CPU seconds of processes and those that they started, and of this one as `client`."""
    own = time.process_time()
    return {name: processes.cpu(pid) for name, pid in watched.items() if psutil.pid_exists(pid)} | {"client": own}


def _machine() -> float:
    """Return the CPU seconds that the machine was busy so far, with those that its host took away."""
    times = psutil.cpu_times()
    return float(sum(times[:3]) + sum(times[5:8]))


def main() -> None:
    """Apply the load of standard input."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    run = Run(load)
    gc.disable()  # a collection of a million answers would stop the clock for all connections
    answered = uvloop.run(run.execute())
    # Not sys.stdout.buffer: with PYTHONUNBUFFERED that one may write a part and leave it at that.
    with open(sys.stdout.fileno(), "wb", closefd=False) as out:
        out.write(msgspec.json.encode(answered))


if __name__ == "__main__":
    main()
