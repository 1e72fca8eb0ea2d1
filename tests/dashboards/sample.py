"""A small dashboard without a fault, of which tests break one thing at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dashboards.model import Dashboard, Line, Panel, Query, Row, Unit

EXPR = 'sum by (code) (rate(answers_total{cluster="$cluster"}[$__rate_interval]))'
PANEL = Panel(
    title="Answers",
    description="Answers a second, by the class of their status.",
    unit=Unit.PER_SECOND,
    queries=(Query(expr=EXPR, legend="{{code}}"),),
    witness="load",
    lines=(Line(value=5, severity="warning", source="TooMany"),),
)


def board(*panels: Panel, **changes: Any) -> Dashboard:  # noqa: ANN401 - any field of the dashboard
    made = Dashboard(
        uid="sample",
        title="Sample",
        description="What a sample shows.",
        rows=(Row(title="A row", panels=panels or (PANEL,)),),
    )
    return replace(made, **changes)


def panel(**changes: Any) -> Panel:  # noqa: ANN401 - any field of the panel
    return replace(PANEL, **changes)


def asking(*expressions: str) -> Dashboard:
    return board(panel(queries=tuple(Query(expr=e, legend=f"curve {n}") for n, e in enumerate(expressions))))
