"""What the mutants of the alert rules say about the rules' tests."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alerts import rulebook
from tests.alerts.catalog import cases
from tests.alerts.recorded import recording
from tests.bench.progress import Progress
from tests.mutate.bench import Bench, kill, readers, unmissed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.mutate.bench import Result
    from tests.mutate.mutants import Mutant

FEWEST = 5
WORKERS = min(2, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Found:
    """What a run has found: names of alerts beside what became of the mutants."""

    result: Result
    few: list[str]
    unmissed: list[str]
    readers: list[str]

    @property
    def good(self) -> bool:
        return not (self.result.survivors or self.few or self.unmissed or self.readers)


def names() -> list[str]:
    """Return the names of all alerts."""
    return list(dict.fromkeys(alert.name for alert in rulebook.alerts()))


def examine(chosen: Sequence[str]) -> Found:
    """Run all mutants of the chosen alerts against the cases.

    Raises:
        BenchError: a case fails without a mutant.

    """
    bench = Bench(rulebook.alerts(), recording(rulebook.records()), cases())
    mutants = bench.mutants(chosen)
    with Progress("mutants", len(mutants)) as progress:
        result = kill(bench, mutants, workers=WORKERS, told=progress.at)
    counts = count(mutants)
    return Found(
        result,
        few=[name for name in chosen if counts[name] < FEWEST],
        unmissed=[name for name in unmissed(bench, result.killed) if name in chosen],
        readers=readers(bench),
    )


def count(mutants: Sequence[Mutant]) -> Counter[str]:
    """Return the number of mutants of each alert; a recorded series' count for all that read it."""
    return Counter(name for mutant in mutants for name in {user.name for user in mutant.users})
