"""What is generated from the rules and committed: their files, and the pages of objectives and alerts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from alerts import burn, render
from alerts.later import LATER
from alerts.model import EVERYWHERE, duration, seconds
from alerts.slo import PERCENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alerts.burn import Tier
    from alerts.model import Alert, Group, Scale
    from alerts.slo import Objective, Slo

NOTE = "<!-- Generated from {source}; do not edit. `.venv/bin/python .ci/check_alerts.py` writes it anew. -->"
# More are read as hours.
MANY_MINUTES = 100


def generated(groups: Sequence[Group], slo: Slo) -> dict[str, str]:
    """Return the texts by their files, named from the root of the repository."""
    files = {f"alerts/rules/{group.name}.yaml": rules_file(group) for group in groups}
    return files | {"docs/slo.md": slo_page(slo), "docs/alerts.md": alerts_page(groups, slo)}


def rules_file(group: Group) -> str:
    """Return the committed file of a group: real durations, all places."""
    source = "alerts/slo.yaml" if group.name == burn.NAME else f"alerts/families/{group.name}.py"
    return render.HEADER.format(source=source) + render.as_yaml(group)


# --- objectives ------------------------------------------------------------------------------------------------------
def slo_page(slo: Slo) -> str:
    """Return the page of the objectives, their budgets and how fast these may burn."""
    return "\n".join((*_objectives(slo), *_tiers(slo))) + "\n"


def _objectives(slo: Slo) -> Iterator[str]:
    yield "# Service level objectives\n"
    yield f"{NOTE.format(source='alerts/slo.yaml')}\n"
    yield "What users can rely on. Recording rules, burn-rate alerts, the load tests' thresholds and the lines on the"
    yield f"dashboards come from [slo.yaml](../alerts/slo.yaml). Budgets are counted over {slo.window}.\n"
    yield "| objective | target | budget | alert | answer |\n|---|---|---|---|---|"
    for each in slo.objectives:
        link = f"[{each.runbook}](runbooks/{each.runbook}.md)"
        yield f"| {each.title} | {_target(each)} | {budget(each, slo.window)} | `{burn.alert_name(each)}` | {link} |"
    for each in slo.objectives:
        yield f"\n**{each.title}.** {' '.join(each.reason.split())}"


def _target(objective: Objective) -> str:
    limit = f" within {objective.limit_seconds * 1000:g} ms" if objective.limit_seconds else ""
    return f"{objective.target:g} % of {burn.counted(objective)}{limit}"


def budget(objective: Objective, window: str) -> str:
    """Return how much may be bad, in what people count: minutes of the window, or requests."""
    if objective.moment:
        return f"{seconds(window) / 60 * objective.budget:.4g} minutes"
    return f"{objective.budget * 1000:g} of 1 000 requests"


def _tiers(slo: Slo) -> Iterator[str]:
    yield "\n## How fast a budget may burn\n"
    yield "Each objective has an alert in four tiers (label `tier`). A tier fires when the budget burns its number of"
    yield "times as fast as it may over the long window and over the short one: the long one says that it matters, the"
    yield "short one that it still goes on. A faster tier inhibits the slower ones. The last columns say how long a"
    yield "total outage lasts until the tier fires, by budget; `up to` where the long window is read from what was"
    yield f"recorded each {_spoken(burn.TILE)}, of which the newest may be as late.\n"
    shares = sorted({each.budget for each in slo.objectives})
    heads = "".join(f" outage, budget {share * PERCENT:g} % |" for share in shares)
    yield f"| tier | severity | long | short | times as fast | of the budget, in the long window | holds |{heads}"
    yield "|---" * (7 + len(shares)) + "|"
    for tier in burn.WINDOWS:
        gone = f"{burn.spent(tier, slo.window) * PERCENT:.0f} %"
        cells = (tier.tier, tier.severity, tier.long, tier.short, f"{tier.factor:g}", gone, tier.hold)
        yield f"| {' | '.join((*cells, *(noticed(tier, share) for share in shares)))} |"
    yield "\nObjectives of requests are silent below their least traffic, measured over the short window:"
    yield ", ".join(f"{each.title} {each.minimum_rate:g}/s" for each in slo.objectives if not each.moment) + "."
    yield "Objectives of minutes are silent until a tier's long window is known: after a first start two bad minutes"
    yield "would be all of them. What nobody reports, or nobody knows, counts neither as good nor as bad: where no"
    yield "process of the API answers, `NoApiInstance` speaks, and where the node does not, `BitcoinNodeDown`.\n"
    if calm := [each.title for each in slo.objectives if not each.page]:
        yield f"Pages nobody, all its tiers are warnings: {', '.join(calm)}.\n"
    yield "## Recorded series\n"
    yield "| series | is |\n|---|---|"
    yield "| `slo:bad:ratio_rate5m` … `slo:bad:ratio_rate30d` | share of bad requests or minutes, by `slo`, `cluster` |"
    yield "| `slo:total:rate5m` … `slo:total:rate6h` | requests a second |"
    yield "| `slo:budget:ratio` | the share that may be bad |"
    yield "| `slo:budget_remaining:ratio` | what is left of the budget: 1 all, 0 nothing, negative: overspent |"
    yield "| `slo:budget_exhaustion:seconds` | until it is spent, at the rate of label `window`; +Inf: nothing burns |"


def noticed(tier: Tier, share: float) -> str:
    """Return how long everything is bad until a tier fires; never where it cannot."""
    limit = tier.factor * share
    if limit >= 1:
        return "never"
    is_recorded = seconds(tier.long) >= seconds(burn.RECORDED_FROM)
    lasted = limit * seconds(tier.long) + (seconds(burn.TILE) if is_recorded else 0) + seconds(tier.hold)
    minutes = lasted / 60
    said = f"{minutes:.0f} min" if minutes < MANY_MINUTES else f"{minutes / 60:.1f} h"
    return f"up to {said}" if is_recorded else said


def _spoken(length: str) -> str:
    return f"{seconds(length) / 60:g} minutes"


# --- alerts ----------------------------------------------------------------------------------------------------------
def alerts_page(groups: Sequence[Group], slo: Slo) -> str:
    """Return the page of all alerts."""
    lines = [
        "# Alerts\n",
        f"{NOTE.format(source='alerts/families/ and alerts/slo.yaml')}\n",
        "`critical` pages at any hour, `warning` is for the day, `none` proves that alerts arrive. How they travel:",
        "[alerting.md](alerting.md). Objectives and burn rates: [slo.md](slo.md). The rules as Prometheus reads them:",
        "[alerts/rules](../alerts/rules). In conditions, *words like this* stand for an alert's own labels and value.",
    ]
    for group in groups:
        lines += _section(group, slo)
    lines += _later()
    return "\n".join(lines) + "\n"


def _section(group: Group, slo: Slo) -> Iterator[str]:
    yield f"\n## {group.name}\n"
    yield "| alert | severity | team | fires when | why this much and this long | answer | dashboard |"
    yield "|---|---|---|---|---|---|---|"
    for alert in group.alerts:
        cells = (
            f"`{alert.name}`" + _where(alert),
            str(alert.severity),
            alert.team,
            _condition(alert, slo),
            " ".join(alert.reason.split()),
            f"[{alert.runbook}](runbooks/{alert.runbook}.md)",
            f"[{alert.dashboard}](../dashboards/generated/{alert.dashboard}.json)",
        )
        yield f"| {' | '.join(each.replace('|', '&#124;') for each in cells)} |"


def _later() -> Iterator[str]:
    yield "\n## Not yet, and why\n"
    yield "| fault | would fire when | why not yet | what tells meanwhile |\n|---|---|---|---|"
    yield from (f"| {each.fault} | {each.condition} | {each.reason} | {each.meanwhile} |" for each in LATER)


def _where(alert: Alert) -> str:
    return "" if alert.places == EVERYWHERE else f" ({', '.join(sorted(alert.places))} only)"


def _condition(alert: Alert, slo: Slo) -> str:
    tier = dict(alert.labels).get("tier")
    said = words(alert.summary) if tier is None else _burning(alert, slo)
    held = f", for {alert.hold}" if seconds(alert.hold) else ""
    gone = f"; or there is no `{alert.absent}`" if alert.absent else ""
    return f"{said}{held}{gone}"


def _burning(alert: Alert, slo: Slo) -> str:
    labels = dict(alert.labels)
    tier = next(each for each in burn.WINDOWS if each.tier == labels["tier"])
    limit = burn.limit(slo[labels["slo"]], tier) * PERCENT
    of = burn.counted(slo[labels["slo"]])
    speed = f"the budget burns more than {tier.factor:g} times as fast as it may"
    return f"{speed}: {limit:g} % of {of} are bad over {tier.long} and over {tier.short}"


def words(summary: str) -> str:
    """Return a summary in words: `{{ $labels.instance }}` becomes *instance*, and its value *N*."""
    said = re.sub(r"{{-?\s*\$labels\.(\w+)[^}]*}}", r"*\1*", " ".join(summary.split()))
    said = re.sub(r"{{-?\s*\$value[^}]*}}", "*N*", said)
    return re.sub(r"{{[^}]*}}", "", said)


# --- for people ------------------------------------------------------------------------------------------------------
def shown(alert: Alert, scale: Scale) -> str:
    """Return all of an alert, for a terminal."""
    labels = ", ".join(f"{key}={value}" for key, value in alert.labels)
    lines = [
        f"{alert.name}  {alert.severity}, team {alert.team}" + (f", {labels}" if labels else ""),
        f"  when       {scale.expression(alert.expr)}",
        f"  for        {duration(scale.hold(seconds(alert.hold)))}",
        *([f"  or         absent({alert.absent})"] if alert.absent else []),
        f"  why        {' '.join(alert.reason.split())}",
        f"  means      {' '.join(alert.description.split())}",
        f"  places     {', '.join(sorted(alert.places))}",
        f"  runbook    simplicity runbook show {alert.runbook}",
        f"  dashboard  simplicity dashboards render {alert.dashboard}",
    ]
    return "\n".join(lines)
