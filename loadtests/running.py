"""A test while it runs, in the process that leads it: second by second to its end, or to a word to stop."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from locust import LoadTestShape

from loadtests.answers import Outcome
from loadtests.tally import Tally
from loadtests.users import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.runners import Runner

    from loadtests.shapes import Course
    from loadtests.users import Desk

GLANCE = 0.05  # seconds between looks at whether to stop
CROWDED = 3.0  # processes that want to run, for each processor, from which on they wait for one another


class Stop:
    """Whether to end early: asked to, or left alone."""

    def __init__(self) -> None:
        self._asked = False
        self._parent = os.getppid()
        signal.signal(signal.SIGTERM, self._ask)

    @property
    def now(self) -> bool:
        """Whether to end now."""
        return self._asked or os.getppid() != self._parent

    def sleep(self, seconds: float) -> bool:
        """Wait, and return False as soon as it is to end."""
        until = time.monotonic() + seconds
        while not self.now:
            left = until - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, GLANCE))
        return False

    def _ask(self, *_: object) -> None:
        self._asked = True


class Following(LoadTestShape):
    """A course, as Locust asks for it once a second."""

    def __init__(self, course: Course) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Locust has it without types
        self.course = course

    @property
    def users(self) -> int:
        """How many users there are to be now."""
        return self.course.users_at(self.get_run_time())  # type: ignore[no-untyped-call]  # as above

    def tick(self) -> tuple[int, float]:
        """Return how many users there are to be, and that they may all come within a second."""
        return max(1, self.users), float(self.course.users)


class Run:
    """A test: `users_now` are the users that run by Locust's class; what they count comes in by `desk`."""

    def __init__(self, runner: Runner, shape: Following, desk: Desk, users_now: Callable[[], dict[str, int]]) -> None:
        self.total = Tally()
        self.seconds = 0.0
        self.runner = runner
        self._shape = shape
        self._desk = desk
        self._users_now = users_now
        self._runs = False

    def users(self) -> dict[str, int]:
        """Return how many users run now, by their name."""
        return names(self._users_now())

    def target(self) -> int:
        """Return how many users there are to be now."""
        return self._shape.users if self._runs else 0

    def go(self, stop: Stop) -> None:
        """Run from the first second to the last, and wait for what users have asked."""
        self.runner.start_shape()
        self._runs, began = True, time.monotonic()
        say(begun=True)
        length = self._shape.course.seconds
        for second in range(1, int(length) + 1):
            if not stop.sleep(began + second - time.monotonic()):
                break
            self._tell(second)
        else:
            stop.sleep(began + length - time.monotonic())
        self._runs, self.seconds = False, time.monotonic() - began
        self.runner.stop()

    def take(self) -> Tally:
        """Add what came in since the last time to the total, and return it."""
        since = self._desk.tally.drain()
        self.total.merge(since)
        return since

    @property
    def is_busy(self) -> bool:
        """Whether the load's machine had so much to do that times say more about it than about the service."""
        crowded = os.getloadavg()[0] > CROWDED * (os.cpu_count() or 1)
        return crowded or self.runner.cpu_warning_emitted or self.runner.worker_cpu_warning_emitted

    @property
    def errors(self) -> list[str]:
        """What went wrong in users themselves, each in a line with how often."""
        return [f"{each['msg']} ({each['count']} times)" for each in self.runner.exceptions.values()]

    def _tell(self, second: int) -> None:
        users, since = sum(self.users().values()), self.take()
        times = since.times()
        quantiles = {f"p{percent}": times.quantile(percent / 100) for percent in (50, 95, 99)}
        counts = {"requests": since.count(), "failed": since.failed, "limited": since.count(Outcome.LIMITED)}
        target = self._shape.course.users_at(second - GLANCE)  # within the second: at the very end there are none
        say(point={"at": second, "users": users, "target": target, **counts, **quantiles})


def say(**line: Any) -> None:  # noqa: ANN401 - JSON
    """Write a line; that nobody is there to read it is told by `Stop`."""
    try:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer must not fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
