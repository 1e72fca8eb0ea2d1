"""Cases of the alerts of what watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Firing
from tests.alerts.series import CLUSTER, fires, fires_when_due, labels, series, silent, up, vanishes

if TYPE_CHECKING:
    from tests.alerts.case import Case

# What has an alert of its own, or is there for a while only.
OTHERS = {
    up(job, f"{job}-1"): "0x20" for job in ("api", "sync", "haproxy", "alertmanager", "backup", "etcd", "loadtest")
}


def _target() -> tuple[Case, ...]:
    given = {up("node", "host-1"): "1x2 0x10", up("node", "host-2"): "1x20"} | OTHERS
    firing = Firing(summary="host-1 (node) in main cannot be scraped or is blind", labels=labels("node", "host-1"))
    job, name = "postgresql", "postgresql-1"
    blind = {
        series("pg_up", job, name): "1x2 0x10",
        series("pg_up", job, "postgresql-2"): "1x20",
        up(job, name): "1x20",
    }
    refused = Firing(summary=f"{name} ({job}) in main cannot be scraped or is blind", labels=labels(job, name))
    return (
        *fires_when_due("TargetDown", "one of two exporters", given, firing, due="8m"),
        *fires_when_due("TargetDown", "one exporter of two cannot log in", blind | OTHERS, refused, due="8m"),
        *silent("TargetDown", "all that has an alert of its own", OTHERS, at="20m"),
    )


def _rules() -> tuple[Case, ...]:
    name, group = "RuleEvaluationFailing", "rules/api.yaml;api"
    failures = "prometheus_rule_evaluation_failures_total"
    given = {
        series(failures, "prometheus", "prometheus-1", rule_group=group): "0x11 1x40",
        series(failures, "prometheus", "prometheus-1", rule_group="rules/node.yaml;node"): "3x60",
    }
    firing = Firing(
        summary="Rules of rules/api.yaml;api in main cannot be evaluated",
        labels=labels("prometheus", "prometheus-1", rule_group=group),
    )
    return (
        *fires_when_due(name, "of one group", given, firing, due="7m", interval="30s"),
        *fires(name, "four minutes ago", given, firing, at="10m", interval="30s"),
        *silent(name, "six minutes ago", given, at="12m", interval="30s"),
    )


def _alertmanager() -> tuple[Case, ...]:
    name, job, instance = "AlertmanagerDown", "alertmanager", "alertmanager-1"
    given = {up(job, instance): "1x2 0x10", up(job, "alertmanager-2"): "1x20", up("api", "api-1"): "0x20"}
    firing = Firing(summary="alertmanager-1 in main does not answer (up is 0)", labels=labels(job, instance))
    gone = {up(job, instance): "1x2 stale", up("api", "api-1"): "1x20"}
    back = {up(job, instance): "1x2 0x3 1x30", up(job, "alertmanager-2"): "1x40"}
    return (
        *fires_when_due(name, "one of two does not answer", given, firing, due="5m"),
        *fires(name, "it is back, and nobody could be told before", back, firing, at="21m"),
        *silent(name, "it has been back for a quarter of an hour", back, at="22m"),
        *vanishes(name, 'up{job="alertmanager"}', gone, due="5m", job=job),
    )


def _failed(first: str) -> dict[str, str]:
    """Return the failed attempts of two Alertmanagers by one way, and by one that works."""
    name = "alertmanager_notification_requests_failed_total"
    return {
        series(name, "alertmanager", "alertmanager-1", integration="pagerduty"): first,
        series(name, "alertmanager", "alertmanager-2", integration="pagerduty"): "0x60",
        series(name, "alertmanager", "alertmanager-1", integration="email"): "2x60",
    }


def _not_delivered() -> tuple[Case, ...]:
    name = "AlertsNotDelivered"
    firing = Firing(
        summary="Alerts of main do not get through by pagerduty",
        labels={"cluster": CLUSTER, "integration": "pagerduty"},
    )
    twice, once = _failed("0x9 1x2 2x40"), _failed("0x9 1x40")
    return (
        *fires_when_due(name, "an attempt fails, and one of three minutes later", twice, firing, due="15m"),
        *silent(name, "one attempt failed four minutes ago", once, at="14m"),
        *silent(name, "one attempt failed six minutes ago", once, at="16m"),
    )


def _watchdog() -> tuple[Case, ...]:
    name, job, instance = "Watchdog", "prometheus", "prometheus-1"
    firing = Firing(summary="Alerts of main are evaluated by prometheus-1 and delivered", labels=labels(job, instance))
    others = {up("api", "api-1"): "1x20"}
    return (
        *fires(name, "from the first scrape on", {up(job, instance): "1x20"} | others, firing, at="0s"),
        *silent(name, "Prometheus does not reach itself", {up(job, instance): "0x20"} | others, at="10m"),
    )


CASES: tuple[Case, ...] = (*_target(), *_rules(), *_alertmanager(), *_not_delivered(), *_watchdog())
