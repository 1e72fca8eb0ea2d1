"""What most panels are made of, so that a dashboard's file reads as what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from alerts.slo import slo
from dashboards.model import Line, Query

if TYPE_CHECKING:
    from collections.abc import Iterable

CLUSTER = 'cluster="$cluster"'


def one(expr: str, legend: str) -> tuple[Query]:
    """Return a panel's only query."""
    return (Query(expr=" ".join(expr.split()), legend=legend),)


def quantile(q: float, histogram: str, *, by: Iterable[str] = (), where: str = "") -> str:
    """Return the query of a quantile of a histogram; NaN where nothing was observed."""
    labels = ", ".join((*by, "le"))
    matchers = ", ".join(part for part in (CLUSTER, where) if part)
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket{{{matchers}}}[$__rate_interval])))"


def quantiles(histogram: str, *, where: str = "") -> tuple[Query, ...]:
    """Return the queries of the 50th, 95th and 99th percentile."""
    return tuple(
        Query(expr=quantile(q, histogram, where=where), legend=legend)
        for q, legend in ((0.5, "half of all"), (0.95, "95 %"), (0.99, "99 %"))
    )


def above(value: float, source: str, severity: Literal["warning", "critical"] = "warning") -> Line:
    """Return the line above which it is bad."""
    return Line(value=value, severity=severity, source=source)


def below(value: float, source: str, severity: Literal["warning", "critical"] = "warning") -> Line:
    """Return the line below which it is bad."""
    return Line(value=value, severity=severity, source=source, below=True)


def limit(objective: str) -> Line:
    """Return the line of an objective of latency: what a request may take, in seconds. Raises KeyError, ValueError."""
    seconds = slo()[objective].limit_seconds
    if seconds is None:
        raise ValueError(f"the objective {objective} has no limit_seconds to draw")
    return Line(value=seconds, severity="warning", source=objective)


def budget(objective: str) -> Line:
    """Return the line of an objective: the share that may be bad. Raises KeyError."""
    return Line(value=slo()[objective].budget, severity="warning", source=objective)


def share(part: str, whole: str, floor: float) -> str:
    """Return the query of a share of rates; `floor` a second is the least that counts as whole.

    Without it nothing divided by nothing is NaN, and a single error at night is a share of one.
    """
    return f"{part} / clamp_min({whole}, {floor:g})"
