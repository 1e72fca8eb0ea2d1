"""Dashboards with data of which every test knows what it is."""

from __future__ import annotations

from typing import Any

from dashboards.model import Dashboard, Panel, Query, Row, Unit
from dashboards.render_data import Curve, Drawn, Picture, Window

# 2026-11-30 08:00:00 UTC, and the hour before it.
END = 1_796_025_600
WINDOW = Window(END - 3_600, END, 20)
HOSTILE = "<script>alert('$x$')</script>"


def panel(title: str = "Requests", unit: Unit = Unit.PER_SECOND, **changes: Any) -> Panel:  # noqa: ANN401 - whatever a panel takes
    given: dict[str, Any] = {
        "title": title,
        "description": f"What {title} shows.",
        "unit": unit,
        "queries": (Query(expr='sum(rate(x{cluster="$cluster"}[$__rate_interval]))', legend="all"),),
        "witness": "load",
    }
    return Panel(**(given | changes))


def curve(legend: str, *values: float, missing: range = range(0)) -> Curve:
    """A curve whose values are repeated over the hour, with a hole at the steps `missing`."""
    moments = range(WINDOW.start, WINDOW.end + 1, WINDOW.step)
    points = tuple((float(at), values[n % len(values)]) for n, at in enumerate(moments) if n not in missing)
    return Curve(legend, points, points[-1][1] if points[-1][0] == END else None)


def picture(*panels: Drawn) -> Picture:
    board = Dashboard(
        uid="test",
        title="A dashboard",
        description="For tests.",
        rows=(Row(title="A row", panels=tuple(each.panel for each in panels)),),
    )
    return Picture(board, "local", WINDOW, panels)
