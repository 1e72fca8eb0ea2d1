"""A dashboard with its data as a PNG: for reports and chats, which show no HTML."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dashboards.render_html import COLUMNS, NO_DATA, span
from dashboards.render_svg import stacked
from dashboards.render_units import formatted, time_axis, value_axis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

    from dashboards.model import Panel
    from dashboards.render_data import Drawn, Picture, Window

DPI = 100
WIDTH, MARGIN, GAP = 14.0, 0.25, 0.18  # inches
HEAD, ROW_HEAD = 0.85, 0.34
PLOT, LINE = 1.75, 0.17  # the height of a plot, and of a line of small text
SIZES: Final = {"title": 15, "row": 11.5, "panel": 10, "small": 7.5}
INK, SOFT, EDGE = "#1b2430", "#57606c", "#d9dee4"
SEVERITIES: Final = {"critical": "#c1121f", "warning": "#9a6700"}
CURVES: Final = ("#0072b2", "#d55e00", "#00805f", "#a8418a", "#8a6d00", "#3d8fd1", "#6f5bd0", "#6b6b6b")
SMALL_PER_INCH = 18  # characters of small text that an inch has room for
MOST_ROWS = 12


@dataclass(frozen=True, slots=True)
class Box:
    """A panel's place, in inches from the left and from the top."""

    left: float
    top: float
    width: float
    height: float


def png(picture: Picture) -> bytes:
    """Draw a dashboard. Of matplotlib nothing global is used or changed, so threads may draw at the same time."""
    boxes, heads, height = _places(picture)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    page = _Page(figure, height)
    page.text(MARGIN, 0.38, picture.dashboard.title, "title", weight="bold")
    page.text(MARGIN, 0.64, f"{picture.cluster} · {span(picture.window)}", "row", color=SOFT)
    for top, title in heads:
        page.text(MARGIN, top + 0.24, title, "row", weight="bold")
    for drawn, box in zip(picture.panels, boxes, strict=True):
        _panel(page, drawn, box, picture.window)
    target = BytesIO()
    # Without the program's name and version the same data gives the same bytes for longer.
    figure.savefig(target, format="png", metadata={"Software": None})
    return target.getvalue()


@dataclass(frozen=True, slots=True)
class _Page:
    """A figure measured in inches from the top, as a page is read."""

    figure: Figure
    height: float

    def text(self, left: float, top: float, text: str, size: str, **how: Any) -> None:  # noqa: ANN401 - matplotlib's own
        """Write a text with its baseline at `top`."""
        given: dict[str, Any] = {"color": INK, "fontsize": SIZES[size], "parse_math": False} | how
        self.figure.text(left / WIDTH, 1 - top / self.height, text, **given)

    def axes(self, box: Box) -> Axes:
        """Return axes at a place."""
        bottom = 1 - (box.top + box.height) / self.height
        return self.figure.add_axes((box.left / WIDTH, bottom, box.width / WIDTH, box.height / self.height))

    def frame(self, box: Box, colour: str) -> None:
        """Draw a border."""
        from matplotlib.patches import Rectangle  # noqa: PLC0415 - beside its only use

        bottom = 1 - (box.top + box.height) / self.height
        corner, size = (box.left / WIDTH, bottom), (box.width / WIDTH, box.height / self.height)
        self.figure.add_artist(Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=0.8))


def _places(picture: Picture) -> tuple[list[Box], list[tuple[float, str]], float]:
    """Return each panel's place, each row's heading with its top, and the page's height."""
    boxes: list[Box] = []
    heads, top, drawn = [], HEAD, iter(picture.panels)
    unit = (WIDTH - 2 * MARGIN + GAP) / COLUMNS
    for row in picture.dashboard.rows:
        heads.append((top, row.title))
        top += ROW_HEAD
        for line in _lines([next(drawn) for _ in row.panels]):
            widths = [each.panel.width * unit - GAP for each in line]
            height = max(_height(each, width) for each, width in zip(line, widths, strict=True))
            left = MARGIN
            for width in widths:
                boxes.append(Box(left, top, width, height))
                left += width + GAP
            top += height + GAP
    return boxes, heads, top + 0.1


def _lines(panels: Sequence[Drawn]) -> Iterator[list[Drawn]]:
    """Break a row where its panels are wider than the page."""
    line: list[Drawn] = []
    for drawn in panels:
        if line and sum(each.panel.width for each in [*line, drawn]) > COLUMNS:
            yield line
            line = []
        line.append(drawn)
    if line:
        yield line


def _height(drawn: Drawn, width: float) -> float:
    head = 0.3 + LINE * len(_about(drawn.panel, width)) + 0.1
    below = LINE * len(drawn.panel.lines) + 0.1
    if drawn.problem or drawn.is_empty:
        return head + PLOT + below
    if drawn.table:
        return head + LINE * 1.25 * (min(len(drawn.table.rows), MOST_ROWS) + 2) + below
    return head + PLOT + 0.3 + LINE * len(drawn.curves) + below


def _about(panel: Panel, width: float) -> list[str]:
    return textwrap.wrap(panel.description, int(width * SMALL_PER_INCH), max_lines=3, placeholder=" …")


def _panel(page: _Page, drawn: Drawn, box: Box, window: Window) -> None:
    broken = drawn.broken
    page.frame(box, SEVERITIES[broken.severity] if broken else EDGE)
    left, top, inner = box.left + 0.1, box.top + 0.22, box.width - 0.2
    page.text(left, top, drawn.panel.title, "panel", weight="bold")
    if broken:
        right = {"color": SEVERITIES[broken.severity], "ha": "right", "weight": "bold"}
        page.text(box.left + box.width - 0.1, top, broken.severity, "small", **right)
    for line in _about(drawn.panel, inner):
        top += LINE
        page.text(left, top, line, "small", color=SOFT)
    top += 0.12
    _body(page, drawn, Box(left, top, inner, box.top + box.height - top), window)
    bottom = box.top + box.height - 0.08 - LINE * (len(drawn.panel.lines) - 1)
    for number, limit in enumerate(drawn.panel.lines):
        way = "below" if limit.below else "from"
        text = f"{limit.severity} {way} {formatted(limit.value, drawn.panel.unit)}: {limit.source}"
        page.text(left, bottom + LINE * number, text, "small", color=SEVERITIES[limit.severity])


def _body(page: _Page, drawn: Drawn, box: Box, window: Window) -> None:
    if drawn.problem or drawn.is_empty:
        text = drawn.problem or ("nothing to list" if drawn.panel.kind == "table" else NO_DATA)
        lines = textwrap.wrap(text, int(box.width * SMALL_PER_INCH), max_lines=5, placeholder=" …")
        for number, line in enumerate(lines):
            page.text(box.left, box.top + 0.5 + LINE * number, line, "small", color=SOFT)
    elif drawn.table:
        _table(page, drawn, box)
    else:
        _plot(page, drawn, box, window)


def _table(page: _Page, drawn: Drawn, box: Box) -> None:
    table = drawn.table
    if table is None:
        return
    rows = [table.columns, *table.rows[:MOST_ROWS]]
    lengths = [max(len(row[column]) for row in rows) + 2 for column in range(len(table.columns))]
    share = box.width / max(sum(lengths), 1)
    for number, row in enumerate(rows):
        left = box.left
        for text, length in zip(row, lengths, strict=True):
            room, colour = share * length, SOFT if number == 0 else INK
            page.text(left, box.top + LINE * 1.25 * (number + 1), _cut(text, room), "small", color=colour)
            left += room
    omitted = drawn.omitted + max(0, len(table.rows) - MOST_ROWS)
    if omitted:
        page.text(box.left, box.top + LINE * 1.25 * (len(rows) + 1), f"and {omitted} more", "small", color=SOFT)


def _cut(text: str, width: float) -> str:
    room = max(4, int(width * SMALL_PER_INCH))
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _plot(page: _Page, drawn: Drawn, box: Box, window: Window) -> None:
    axes = page.axes(Box(box.left + 0.55, box.top + 0.06, box.width - 0.6, PLOT))
    layers = stacked(drawn.curves) if drawn.panel.stacked else [list(curve.points) for curve in drawn.curves]
    values = [value for layer in layers for _, value in layer]
    low = 0.0 if drawn.panel.stacked else min(values)
    axis = value_axis(low, max(values), drawn.panel.unit, tuple(line.value for line in drawn.panel.lines))
    _frame(axes, axis.ticks, time_axis(window.start, window.end).ticks)
    for number, layer in enumerate(layers):
        colour = CURVES[number % len(CURVES)]
        times, heights = _with_holes(layer, window.step)
        style = "solid" if number < len(CURVES) else "dashed"
        axes.plot(times, heights, color=colour, linewidth=1.1, linestyle=style, marker="." if len(layer) == 1 else "")
        if drawn.panel.stacked:
            below = [value for _, value in layers[number - 1]] if number else [0.0] * len(layer)
            axes.fill_between([at for at, _ in layer], below, [value for _, value in layer], color=colour, alpha=0.35)
    for line in drawn.panel.lines:
        if axis.low <= line.value <= axis.high:
            colour = SEVERITIES[line.severity]
            axes.axhline(line.value, color=colour, linewidth=1, linestyle=(0, (5, 3)))
            axes.axhspan(*((axis.low, line.value) if line.below else (line.value, axis.high)), color=colour, alpha=0.06)
    axes.set_xlim(window.start, window.end)
    axes.set_ylim(axis.low, axis.high)
    _legend(page, drawn, Box(box.left, box.top + PLOT + 0.36, box.width, 0))


def _frame(axes: Axes, values: Sequence[tuple[float, str]], times: Sequence[tuple[float, str]]) -> None:
    axes.set_yticks([value for value, _ in values], [text for _, text in values], fontsize=SIZES["small"], color=SOFT)
    axes.set_xticks([at for at, _ in times], [text for _, text in times], fontsize=SIZES["small"], color=SOFT)
    axes.grid(axis="y", color=EDGE, linewidth=0.6)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(EDGE)


def _with_holes(points: Sequence[tuple[float, float]], step: float) -> tuple[list[float], list[float]]:
    """Return times and values with a NaN where values are missing: the curve is interrupted there."""
    times: list[float] = []
    values: list[float] = []
    for at, value in points:
        if times and at - times[-1] > 1.5 * step:
            times.append(at - step)
            values.append(float("nan"))
        times.append(at)
        values.append(value)
    return times, values


def _legend(page: _Page, drawn: Drawn, box: Box) -> None:
    for number, curve in enumerate(drawn.curves):
        top = box.top + LINE * (number + 1)
        values = [value for _, value in curve.points]
        told = (("now", curve.now), ("lowest", min(values)), ("highest", max(values)))
        unit = drawn.panel.unit
        texts = (f"{name} {'-' if value is None else formatted(value, unit)}" for name, value in told)
        page.text(box.left, top, "■" if number < len(CURVES) else "●", "small", color=CURVES[number % len(CURVES)])
        name = _cut(curve.legend or drawn.panel.title, box.width * 0.45)
        page.text(box.left + 0.14, top, name, "small")
        page.text(box.left + box.width, top, "  ".join(texts), "small", color=SOFT, ha="right")
