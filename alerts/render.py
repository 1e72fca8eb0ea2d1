"""Rules as Prometheus reads them: for one place at its scale of time, or for all of them as they are committed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from alerts.model import EVERYWHERE, REAL, Links, duration, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alerts.model import Alert, Group, Place, Record, Scale

HEADER = "# Generated from {source} by .ci/check_alerts.py: change that, not this.\n"
# A selector's braces are single ones: nothing in here is a template to Prometheus but what an alert wrote itself.
VANISHED = "{name}: there is no {selector} any more: what reports it has vanished"

# What tells a companion from its alert: rules with the same name and labels are one to Prometheus's lint.
COMPANION = {"vanished": "true"}

Rule = dict[str, Any]


def vanished(alert: Alert) -> str:
    """Return the summary of an alert's companion, which fires where its series are no more."""
    return VANISHED.format(name=alert.name, selector=alert.absent)


def rules(alert: Alert, *, scale: Scale = REAL, links: Links = Links()) -> tuple[Rule, ...]:  # noqa: B008 - frozen
    """Return the rule of an alert, and its companion where it has one."""
    main = _rule(alert, alert.expr, alert.summary, scale, links)
    if not alert.absent:
        return (main,)
    # What has come back is told by the alert itself.
    companion = _rule(replace(alert, keep=""), f"absent({alert.absent})", vanished(alert), scale, links)
    return main, companion | {"labels": companion["labels"] | COMPANION}


def _rule(alert: Alert, expr: str, summary: str, scale: Scale, links: Links) -> Rule:
    held = {"for": duration(scale.hold(seconds(alert.hold)))} if seconds(alert.hold) else {}
    kept = {"keep_firing_for": duration(scale.span(seconds(alert.keep)))} if alert.keep else {}
    return {
        "alert": alert.name,
        "expr": scale.expression(expr),
        **held,
        **kept,
        "labels": {"severity": alert.severity.value, "team": alert.team, **dict(alert.labels)},
        "annotations": {
            "summary": _line(summary),
            "description": _line(alert.description),
            "runbook_url": links.runbook.format(name=alert.runbook),
            "dashboard_url": links.dashboard.format(uid=alert.dashboard),
        },
    }


def recording(record: Record, *, scale: Scale = REAL) -> Rule:
    """Return a recording rule."""
    labels = {"labels": dict(record.labels)} if record.labels else {}
    return {"record": record.record, "expr": scale.expression(record.expr), **labels}


def document(group: Group, *, scale: Scale = REAL, links: Links = Links(), place: Place | None = None) -> Rule:  # noqa: B008 - frozen
    """Return a file of rules. With a place, alerts of other places are left out; without one all are there."""
    listed = [recording(record, scale=scale) for record in group.records]
    for alert in group.alerts:
        if place is None or place in alert.places:
            listed += rules(alert, scale=scale, links=links)
    return {"groups": [{"name": group.name, "rules": listed}]}


def as_yaml(group: Group, *, scale: Scale = REAL, links: Links = Links(), place: Place | None = None) -> str:  # noqa: B008 - frozen
    """Return the text of a file of rules, the same for the same rules; a comment says where an alert is not used."""
    lines = [f"groups:\n  - name: {group.name}\n    rules:"]
    lines += (_item(recording(record, scale=scale)) for record in group.records)
    for alert in group.alerts:
        if place is None or place in alert.places:
            lines += _comment(alert)
            lines += (_item(rule) for rule in rules(alert, scale=scale, links=links))
    return "\n".join(lines if len(lines) > 1 else [f"groups:\n  - name: {group.name}\n    rules: []"]) + "\n"


def _comment(alert: Alert) -> Iterator[str]:
    if alert.places != EVERYWHERE:
        yield f"      # only: {', '.join(sorted(alert.places))}"


def _item(rule: Rule) -> str:
    text = yaml.safe_dump([rule], sort_keys=False, width=10_000, allow_unicode=True).rstrip("\n")
    return "\n".join(f"      {line}" for line in text.splitlines())


def _line(text: str) -> str:
    return " ".join(text.split())
