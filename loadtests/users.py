"""The users as Locust runs them: a behaviour with a connection.

Imported only by the process that is the load: Locust has gevent take the place of threads, locks and sockets there, and
what was made of them before would never wake up.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from locust import FastHttpUser, task

from loadtests.answers import Answer, Judgement, Outcome, judge
from loadtests.behaviour import BEHAVIOURS
from loadtests.tally import Tally, waits_of_unasked

if TYPE_CHECKING:
    from locust.contrib.fasthttp import ResponseContextManager

    from loadtests.answers import Question
    from loadtests.behaviour import Behaviour
    from loadtests.plan import Work

SECONDS = 10.0  # in which an answer has to come
LEAST_PACE = 0.1  # seconds between the questions of a user without pauses: how many it would ask, nothing says
CUT_SHORT = Judgement(Outcome.UNANSWERED, "no answer: it had not come when the user had to end")


@dataclass(slots=True)
class Desk:
    """Where the users of a process get what they do, and hand in what became of it."""

    keys: tuple[str, ...] = ()
    worker: int = 0
    work: Work | None = None
    tally: Tally = field(default_factory=Tally)
    begun: int = 0  # users so far
    _given: Event = field(default_factory=Event)

    def give(self, work: Work) -> None:
        """Say what users do; those that are there already were waiting for it."""
        self.work = work
        self._given.set()

    def wait(self) -> Work:
        """Return what users do, as soon as it is known."""
        self._given.wait()
        if self.work is None:
            raise RuntimeError("a user was let go before there was work")
        return self.work


class LoadUser(FastHttpUser):
    """A user: asks, judges, thinks, asks again."""

    abstract = True
    desk: Desk
    kind: type[Behaviour]
    insecure = False  # certificates are checked: a key goes with the requests
    network_timeout = SECONDS
    connection_timeout = SECONDS
    concurrency = 1
    behaviour: Behaviour
    work: Work
    ends_at: float = math.inf  # the moment from which on it would have asked nothing more

    def on_start(self) -> None:
        """Become somebody: the same one for the same seed, worker and place in the row."""
        self.work = self.desk.wait()
        number = self.desk.begun
        self.desk.begun += 1
        # Repeatable; nothing is kept secret by it.
        rng = random.Random(f"{self.work.seed} {self.desk.worker} {number}")  # noqa: S311 # nosec B311
        self.behaviour = self.kind(self.work.sample, rng)
        keys = self.desk.keys
        # All users in a row, those of a worker side by side: whether workers have the same keys or each its own, every
        # key gets as many users as the others.
        place = number + self.desk.worker * self.work.share
        self.headers = {"X-API-Key": keys[place % len(keys)]} if keys else {}

    def stop(self, force: bool = False) -> bool:  # noqa: FBT001, FBT002 - Locust's own
        """End, as Locust asks for where the shape wants fewer users, and at the end of the test."""
        self.ends_at = min(self.ends_at, time.perf_counter())
        return bool(super().stop(force))

    def wait_time(self) -> float:
        """Return the seconds until the next question."""
        return self.behaviour.rng.uniform(*self.kind.think) * self.work.think

    @task
    def ask(self) -> None:
        """Ask one question."""
        question, began = self.behaviour.next(), time.perf_counter()
        try:
            with self._get(question) as response:
                answer = _answer(response)
                judgement = judge(question, answer)
                if judgement.outcome in {Outcome.OK, Outcome.LIMITED}:
                    response.success()
                else:
                    response.failure(judgement.reason)
        except BaseException:
            # Locust ends a user by an exception in it: what hangs until the end is what a test must not forget.
            self._count(question, CUT_SHORT, began, time.perf_counter() - began)
            raise
        self._count(question, judgement, began, float(response.request_meta["response_time"]) / 1000)
        if judgement.outcome is Outcome.OK:
            self.behaviour.learn(question, answer)

    def _count(self, question: Question, judgement: Judgement, began: float, seconds: float) -> None:
        tally, outcome = self.desk.tally, judgement.outcome
        tally.add(self.kind.name, question.route, outcome, seconds, judgement.reason)
        if outcome is not Outcome.LIMITED:
            pace = max(LEAST_PACE, self.work.think * sum(self.kind.think) / 2)
            waits = waits_of_unasked(seconds, pace, self.ends_at - began)
            tally.add_unasked(question.route, waits, answered=outcome is not Outcome.UNANSWERED)

    def _get(self, question: Question) -> ResponseContextManager:
        headers = self.headers | ({"If-None-Match": question.etag} if question.etag else {})
        return self.client.request(
            "GET", question.path, name=question.route, headers=headers, catch_response=True, allow_redirects=False
        )


def user_classes(desk: Desk) -> list[type[LoadUser]]:
    """Return a class of Locust's for each behaviour."""
    return [_class(desk, kind) for kind in BEHAVIOURS]


def names(counts: dict[str, int]) -> dict[str, int]:
    """Return numbers by Locust's class as numbers by the name of a behaviour."""
    return {kind.name: counts.get(kind.__name__, 0) for kind in BEHAVIOURS}


def _class(desk: Desk, kind: type[Behaviour]) -> type[LoadUser]:
    class Made(LoadUser):
        weight = kind.weight

    Made.desk, Made.kind, Made.__name__ = desk, kind, kind.__name__
    return Made


def _answer(response: ResponseContextManager) -> Answer:
    if not response.status_code:
        error = getattr(response, "error", None)
        return Answer(0, error=" ".join(str(error).split()) or type(error).__name__)
    headers = {str(name).lower(): str(value) for name, value in (response.headers or {}).items()}
    return Answer(response.status_code, response.content or b"", headers)
