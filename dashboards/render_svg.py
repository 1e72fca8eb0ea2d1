"""Charts as SVG that grows with its place while its texts keep their size: readable on a laptop and on a phone.

A chart is three pictures: the values' axis of a fixed width, the plot that is stretched, and the time's axis whose
texts stand at percentages. Colours and sizes are the style sheet's, so that a page can be light or dark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.render_markup import Markup, element, joined
from dashboards.render_units import formatted, time_axis, value_axis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dashboards.model import Line
    from dashboards.render_data import Curve, Drawn, Window
    from dashboards.render_units import Axis

WIDTH = 1000.0
COLOURS = 8
# A tick so near to an end of the axis would stand half outside: it is written inwards.
EDGE = 0.02
# More than this many steps without a value are a hole in a curve.
HOLE_STEPS = 1.5


def chart(drawn: Drawn, window: Window, *, height: int = 170) -> Markup:
    """Return a panel's curves with both axes."""
    layers = _layers(drawn)
    axis = _axis(drawn, layers)
    plot = element(
        "svg",
        element("title", summary(drawn)),
        _grid(axis, height),
        *(_limit(line, axis, height) for line in drawn.panel.lines if axis.low <= line.value <= axis.high),
        _areas(layers, axis, window, height) if drawn.panel.stacked else None,
        *(_curve(n, layer, axis, window, height, drawn) for n, layer in enumerate(layers)),
        class_="plot",
        role="img",
        aria_label=summary(drawn),
        viewBox=f"0 0 {WIDTH:g} {height}",
        preserveAspectRatio="none",
        height=height,
    )
    return element("div", _values(axis, height), plot, _times(window), class_="chart")


def sparkline(drawn: Drawn, window: Window, *, height: int = 44) -> Markup:
    """Return a panel's curves alone."""
    layers = _layers(drawn)
    axis = _axis(drawn, layers)
    return element(
        "svg",
        element("title", summary(drawn)),
        _areas(layers, axis, window, height) if drawn.panel.stacked else None,
        *(_curve(n, layer, axis, window, height, drawn) for n, layer in enumerate(layers)),
        class_="plot spark",
        role="img",
        aria_label=summary(drawn),
        viewBox=f"0 0 {WIDTH:g} {height}",
        preserveAspectRatio="none",
        height=height,
    )


def swatch(number: int) -> Markup:
    """Return the colour of a curve, for its legend."""
    shape = {"rx": 2, "width": 12} if number < COLOURS else {"rx": 6, "width": 12}
    mark = element("rect", height=12, class_=f"f{number % COLOURS}", **shape)
    return element("svg", mark, class_="swatch", width=12, height=12, aria_hidden="true")


def summary(drawn: Drawn) -> str:
    """Return in words what a picture of curves shows."""
    unit, parts = drawn.panel.unit, []
    for curve in drawn.curves:
        values = [value for _, value in curve.points]
        low, high = (formatted(value, unit) for value in (min(values), max(values)))
        now = "no value any more" if curve.now is None else f"now {formatted(curve.now, unit)}"
        parts.append(f"{curve.legend or 'value'}: {now}, between {low} and {high}")
    return f"{drawn.panel.title}. {'; '.join(parts)}."


def stacked(curves: Sequence[Curve]) -> list[list[tuple[float, float]]]:
    """Return for each curve its points on top of those of the curves before it."""
    sums: dict[float, float] = dict.fromkeys(sorted({at for curve in curves for at, _ in curve.points}), 0.0)
    layers = []
    for curve in curves:
        for at, value in curve.points:
            sums[at] += value
        layers.append(sorted(sums.items()))
    return layers


def _layers(drawn: Drawn) -> list[list[tuple[float, float]]]:
    return stacked(drawn.curves) if drawn.panel.stacked else [list(curve.points) for curve in drawn.curves]


def _axis(drawn: Drawn, layers: Sequence[Sequence[tuple[float, float]]]) -> Axis:
    values = [value for layer in layers for _, value in layer]
    low = 0.0 if drawn.panel.stacked else min(values)
    return value_axis(low, max(values), drawn.panel.unit, tuple(line.value for line in drawn.panel.lines))


def _curve(  # noqa: PLR0913, PLR0917 - a curve, where it is drawn, and how
    number: int, points: list[tuple[float, float]], axis: Axis, window: Window, height: int, drawn: Drawn
) -> Markup:
    colour = number % COLOURS
    label = element("title", drawn.curves[number].legend or drawn.panel.title)
    ways = []
    for part in _without_holes(points, window.step):
        spots = [(_x(at, window), _y(value, axis, height)) for at, value in part]
        # A single point has no length: it is drawn as a stroke of a step.
        ways.append(_way(spots if len(spots) > 1 else [spots[0], (spots[0][0] + 2.0, spots[0][1])]))
    # Behind the last colour the first one comes again, and is told apart by its dashes.
    again = " again" if number >= COLOURS else ""
    return element("path", label, d="".join(ways), class_=f"curve s{colour}{again}")


def _areas(layers: list[list[tuple[float, float]]], axis: Axis, window: Window, height: int) -> Markup:
    """Return what lies between each layer of a stack and the one below it."""
    shapes, below = [], [(at, 0.0) for at, _ in layers[0]]
    for number, layer in enumerate(layers):
        around = [(_x(at, window), _y(value, axis, height)) for at, value in [*layer, *reversed(below)]]
        shapes.append(element("path", d=f"{_way(around)}Z", class_=f"area f{number % COLOURS}"))
        below = layer
    return joined(*shapes)


def _way(spots: Sequence[tuple[float, float]]) -> str:
    return "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)


def _without_holes(points: Sequence[tuple[float, float]], step: float) -> Iterator[list[tuple[float, float]]]:
    part: list[tuple[float, float]] = []
    for point in points:
        if part and point[0] - part[-1][0] > HOLE_STEPS * step:
            yield part
            part = []
        part.append(point)
    if part:
        yield part


def _limit(line: Line, axis: Axis, height: int) -> Markup:
    """Return a threshold, with what lies beyond it tinted."""
    y = _y(line.value, axis, height)
    top, bottom = (y, float(height)) if line.below else (0.0, y)
    beyond = element(
        "rect", x=0, y=f"{top:.1f}", width=WIDTH, height=f"{bottom - top:.1f}", class_=f"beyond {line.severity}"
    )
    return joined(beyond, element("path", d=f"M0,{y:.1f} {WIDTH:g},{y:.1f}", class_=f"limit {line.severity}"))


def _grid(axis: Axis, height: int) -> Markup:
    return joined(
        element("path", d=f"M0,{_y(value, axis, height):.1f} {WIDTH:g},{_y(value, axis, height):.1f}", class_="grid")
        for value, _ in axis.ticks
    )


def _values(axis: Axis, height: int) -> Markup:
    texts = (
        element("text", text, x=62, y=f"{min(max(_y(value, axis, height) + 4, 10), height):.1f}", text_anchor="end")
        for value, text in axis.ticks
    )
    return element("svg", texts, class_="values", width=66, height=height, aria_hidden="true")


def _times(window: Window) -> Markup:
    texts = []
    for at, text in time_axis(window.start, window.end).ticks:
        share = (at - window.start) / window.seconds
        anchor = "start" if share < EDGE else "end" if share > 1 - EDGE else "middle"
        texts.append(element("text", text, x=f"{share:.2%}", y=12, text_anchor=anchor))
    return element("svg", texts, class_="times", height=16, aria_hidden="true")


def _x(at: float, window: Window) -> float:
    return (at - window.start) / window.seconds * WIDTH


def _y(value: float, axis: Axis, height: int) -> float:
    return height - (value - axis.low) / (axis.high - axis.low) * height
