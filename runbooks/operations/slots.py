"""Work of which only so much is done at once: whoever comes when enough wait already is told so at once."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class BusyError(Exception):
    """There is no slot: one line that says what to do."""


@dataclass(slots=True)
class Slots:
    """`at_once` work, `waiting` more wait for at most `seconds`.

    Each that waits keeps one of the threads that answer: without a bound, pictures would take all of them.
    """

    at_once: int
    waiting: int
    seconds: float
    _working: BoundedSemaphore = field(init=False)
    _places: BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        self._working = BoundedSemaphore(self.at_once)
        self._places = BoundedSemaphore(self.at_once + self.waiting)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a slot. Raises BusyError."""
        if not self._places.acquire(blocking=False):
            raise BusyError("other pictures are being drawn; try again")
        try:
            if not self._working.acquire(timeout=self.seconds):
                raise BusyError("other pictures take long to draw; try again, or ask for a shorter time")
            try:
                yield
            finally:
                self._working.release()
        finally:
            self._places.release()
