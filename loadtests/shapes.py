"""How many users there are at which moment of a test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from loadtests.errors import UsageError

MOST_USERS = 10_000
MOST_SECONDS = 86_400.0

_BASE, _PEAK_FROM, _PEAK_TO = 0.1, 0.4, 0.6  # of a spike: users outside of it, and where in the time it lies
_RISE, _RISE_SECONDS = 0.1, 10.0  # all at once would be a spike of connections
_CLIMB = 0.8  # the share of a ramp that rises
_LOW_TIDE, _TIDE_SECONDS = 0.6, 600.0


class Shape(StrEnum):
    """What a test is to find out."""

    RAMP = "ramp"
    STEADY = "steady"
    SPIKE = "spike"
    SOAK = "soak"


@dataclass(frozen=True, slots=True)
class About:
    """A shape in words, how long it takes where nobody says, and at least: users are counted out once a second."""

    sentence: str
    seconds: float
    shortest: float = 1.0


ABOUT: Final = {
    Shape.RAMP: About("from one user to all of them over four fifths of the time, then all: where does it bend?", 120),
    Shape.STEADY: About("all users from ten seconds on: are the objectives met under this load?", 60),
    Shape.SPIKE: About("a tenth, all at once in the middle fifth, a tenth again: does it recover?", 120, 10),
    Shape.SOAK: About("a tide between 60 % and all users, ten minutes long, for hours: does anything leak?", 3_600),
}


@dataclass(frozen=True, slots=True)
class Course:
    """A shape with its size: at most `users` at a time, over `seconds`. Raises UsageError when out of bounds."""

    shape: Shape
    users: int
    seconds: float

    def __post_init__(self) -> None:
        if not 1 <= self.users <= MOST_USERS:
            raise UsageError(f"{self.users} users: give from 1 to {MOST_USERS}; more take several machines and tests")
        shortest = ABOUT[self.shape].shortest
        if not shortest <= self.seconds <= MOST_SECONDS:
            raise UsageError(f"a {self.shape} of {self.seconds:g} s: give from {shortest:g} s to {MOST_SECONDS:g} s")

    def users_at(self, seconds: float) -> int:
        """Return how many users there are so many seconds after the beginning; 0 before it and from the end on."""
        if not 0 <= seconds < self.seconds:
            return 0
        return min(self.users, max(1, round(self.users * _share(self.shape, seconds, self.seconds))))


def _share(shape: Shape, seconds: float, length: float) -> float:
    if shape is Shape.RAMP:
        return seconds / (length * _CLIMB)
    if shape is Shape.SPIKE:
        return 1 if _PEAK_FROM * length <= seconds < _PEAK_TO * length else _BASE
    rise = min(_RISE_SECONDS, length * _RISE)
    if seconds < rise:
        return seconds / rise
    if shape is Shape.STEADY:
        return 1
    tide = (1 + math.cos(2 * math.pi * (seconds - rise) / _TIDE_SECONDS)) / 2
    return _LOW_TIDE + (1 - _LOW_TIDE) * tide
