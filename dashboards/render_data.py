"""A dashboard with its data: what a picture is drawn from, whoever draws it."""

from __future__ import annotations

import math
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from dashboards.metrics import interpolate
from dashboards.render_units import formatted
from dashboards.source import Source, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dashboards.model import Dashboard, Line, Panel
    from dashboards.source import Sample, Series

# As many points as a panel has room for.
POINTS = 180
# Prometheus itself refuses more than eleven thousand points; a year is more than it keeps.
LONGEST_SECONDS = 366 * 86_400.0
# A rate over less than four scrapes of 15 s has holes.
RATE_SECONDS = 60.0
# More curves than that cannot be told apart: the worst are drawn.
MOST_CURVES = 12
MOST_ROWS = 50
WORKERS = 4
NAME: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
# What every series of an environment has, and what no person asks about in a table.
HIDDEN: Final = frozenset({"__name__", "cluster", "place", "alertstate"})
DURATION: Final = re.compile(r"-?(\d+)([smhdw])")
SIZES: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Window:
    """The time that is shown, in whole seconds since the epoch; `end` is one of the steps from `start` on."""

    start: int
    end: int
    step: int

    @property
    def seconds(self) -> int:
        """How long it is."""
        return self.end - self.start

    @property
    def interval(self) -> float:
        """Over how long rates are taken, in seconds."""
        return max(RATE_SECONDS, 2.0 * self.step)


@dataclass(frozen=True, slots=True)
class Curve:
    """A series with its legend; `now` is its value at the window's end, None where it has none any more."""

    legend: str
    points: tuple[tuple[float, float], ...]
    now: float | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table's texts."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A panel with its data. `omitted` curves or rows are not shown; `problem` says why there is no data."""

    panel: Panel
    curves: tuple[Curve, ...] = ()
    table: Table | None = None
    omitted: int = 0
    problem: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return not self.curves and not (self.table and self.table.rows)

    @property
    def broken(self) -> Line | None:
        """Return the threshold that a curve is past at the window's end, a critical one before a warning."""
        values = [curve.now for curve in self.curves if curve.now is not None]
        past = [line for line in self.panel.lines for value in values if is_past(value, line)]
        return min(past, key=lambda line: line.severity, default=None)


@dataclass(frozen=True, slots=True)
class Picture:
    """A dashboard with its data; `panels` are in the dashboard's order."""

    dashboard: Dashboard
    cluster: str
    window: Window
    panels: tuple[Drawn, ...]
    warnings: tuple[str, ...] = ()


def is_past(value: float, line: Line) -> bool:
    """Return whether a value is bad by a threshold."""
    return value < line.value if line.below else value >= line.value


def moment(text: str, now: float) -> float:
    """Return seconds since the epoch of `now`, `-1h`, or a time such as `2026-01-31T09:00Z` (UTC without a zone).

    Raises ValueError with one line.
    """
    if text == "now":
        return now
    if found := DURATION.fullmatch(text):
        return now - int(found[1]) * SIZES[found[2]]
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is no time; say now, -1h, or 2026-01-31T09:00Z") from None


def window_of(start: str, end: str, now: float, points: int = POINTS) -> Window:
    """Return the window between two times as a person writes them. Raises ValueError with one line."""
    first, last = math.floor(moment(start, now)), math.floor(moment(end, now))
    if first >= last:
        raise ValueError(f"{start} is not before {end}; give an earlier start")
    if last - first > LONGEST_SECONDS or first < 0:
        raise ValueError(f"from {start} to {end} is more than a year; give a later start")
    step = max(1, math.ceil((last - first) / points))
    return Window(last - step * math.ceil((last - first) / step), last, step)


def fill(dashboard: Dashboard, source: Source, *, cluster: str, window: Window, within: float = 30.0) -> Picture:
    """Ask for the data of all panels, for at most `within` seconds and one answer; what fails says so in its panel."""
    deadline = time.monotonic() + within

    def one(panel: Panel) -> Drawn:
        return _filled(panel, source, cluster, window, deadline)

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="panel") as pool:
        panels = tuple(pool.map(one, dashboard.panels))
    return Picture(dashboard, cluster, window, panels, tuple(source.warnings))


def _filled(panel: Panel, source: Source, cluster: str, window: Window, deadline: float) -> Drawn:
    curves: list[Curve] = []
    samples: list[tuple[str, list[Sample]]] = []
    try:
        for query in panel.queries:
            asked = replace(source, timeout=min(source.timeout, _left(deadline)))
            expr = interpolate(query.expr, cluster=cluster, interval=window.interval, range=float(window.seconds))
            if panel.kind == "table":
                samples.append((query.legend, asked.instant(expr, window.end)))
            else:
                found = asked.range(expr, window.start, window.end, window.step)
                curves += [_curve(series, query.legend, window) for series in found if series.points]
    except (SourceError, ValueError) as error:
        return Drawn(panel, problem=str(error))
    if panel.kind == "table":
        table = _table(panel, samples)
        return Drawn(panel, table=replace(table, rows=table.rows[:MOST_ROWS]), omitted=_over(table.rows, MOST_ROWS))
    return Drawn(panel, _shown(curves, panel), omitted=_over(curves, MOST_CURVES))


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise SourceError("Prometheus took too long with the panels before; ask for a shorter time")
    return left


def _over(found: Sequence[object], most: int) -> int:
    return max(0, len(found) - most)


def _curve(series: Series, legend: str, window: Window) -> Curve:
    at, value = series.points[-1]
    return Curve(_legend(legend, series.labels), series.points, value if at > window.end - window.step else None)


def _shown(curves: list[Curve], panel: Panel) -> tuple[Curve, ...]:
    """Return the worst curves: those with the largest values, or the smallest where being below a line is bad."""

    def badness(curve: Curve) -> float:
        values = [value for _, value in curve.points]
        return -min(values) if any(line.below for line in panel.lines) else max(values)

    worst = sorted(curves, key=badness, reverse=True)[:MOST_CURVES]
    return tuple(sorted(worst, key=lambda curve: curve.legend))


def _legend(template: str, labels: Mapping[str, str]) -> str:
    return NAME.sub(lambda found: labels.get(found[1], ""), template)[:80]


def _table(panel: Panel, answers: list[tuple[str, list[Sample]]]) -> Table:
    """Return a table of labels and, behind them, a column a query; series of the same labels are one row."""
    several = len(answers) > 1
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    names = panel.columns or _names([sample for _, samples in answers for sample in samples])
    for legend, samples in answers:
        for sample in samples:
            row = rows.setdefault(tuple(sample.labels.get(name, "") for name in names), {})
            row[legend if several else panel.value] = formatted(sample.value, panel.unit)
    values = [legend for legend, _ in answers] if several else [panel.value]
    texts = ((*labels, *(row.get(value, "") for value in values)) for labels, row in rows.items())
    return Table((*names, *values), tuple(sorted(texts)))


def _names(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Return the labels that tell series apart."""
    return tuple(sorted({name for sample in samples for name in sample.labels} - HIDDEN))
