"""Answers to slow questions, kept for some seconds: however many look at a page, what is asked is asked once."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from indexer import log

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
LOG = log.get("operations")
# All that is asked has time-outs of a few seconds: what takes so long hangs in the system, such as on a disk.
HANGS_SECONDS = 30.0
# Each time twice as long, up to here: each question that hangs keeps a thread.
LONGEST_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What was answered, `age` seconds ago."""

    value: T
    age: float


class Kept(Generic[T]):
    """The answer to one question. It is asked by a thread of its own, one at a time, when somebody looks.

    One that hangs for `hangs` seconds is given up and asked anew; what it may still answer is not heard.
    """

    def __init__(self, ask: Callable[[], T], seconds: float, hangs: float = HANGS_SECONDS) -> None:
        self._ask, self._seconds = ask, seconds
        self._hangs, self._patience = hangs, hangs
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._turn = 0
        self._asking: float | None = None
        self._asked_last = float("-inf")
        self._answer: tuple[T, float] | None = None

    def begin(self) -> None:
        """Ask anew where the answer is too old and nobody asks already."""
        with self._lock:
            now = time.monotonic()
            if self._asking is not None:
                if now - self._asking < self._patience:
                    return
                LOG.error("a part of the page hangs and is asked anew", seconds=round(now - self._asking))
                self._patience = min(LONGEST_SECONDS, 2 * self._patience)
            elif now - self._asked_last < self._seconds:
                return
            self._asking = now
            self._turn += 1
            self._answered.clear()
            turn = self._turn
        # A daemon: a question that hangs must not keep the process from ending.
        threading.Thread(target=self._work, args=(turn,), daemon=True, name="question").start()

    def get(self, within: float) -> Answer[T] | None:
        """Return the answer, after at most `within` seconds: an older one where the new one is not there yet."""
        self.begin()
        self._answered.wait(within)
        with self._lock:
            if self._answer is None:
                return None
            value, at = self._answer
            return Answer(value, time.monotonic() - at)

    def _work(self, turn: int) -> None:
        try:
            answer = self._ask()
        except Exception:
            # What a question knows to go wrong is a part of its answer: this is a mistake of ours.
            LOG.exception("a part of the page cannot be made")
            answer = None
        with self._lock:
            if turn != self._turn:
                return
            now = time.monotonic()
            if answer is not None:
                self._answer = answer, now
            self._asked_last, self._asking, self._patience = now, None, self._hangs
            self._answered.set()
