"""A dashboard: rows of panels, each with what it shows, in which unit, where the lines are, and what has filled it.

Queries may use `$cluster` (the environment's label), `$__rate_interval` and `$__range`; each renderer puts them in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["timeseries", "table"]


class Unit(StrEnum):
    """Units, by Grafana's ids."""

    NUMBER = "short"
    PER_SECOND = "reqps"
    OPERATIONS_PER_SECOND = "ops"
    SECONDS = "s"
    RATIO = "percentunit"
    BYTES_PER_SECOND = "Bps"
    BOOLEAN = "bool_on_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A PromQL query; `legend` may name labels as `{{instance}}`."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A threshold: from `value` on (below it, where `below`) it is bad; `source` is the objective or alert it is of."""

    value: float
    severity: Literal["warning", "critical"]
    source: str
    below: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel. `description` says what it shows and what a person does when it looks wrong; `witness` what fills it.

    `columns` are the labels that a table shows, in this order; the value stands behind them, named by `value`.
    """

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    witness: str
    kind: Kind = "timeseries"
    lines: tuple[Line, ...] = ()
    stacked: bool = False
    columns: tuple[str, ...] = ()
    value: str = "Value"
    width: int = 8  # of 24 columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A dashboard; `uid` never changes, since links and runbooks name it."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, in order."""
        return tuple(panel for row in self.rows for panel in row.panels)
