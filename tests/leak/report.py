"""Whether what is held grows with the blocks: slopes, their bounds, and how that looks."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.leak.check import Watched

# Whatever is kept of each block is at least one object.
OBJECTS_A_BLOCK = 0.25
# Blocks prepared ahead and a working set that a fork emptied are more or less from sample to sample: over few blocks
# that is a slope. Over the 7 500 that are judged of a leg of the whole check it is a quarter of an object a block.
NOISE_OBJECTS = 2_000
# A year of the main network (52 560 blocks) may cost 13 MB: less than what a process takes more or less by chance.
BYTES_A_BLOCK = 256
# Resident memory moves in steps, when an allocator takes or returns an arena. Over few blocks such a step is a slope.
NOISE_BYTES = 2 << 20
WARM_UP = 0.25  # of a leg: until caches are full and allocators have what they need
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40
WIDTH = 150  # where the output is no terminal


@dataclass(frozen=True)
class Series:
    """One quantity of one process during a leg, after the warm-up; heights ascending."""

    leg: str
    process: str
    quantity: str
    heights: tuple[int, ...]
    values: tuple[int, ...]

    @property
    def slope(self) -> float:
        """How much it grows a block: the median of the slopes between any two samples, which no outlier moves."""
        points = zip(self.heights, self.values, strict=True)
        return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if b[0] > a[0])

    @property
    def bound(self) -> float:
        """How much it may grow a block."""
        blocks = self.heights[-1] - self.heights[0]
        if self.quantity == "objects":
            return OBJECTS_A_BLOCK + NOISE_OBJECTS / blocks
        return BYTES_A_BLOCK + NOISE_BYTES / blocks

    @property
    def grows(self) -> bool:
        return self.slope > self.bound

    @property
    def sparkline(self) -> str:
        """The values as bars, from the lowest to the highest."""
        low, spread = min(self.values), max(max(self.values) - min(self.values), 1)
        step = max(len(self.values) / _WIDTH, 1)
        shown = [self.values[int(at * step)] for at in range(int(len(self.values) / step))]
        return "".join(_BARS[(value - low) * (len(_BARS) - 1) // spread] for value in shown)


def series(watched: Watched) -> list[Series]:
    """Return what is judged of a run."""
    found = []
    for leg in dict.fromkeys(sample.leg for sample in watched.samples):
        samples = [sample for sample in watched.samples if sample.leg is leg]
        settled = samples[int(len(samples) * WARM_UP) :]
        for process in ("main", "workers"):
            held = [(sample.height, one) for sample in settled if (one := getattr(sample, process)) is not None]
            if len(held) > 2:
                heights, values = zip(*held, strict=True)
                found += [
                    Series(leg, process, "resident", heights, tuple(each.resident for each in values)),
                    Series(leg, process, "objects", heights, tuple(each.objects for each in values)),
                ]
    return found


def peak(watched: Watched) -> int:
    """Return the most resident bytes seen at once."""
    return max(sample.main.resident + (sample.workers.resident if sample.workers else 0) for sample in watched.samples)


def show(watched: Watched, found: Sequence[Series]) -> None:
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=WIDTH, highlight=False)
    table = Table("leg", "process", "quantity", "first", "last", "slope a block", "bound", "", "over the blocks")
    for each in found:
        verdict = "[red]grows[/]" if each.grows else "[green]flat[/]"
        slope, bound = (f"{value:.3f}" if each.quantity == "objects" else f"{value:.0f} B" for value in _both(each))
        ends = (_shown(each, each.values[0]), _shown(each, each.values[-1]))
        table.add_row(each.leg, each.process, each.quantity, *ends, slope, bound, verdict, each.sparkline)
    console.print(table)
    console.print(
        f"{watched.blocks:,} blocks in {watched.seconds:.0f} s, {watched.reorgs} reorgs, {watched.failures} failures of"
        f" the node, peak memory {peak(watched) / 1e6:.0f} MB"
    )


def figures(watched: Watched, found: Sequence[Series]) -> dict[str, Any]:
    return {
        "blocks": watched.blocks,
        "seconds": round(watched.seconds, 1),
        "reorgs": watched.reorgs,
        "failures": watched.failures,
        "peak_bytes": peak(watched),
        "series": [
            {
                "leg": each.leg,
                "process": each.process,
                "quantity": each.quantity,
                "slope": round(each.slope, 4),
                "bound": round(each.bound, 4),
                "grows": each.grows,
                "heights": each.heights,
                "values": each.values,
            }
            for each in found
        ],
    }


def _both(each: Series) -> tuple[float, float]:
    return each.slope, each.bound


def _shown(each: Series, value: int) -> str:
    return f"{value:,}" if each.quantity == "objects" else f"{value / 1e6:.1f} MB"
