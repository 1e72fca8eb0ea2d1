"""Which rules and dashboards come with the chart, and how they ask where no balancer of ours counts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from alerts import render, rulebook
from alerts.model import REAL
from dashboards.catalog import dashboards
from dashboards.grafana import as_json
from dashboards.metrics import metric_names, parsed, selectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alerts.model import Alert, Group

RULES: Final = "infra/kubernetes/chart/generated/rules"
BOARDS: Final = "infra/kubernetes/chart/generated/dashboards"
HEADER: Final = "# Generated from alerts/ by .ci/check_kubernetes.py: change that, not this.\n"

# Families that make no sense in a chart.
NO_FAMILIES: Final = {
    "fleet": "asks for Patroni, etcd, keepalived and units of systemd, which only our own hosts have",
    "hosts": "nodes are the cluster's: whoever runs it watches their processors, disks and clocks",
    "monitoring": "Prometheus and Alertmanager are the cluster's, and come with rules for themselves",
}
NO_ALERTS: Final = {"BalancerDown": "the balancer is the ingress, which is the cluster's"}
NO_BOARDS: Final = {
    "hosts": "asks the exporter of nodes under the names of our hosts",
    "load-test": "asks load tests, which no Prometheus of a cluster scrapes",
}

# Who tells a metric, by what its name begins with: what is not here is told by the chart's own pods.
EXPORTERS: Final = {
    "pg_": "postgresql",
    "redis_": "valkey",
    "simplicity_backup_": "backup",
    "simplicity_wal_": "backup",
    "simplicity_audit_": "backup",
    "simplicity_state_hash_mismatch": "backup",
}
OWN_JOBS: Final = frozenset({"api", "sync"})

# Our balancer counts what clients got; here processes count what they answered. What an ingress answered in their
# place is not among it.
SUMMARIES: Final = {"NoApiInstance": "{{ $labels.cluster }} has {{ $value }} processes of the API that are ready"}
AT_THE_BALANCER, BY_THE_PODS = "counted at the balancer", "counted by the pods"
NOTE: Final = "\n\nAsked of the pods themselves: what an ingress answered in their place is not among it."
_USERS: Final = 'endpoint!~"/health.*|/metrics"'
_ANSWERS: Final = re.compile(r"haproxy_frontend_http_responses_total\{([^}]*)\}")
_BY_CODE: Final = re.compile(r"sum by \(code\) \((rate\(haproxy_frontend_http_responses_total\{[^}]*\}\[[^]]*\]\))\)")
_READY: Final = re.compile(r"(?:min|max)( by \(cluster\) )?\(haproxy_backend_active_servers\{([^}]*)\}\)")


class MonitoringError(Exception):
    """A rule or a dashboard asks for what no cluster has: one line that says which, and what to do."""


def rule_files() -> dict[str, str]:
    """Return the text of each file of rules by its name: FAMILY, or FAMILY-needs-EXPORTER. Raises MonitoringError."""
    found = {}
    for group in rulebook.groups():
        if group.name not in NO_FAMILIES:
            for part in parts(group):
                found[f"{part.name}.yaml"] = HEADER + render.as_yaml(part, place="cloud")
    return found


def parts(group: Group) -> tuple[Group, ...]:
    """Return a family as the chart has it: what our own pods tell, and what each exporter has to tell."""
    of: dict[str, list[Alert]] = {}
    for alert in group.alerts:
        if "cloud" in alert.places and alert.name not in NO_ALERTS:
            found = here(alert)
            of.setdefault(need(found), []).append(found)
    records = tuple(replace(record, expr=translated(record.expr)) for record in group.records)
    own = replace(group, records=records, alerts=tuple(of.pop("", ())))
    more = (
        replace(group, name=f"{group.name}-needs-{exporter}", records=(), alerts=tuple(alerts))
        for exporter, alerts in sorted(of.items())
    )
    return tuple(part for part in (own, *more) if part.records or part.alerts)


def here(alert: Alert) -> Alert:
    """Return an alert as it asks in a cluster."""
    return replace(alert, expr=translated(alert.expr), summary=SUMMARIES.get(alert.name, alert.summary))


def need(alert: Alert) -> str:
    """Return the exporter that has to be scraped for an alert, "" where our pods tell all. Raises MonitoringError."""
    found: set[str] = set()
    for expr in filter(None, (REAL.expression(alert.expr), alert.absent)):
        names = metric_names(expr) - {"up"}
        found |= {exporter for prefix, exporter in EXPORTERS.items() if any(name.startswith(prefix) for name in names)}
        found |= _jobs(expr) - OWN_JOBS
    if len(found) > 1 or not found <= set(EXPORTERS.values()):
        raise MonitoringError(
            f"{alert.name}: asks {', '.join(sorted(found))}: name that in EXPORTERS, or the alert in NO_ALERTS"
        )
    return next(iter(found), "")


def _jobs(expr: str) -> set[str]:
    return {
        matcher.value
        for selector in selectors(parsed(expr))
        for matcher in selector.matchers.matchers
        if selector.name == "up" and matcher.name == "job"
    }


def translated(expr: str) -> str:
    """Return a query that asks our pods for what the balancer would be asked for. Raises MonitoringError."""
    text = " ".join(expr.split())
    text = _BY_CODE.sub(r'sum by (code) (label_replace(\1, "code", "${1}xx", "status", "(.).."))', text)
    text = _ANSWERS.sub(lambda found: f"http_requests_total{{{_matchers(found[1])}}}", text)
    text = _READY.sub(lambda found: f"sum{found[1] or ''}(api_ready{_braces(_kept(found[2]))})", text)
    if "haproxy" in text:
        raise MonitoringError(f"{text}: asks a balancer that no cluster has; translate it, or leave it out")
    return text if text != " ".join(expr.split()) else expr


def _matchers(text: str) -> str:
    kept = (re.sub(r'^code="(\d)xx"$', r'status=~"\1.."', each) for each in _kept(text))
    return ", ".join([*(each for each in kept if not each.startswith("code")), _USERS])


def _kept(text: str) -> list[str]:
    return [each for each in text.split(", ") if not each.startswith("proxy=")]


def _braces(matchers: list[str]) -> str:
    return f"{{{', '.join(matchers)}}}" if matchers else ""


def board_files() -> dict[str, str]:
    """Return the text of each dashboard by its file's name. Raises MonitoringError."""
    return {f"{board.uid}.json": _board(as_json(board)) for board in dashboards() if board.uid not in NO_BOARDS}


def _board(text: str) -> str:
    value: dict[str, Any] = json.loads(text)
    for panel in value["panels"]:
        # A row has none.
        changed = [_asks_here(target) for target in panel.get("targets", ())]
        if any(changed):
            panel["description"] = panel["description"].replace(AT_THE_BALANCER, BY_THE_PODS) + NOTE
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _asks_here(target: dict[str, Any]) -> bool:
    """Make a panel's target ask our pods; tell whether it asked the balancer."""
    before, target["expr"] = target["expr"], translated(target["expr"])
    return bool(before != target["expr"])


def generated() -> Mapping[str, str]:
    """Return the text of every file by its path in the repository. Raises MonitoringError."""
    rules = {f"{RULES}/{name}": text for name, text in rule_files().items()}
    return rules | {f"{BOARDS}/{name}": text for name, text in board_files().items()}
