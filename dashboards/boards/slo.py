"""The objectives: what is left of each budget, and how fast it burns. Written by `alerts/slo.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alerts.burn import WINDOWS, alert_name, severity
from alerts.model import Severity
from alerts.slo import slo
from dashboards.model import Dashboard, Panel, Query, Row, Unit
from dashboards.writing import above

if TYPE_CHECKING:
    from alerts.burn import Tier
    from alerts.slo import Objective
    from dashboards.model import Line

# What makes an objective's requests or moments bad, and lets them be good again.
WITNESS: Final = {
    "api-availability": "database-stopped",
    "api-latency": "slow-queries",
    "sql-latency": "slow-queries",
    "indexing-freshness": "sync-stopped",
    "backup-freshness": "backups-gone",
}


def _line(objective: Objective, tier: Tier) -> Line:
    pages = severity(objective, tier) is Severity.CRITICAL
    return above(tier.factor, alert_name(objective), "critical" if pages else "warning")


def _row(objective: Objective, window: str) -> Row:
    counted = "minutes" if objective.moment else "requests"
    where = f'{{cluster="$cluster", slo="{objective.name}"}}'
    left = Panel(
        title=f"{objective.title}: budget left",
        description=f"{objective.target:g} % of {counted} have to be good over {window}: the share of the bad ones that"
        f" may still come. {objective.reason}",
        unit=Unit.RATIO,
        queries=(Query(expr=f"slo:budget_remaining:ratio{where}", legend="left"),),
        witness=WITNESS[objective.name],
        width=12,
    )
    burn = Panel(
        title=f"{objective.title}: speed of burning",
        description=f"How many times faster than it may the budget is spent, by window. At 1 it is just gone after"
        f" {window}; the lines are where somebody is called.",
        unit=Unit.NUMBER,
        queries=tuple(
            Query(expr=f"slo:bad:ratio_rate{tier.long}{where} / {objective.budget:g}", legend=tier.long)
            for tier in WINDOWS
        ),
        witness=WITNESS[objective.name],
        lines=tuple(_line(objective, tier) for tier in WINDOWS),
        width=12,
    )
    return Row(title=objective.title, panels=(left, burn))


DASHBOARD = Dashboard(
    uid="slo",
    title="SLO budgets",
    description="What is left of the error budget of each objective, and how fast it is spent.",
    rows=tuple(_row(objective, slo().window) for objective in slo().objectives),
)
