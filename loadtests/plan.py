"""What a load test is: made once, handed to the process that runs it, and from there to its workers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal, TypeAlias

from loadtests.sample import Sample
from loadtests.shapes import Course, Shape

Role: TypeAlias = Literal["alone", "master", "worker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What users do, on whichever machine: `host` is the API's base URL, `think` a factor of their pauses.

    `share` is how many users a process has at most.
    """

    host: str
    seed: int
    think: float
    sample: Sample
    share: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One process's part. A worker has no course and no work: its master sends the work, and says how many users.

    `keys` are secrets: they reach a process by its standard input, and are never sent on to another machine.
    `listen` is where a master waits for `workers`, and what a worker connects to. `targets` is the directory in which
    Prometheus looks for the test's metrics, "" for none; `labels` are those of the environment.
    """

    role: Role
    course: Course | None = None
    work: Work | None = None
    workers: int = 0
    listen: tuple[str, int] = ("127.0.0.1", 0)
    targets: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    keys: tuple[str, ...] = ()

    def worker(self, master: tuple[str, int]) -> Plan:
        """Return the part of a worker of this master, on the same machine."""
        return Plan(role="worker", listen=master, keys=self.keys)

    def without_keys(self) -> Plan:
        """Return the part of a master: no user runs there."""
        return replace(self, keys=())

    def encode(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


def decode(text: str) -> Plan:
    """Return the plan that `encode` made a text of."""
    value = json.loads(text)
    course, work = value["course"], value["work"]
    return Plan(
        role=value["role"],
        course=None if course is None else Course(Shape(course["shape"]), course["users"], course["seconds"]),
        work=None if work is None else work_of(work),
        workers=value["workers"],
        listen=(value["listen"][0], value["listen"][1]),
        targets=value["targets"],
        labels=tuple((name, text) for name, text in value["labels"]),
        keys=tuple(value["keys"]),
    )


def work_of(value: dict[str, object]) -> Work:
    """Return the work that a decoded JSON object has."""
    host, seed, think, sample, share = (value[name] for name in ("host", "seed", "think", "sample", "share"))
    if not (
        isinstance(seed, int) and isinstance(think, float | int) and isinstance(sample, dict) and isinstance(share, int)
    ):
        raise TypeError("no work of a load test")
    return Work(host=str(host), seed=seed, think=float(think), sample=Sample.of(sample), share=share)
