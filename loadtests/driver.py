"""Carrying a load test out from outside: the process that is the load, its workers, and what they say.

Locust is never imported here: in a process that has had threads or an event loop before, it would hang.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from loadtests import metrics
from loadtests.errors import LoadtestError
from loadtests.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtests.plan import Plan

COMMAND: Final = (sys.executable, "-m", "loadtests.engine")
END_SECONDS = 10.0  # in which a process ends that was told to
LINE = 300  # characters of a process's last words


@dataclass(frozen=True, slots=True)
class Point:
    """A second of a test: users that run and that there are to be, requests, and their times in seconds."""

    at: int
    users: int
    target: int
    requests: int
    failed: int
    limited: int
    p50: float | None
    p95: float | None
    p99: float | None

    @property
    def sentence(self) -> str:
        """The second in a line."""
        p95 = "p95 -" if self.p95 is None else f"p95 {1000 * self.p95:.4g} ms"
        limited = f", {self.limited} limited" if self.limited else ""
        return (
            f"{self.at:>5} s  {self.users:>5} users  {self.requests:>6} req/s  {p95:>12}  {self.failed} failed{limited}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a test. `problems` are reasons for which it tells nothing about the service."""

    begun: datetime
    ended: datetime
    seconds: float
    early: bool
    busy: bool
    tally: Tally
    points: tuple[Point, ...]
    problems: tuple[str, ...]


class Teller(Protocol):
    """Who is told how it goes."""

    def second(self, point: Point) -> None:
        """Take in what a second brought."""

    def say(self, text: str) -> None:
        """Take in a sentence."""


@dataclass
class _Test:
    """A test while it runs."""

    plan: Plan
    teller: Teller
    local_workers: bool
    leader: subprocess.Popen[str]
    words: IO[bytes]
    workers: list[subprocess.Popen[str]] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    stopping: bool = False

    def follow(self) -> Result:
        """Read what the process says, to its last line. Raises LoadtestError where there is none."""
        if self.leader.stdout is None:
            raise RuntimeError("a process without a pipe")
        for text in self.leader.stdout:
            line = json.loads(text)
            if "done" in line:
                return self._result(line)
            self._take(line)
        raise LoadtestError(f"the process of the load test ended before its time{last_words(self.words)}")

    def stop(self) -> None:
        """Let it end early; asked once more, at once."""
        if self.stopping:
            self.leader.kill()
        self.stopping = True
        self.leader.terminate()

    def _take(self, line: dict[str, Any]) -> None:
        if point := line.get("point"):
            self.points.append(Point(**point))
            self.teller.second(self.points[-1])
        elif line.get("begun"):
            self.begun = datetime.now(UTC)
        elif listening := line.get("listening"):
            self._listening(listening[0], listening[1])
        elif waiting := line.get("waiting"):
            if any(worker.poll() is not None for worker in self.workers):
                raise LoadtestError(f"a worker ended before it began{last_words(self.words)}")
            if not self.local_workers:
                self.teller.say(f"waiting for {waiting} more workers")

    def _listening(self, host: str, port: int) -> None:
        if self.local_workers:
            part = self.plan.worker((host, port))
            self.workers += [_begin(part, self.words, subprocess.DEVNULL) for _ in range(self.plan.workers)]
        else:
            self.teller.say(f"workers join with: simplicity loadtest worker --master {host}:{port}")

    def _result(self, done: dict[str, Any]) -> Result:
        problems = [f"an error in the users themselves: {error}" for error in done["errors"]]
        if done["lost"]:
            problems.append(f"{done['lost']} of {self.plan.workers} workers were lost, and what they had counted")
        return Result(
            begun=self.begun,
            ended=datetime.now(UTC),
            seconds=done["seconds"],
            early=done["early"],
            busy=done["busy"],
            tally=Tally.of(done["done"]),
            points=tuple(self.points),
            problems=tuple(problems),
        )


def run(plan: Plan, teller: Teller, *, local_workers: bool = True) -> Result:
    """Carry out a plan; Ctrl-C and SIGTERM end it early, and what was counted till then is the result.

    A master's workers are begun here, or join from elsewhere. Raises LoadtestError where there is no result.
    """
    with tempfile.TemporaryFile() as words:
        lead = plan.without_keys() if plan.role == "master" else plan
        leader = _begin(lead, words, subprocess.PIPE)
        test = _Test(plan, teller, local_workers, leader, words)
        try:
            with _stopped_by_signals(test, teller):
                result = test.follow()
            # Their part is in the result; Locust has a worker wait for some seconds before it listens again.
            for worker in test.workers:
                worker.terminate()
        except BaseException:
            for process in (leader, *test.workers):
                process.terminate()
            raise
        finally:
            _end([leader, *test.workers])
            if plan.targets:
                metrics.forget(Path(plan.targets), leader.pid)
        return result


def join(plan: Plan, teller: Teller) -> None:
    """Be a worker of a master elsewhere until it says that it is enough. Raises LoadtestError where there is none."""
    with tempfile.TemporaryFile() as words:
        worker = _begin(plan, words, subprocess.PIPE)
        test = _Test(plan, teller, local_workers=False, leader=worker, words=words)
        try:
            with _stopped_by_signals(test, teller):
                _follow_worker(worker, teller)
                if worker.wait() and not test.stopping:
                    raise LoadtestError(f"the worker ended before its time{last_words(words)}")
        finally:
            _end([worker])


def last_words(words: IO[bytes]) -> str:
    """Return what a process said last on standard error, to be put behind a sentence."""
    words.seek(0)
    said = words.read().decode(errors="replace").strip()
    return f": {said.splitlines()[-1][:LINE]}" if said else ""


def _follow_worker(worker: subprocess.Popen[str], teller: Teller) -> None:
    for text in worker.stdout or ():
        line = json.loads(text)
        if "error" in line:
            raise LoadtestError(line["error"])
        teller.say(f"worker {line['connected']}: ready")


def _begin(plan: Plan, words: IO[bytes], out: int) -> subprocess.Popen[str]:
    # A session of its own: a Ctrl-C is for us to handle, and must not reach it half-way.
    process = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=out, stderr=words, text=True, start_new_session=True
    )
    if process.stdin is None:
        raise RuntimeError("a process without a pipe")
    with suppress(BrokenPipeError), process.stdin:  # one that ended at once is told by its last words
        process.stdin.write(plan.encode())
    return process


def _end(processes: list[subprocess.Popen[str]]) -> None:
    until = time.monotonic() + END_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def _stopped_by_signals(test: _Test, teller: Teller) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM end a test in order; only the main thread can, and elsewhere they do what they did."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        if not test.stopping:
            teller.say("stopping: users finish what they have asked; once more ends it at once")
        test.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
