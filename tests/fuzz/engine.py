"""Draw, run, count: inputs by how deep they came, and what broke."""

from __future__ import annotations

import random
import traceback
from collections import Counter
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.bounds import little_memory
from tests.fuzz.case import Depth, Finding
from tests.fuzz.chains import BLOCKS, Payloads
from tests.fuzz.decoding import Scripts, SpentOutputs, Transactions
from tests.fuzz.giants import Giants
from tests.fuzz.node import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fuzz.case import Case, Reached, Target

# How many inputs a round has of each, so that each gets a share of the time worth having.
ROUND = {
    "block-bytes": 3,
    "block-sealed": 3,
    "block-bent": 4,
    "payload": 20,
    "transaction": 30,
    "spent": 20,
    "script": 20,
}
ROUND |= {"node": 8}
ROUNDS_A_GIANT = 40
TARGETS: dict[str, Target] = {
    target.name: target for target in (*BLOCKS, Payloads(), Transactions(), SpentOutputs(), Scripts(), Node(), Giants())
}
MOST_FINDINGS = 20  # of different kinds; after that there is enough to do


@dataclass
class Tally:
    """What became of the inputs of one target."""

    depths: Counter[Depth] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)

    @property
    def inputs(self) -> int:
        return self.depths.total()

    def reached(self, depth: Depth) -> int:
        """Return how many inputs came as far as this, or farther."""
        return sum(number for found, number in self.depths.items() if found >= depth)

    def add(self, reached: Reached) -> None:
        self.depths[reached.depth] += 1
        self.met.update(map(str, reached.met))


@dataclass
class Outcome:
    """What a run counted and found."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    repeated: int = 0

    @property
    def inputs(self) -> int:
        return sum(tally.inputs for tally in self.tallies.values())

    @property
    def met(self) -> Counter[str]:
        """What inputs met, whatever the target."""
        return sum((tally.met for tally in self.tallies.values()), Counter())


def fuzz(seed: int, *, names: list[str] | None = None, is_over: Callable[[int], bool]) -> Outcome:
    """Feed inputs until it `is_over` (asked with their number so far). The same seed draws the same inputs."""
    outcome = Outcome({name: Tally() for name in names or TARGETS})
    with little_memory():
        for done, (name, number) in enumerate(_schedule(names or list(TARGETS))):
            if is_over(done) or len(outcome.findings) >= MOST_FINDINGS:
                return outcome
            _one(outcome, seed, name, number)
    return outcome


def _schedule(names: list[str]) -> Iterator[tuple[str, int]]:
    """Yield targets in their order, each with the number of the input that it is to draw."""
    numbers = {name: count() for name in names}
    for turn in cycle(range(ROUNDS_A_GIANT)):
        for name in names:
            share = ROUND.get(name, 1 if turn == 0 or names == [name] else 0)
            for _ in range(share):
                yield name, next(numbers[name])


def _one(outcome: Outcome, seed: int, name: str, number: int) -> None:
    target = TARGETS[name]
    case = target.draw(random.Random(f"{seed} {name} {number}"))
    try:
        outcome.tallies[name].add(target.run(case))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what we look for
        finding = _finding(error, seed, name, number, case)
        outcome.tallies[name].depths[Depth.REFUSED] += 1
        outcome.repeated += finding.signature in outcome.findings
        shorter = outcome.findings.setdefault(finding.signature, finding)
        if len(case.data) < len(shorter.case.data):
            outcome.findings[finding.signature] = finding


def _finding(error: BaseException, seed: int, name: str, number: int, case: Case) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return Finding(
        target=name,
        seed=seed,
        number=number,
        case=case,
        error=f"{said[:300]} (at {where})",
        trace="".join(traceback.format_exception(error, limit=-12)),
        signature=f"{name} {type(error).__name__} {where}",
    )
