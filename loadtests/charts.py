"""Line charts as SVG, to stand in a page that asks for nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 720, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 12, 12, 26
POINTS: Final = 600  # of a line: more than a point a pixel is not seen
_TICKS = 4


@dataclass(frozen=True, slots=True)
class Line:
    """A line: (seconds, value) in order of time; where a value is None it has a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Limit:
    """A horizontal line: what may not be passed."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart; `unit` stands behind the numbers of its axis."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    limit: Limit | None = None

    def svg(self) -> str:
        """Draw it; colours are by class (`line-0` and so on), so that the page decides on them."""
        scale = _Scale.of(self)
        parts = [*_grid(scale, self.unit)]
        if self.limit is not None and self.limit.value <= scale.top:
            y = scale.y(self.limit.value)
            parts.append(f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts += [
            f'<path class="line line-{number}" d="{_path(scale, line.points)}"/>'
            for number, line in enumerate(self.lines)
        ]
        label = escape(self.title, quote=True)
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'

    def figure(self) -> str:
        """Draw it with its title and a legend."""
        keys = [f'<span class="key key-{number}">{escape(line.name)}</span>' for number, line in enumerate(self.lines)]
        if self.limit is not None:
            keys.append(f'<span class="key key-limit">{escape(self.limit.name)}</span>')
        return f"<figure><figcaption><b>{escape(self.title)}</b> {' '.join(keys)}</figcaption>{self.svg()}</figure>"


@dataclass(frozen=True, slots=True)
class _Scale:
    seconds: float
    top: float

    @classmethod
    def of(cls, chart: Chart) -> _Scale:
        highest = max((value for line in chart.lines for _, value in line.points if value is not None), default=0.0)
        if chart.limit is not None and chart.limit.value <= highest * 4:
            highest = max(highest, chart.limit.value)  # near enough to be shown without flattening the lines
        last = max((seconds for line in chart.lines for seconds, _ in line.points), default=1.0)
        return cls(max(last, 1.0), _round_up(highest))

    def x(self, seconds: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * seconds / self.seconds

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / self.top


def thinned(points: Sequence[tuple[float, float | None]], most: int = POINTS) -> list[tuple[float, float | None]]:
    """Return at most so many points: of each stretch the highest, since a peak is what a reader looks for."""
    size = -(-len(points) // most) or 1
    stretches = [points[first : first + size] for first in range(0, len(points), size)]
    return [max(stretch, key=lambda point: -1.0 if point[1] is None else point[1]) for stretch in stretches]


def _path(scale: _Scale, points: Sequence[tuple[float, float | None]]) -> str:
    parts: list[str] = []
    pen = "M"
    for seconds, value in thinned(points):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{scale.x(seconds):.1f} {scale.y(value):.1f}")
        pen = "L"
    return "".join(parts)


def _grid(scale: _Scale, unit: str) -> list[str]:
    parts = []
    for tick in range(_TICKS + 1):
        value, seconds = scale.top * tick / _TICKS, scale.seconds * tick / _TICKS
        y, x = scale.y(value), scale.x(seconds)
        anchor = "start" if tick == 0 else "end" if tick == _TICKS else "middle"
        parts += [
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}{escape(unit)}</text>',
            f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{_clock(seconds)}</text>',
        ]
    return parts


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1, 2, 4, 5, 8, 10) if value <= step * size * (1 + 1e-9))
