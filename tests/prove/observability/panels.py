"""Does a panel show something, move under its witness, and come back?"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from dashboards.catalog import dashboards
from dashboards.metrics import interpolate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dashboards.model import Dashboard, Panel
    from tests.prove.observability.stage import Stage

Key: TypeAlias = "tuple[int, tuple[tuple[str, str], ...]]"
Values: TypeAlias = "dict[Key, list[float]]"

RATE_INTERVAL = RANGE = 10.0  # seconds: five scrapes
SHARE_OF_SPREAD, SHARE_OF_LEVEL = 0.2, 0.05  # beyond what it was in quiet by these: it has moved
BACK = 0.7  # of the way that it had gone


@dataclass(frozen=True, slots=True)
class Move:
    """A series that left what it was in quiet: its bounds then (none: it was not there), and the farthest it went."""

    key: Key
    bounds: tuple[float, float] | None
    farthest: float


@dataclass(slots=True)
class Verdict:
    """What was seen of one panel."""

    uid: str
    panel: Panel
    filled: bool = False
    moved: bool = False
    returned: bool = False
    errors: list[str] = field(default_factory=list)

    @property
    def said(self) -> str:
        what = [name for name in ("filled", "moved", "returned") if not getattr(self, name)]
        failing = f"NOT {', not '.join(what)}" if what else "filled, moved, returned"
        return f"panel {self.uid}: {self.panel.title}: {failing} {' '.join(self.errors)}".rstrip()

    @property
    def holds(self) -> bool:
        return self.filled and self.moved and self.returned and not self.errors


def of_witness(name: str) -> Iterator[tuple[Dashboard, Panel]]:
    """Return the panels that a witness fills."""
    for board in dashboards():
        for panel in board.panels:
            if panel.witness == name:
                yield board, panel


def queries(panel: Panel, cluster: str) -> list[str]:
    return [interpolate(query.expr, cluster=cluster, interval=RATE_INTERVAL, range=RANGE) for query in panel.queries]


def values(stage: Stage, panel: Panel, start: float, end: float) -> Values:
    """Return all finite values of a panel's series over a time. Raises AssertionError where a query is refused."""
    cluster = stage.environment.metrics.labels["cluster"]
    found: Values = {}
    for number, expr in enumerate(queries(panel, cluster)):
        for series in stage.over(expr, start, end):
            finite = [value for _, value in series.points if math.isfinite(value)]
            if finite:
                found[number, tuple(sorted(series.labels.items()))] = finite
    return found


def moves(quiet: Values, seen: Values) -> list[Move]:
    """Return the series that were elsewhere than in quiet, or not there at all then."""
    found = []
    for key, points in seen.items():
        before = quiet.get(key)
        if before is None:
            found.append(Move(key, None, max(points, key=abs)))
            continue
        low, high = min(before), max(before)
        margin = max(SHARE_OF_SPREAD * (high - low), SHARE_OF_LEVEL * max(abs(low), abs(high)), 1e-9)
        farthest = max(points, key=lambda value: max(low - value, value - high))
        if not low - margin <= farthest <= high + margin:
            found.append(Move(key, (low, high), farthest))
    # Of the five worst one goes when another comes: what is gone counts where nothing else has moved.
    gone = [Move(key, (min(points), max(points)), math.nan) for key, points in quiet.items() if key not in seen]
    return found or gone


def returned(moved: Sequence[Move], latest: Mapping[Key, list[float]]) -> bool:
    """Say whether each series that moved is back where it was, or gone again where it had not been.

    What moved less than half as far as the farthest is left aside: tables grow and connections come beside any fault.
    """
    farthest = max((way for way in map(_way, moved) if math.isfinite(way)), default=0.0)
    return all(_is_back(move, latest.get(move.key)) for move in moved if not _way(move) < farthest / 2)


def _way(move: Move) -> float:
    """Return how far a series went: from its bounds, from nothing where it had none; NaN where it was gone."""
    if move.bounds is None:
        return abs(move.farthest)
    return max(move.bounds[0] - move.farthest, move.farthest - move.bounds[1])


def _is_back(move: Move, latest: list[float] | None) -> bool:
    if not latest:
        return move.bounds is None
    if move.bounds is None:
        return abs(latest[-1]) <= (1 - BACK) * abs(move.farthest)
    low, high = move.bounds
    if math.isnan(move.farthest):
        return True  # it had been gone
    return max(low - latest[-1], latest[-1] - high) <= (1 - BACK) * _way(move)
