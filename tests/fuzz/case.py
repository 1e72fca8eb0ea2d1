"""What is fuzzed: targets that draw inputs from a seed, run them, and tell how deep each one came."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import random
    from pathlib import Path


class Depth(IntEnum):
    """How far an input came; each depth includes those before it."""

    REFUSED = 0
    DECODED = 1
    CANDIDATE = 2
    OPERATION = 3
    VALID = 4


class Case(NamedTuple):
    """An input: bytes from outside, and in words what they meet there. Together they are all that a run needs."""

    data: bytes
    context: str = ""


class Reached(NamedTuple):
    """What became of an input: how far it came, and what it met there (verdicts, kinds of refusal)."""

    depth: Depth
    met: tuple[str, ...] = ()


class Target(Protocol):
    """A part of the indexer that reads what strangers wrote."""

    @property
    def name(self) -> str: ...

    def draw(self, rng: random.Random) -> Case:
        """Make an input."""
        ...

    def run(self, case: Case) -> Reached:
        """Feed it; whatever is raised here is a finding."""
        ...


@dataclass(frozen=True)
class Finding:
    """An input that broke a promise, where it came from, and what it broke."""

    target: str
    seed: int
    number: int
    case: Case
    error: str
    trace: str
    signature: str

    def write(self, folder: Path) -> Path:
        """Write the finding as a file that `--replay` reads; return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.target}-{self.seed}-{self.number}.json"
        told = {
            "target": self.target,
            "error": self.error,
            "seed": self.seed,
            "number": self.number,
            "context": self.case.context,
            "data": self.case.data.hex(),
            "trace": self.trace.splitlines(),
        }
        path.write_text(json.dumps(told, indent=2) + "\n")
        return path


def read(path: Path) -> tuple[str, Case]:
    """Return the target and the input of a finding's file. Raises ValueError where it is none."""
    try:
        told = json.loads(path.read_text())
        return str(told["target"]), Case(bytes.fromhex(told["data"]), str(told["context"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no finding of the fuzzer ({type(error).__name__}: {error})") from error
