"""What the client's process is told and what it tells: a load on one port, and how every request was answered."""

from __future__ import annotations

from enum import IntEnum
from itertools import accumulate
from typing import NamedTuple

import msgspec


class Group(msgspec.Struct, frozen=True):
    """Paths that are asked: by popularity (the first most often) or, where `each_once`, one after the other."""

    paths: list[str]
    each_once: bool = False
    share: float = 1.0  # of the load's requests


class Load(msgspec.Struct, frozen=True):
    """How a server is asked, for how long. Closed loop, or `rate` requests a second whatever the server does."""

    port: int
    groups: list[Group]
    keys: list[str] = []  # API keys, the first most often; none: no key is sent
    connections: int = 1
    seconds: float = 1.0  # that are measured
    settle: float = 0.0  # seconds before that
    rate: float = 0.0
    count: int = 0  # closed loop: stop after this many requests
    patience: float = 10.0  # seconds until a request counts as failed
    seed: int = 1
    samples: int = 0  # bodies that are handed back
    watched: dict[str, int] = {}  # processes whose CPU seconds are told, by name


class Failed(IntEnum):
    """What stands in the place of a status where there was none."""

    DROPPED = 0
    TIMED_OUT = 1
    UNREADABLE = 2


class Answer(NamedTuple):
    """A request: when it was due (seconds after the start), how long it took from then on, and what came back."""

    due: float
    seconds: float
    status: int
    group: int
    is_stale: bool = False
    age: int = 0  # seconds, as the answer says
    retry_after: bool = False
    size: int = 0  # bytes of the body

    @property
    def end(self) -> float:
        return self.due + self.seconds


class Sample(msgspec.Struct, frozen=True):
    """A body that came back under load."""

    path: str
    body: str


class Answered(msgspec.Struct, frozen=True):
    """What a load brought. `started` is a reading of the monotonic clock, which is the same in all processes."""

    started: float
    seconds: float
    answers: list[Answer]
    samples: list[Sample]
    cpu: dict[str, float]
    elsewhere: float  # share of the machine that others took
    idle_drops: int  # connections that were closed while nothing was asked on them


def zipf(count: int) -> list[float]:
    """Return cumulative weights of the ranks 0 to `count` - 1, each as popular as one by its place."""
    return list(accumulate(1 / (rank + 1) for rank in range(count)))
