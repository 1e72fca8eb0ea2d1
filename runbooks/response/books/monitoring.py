"""The answer to alerts about the alerting itself: targets, rules, Alertmanager, deliveries, the heartbeat."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from alerts.matcher import WATCHDOG_LATE_SECONDS
from runbooks.engine.model import Look, Unmet
from runbooks.response.acts import evidence_step, metrics, restart_step, service_parameter
from runbooks.response.answering import answer
from runbooks.response.answers import HEARTBEAT
from runbooks.response.looks import HEALTH, SERVICES, active, healthy_look

if TYPE_CHECKING:
    from runbooks.engine.model import Context, Json

SCOPE = (
    "prometheus",
    "alertmanager",
    "node-exporter",
    "postgresql-exporter",
    "valkey-exporter",
    "operations",
    "grafana",
)
LAST_HEARD = "max(simplicity_watchdog_last_timestamp_seconds{HERE})"
FAILURES = metrics(
    down="up{HERE} == 0",
    rule_failures="sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total{HERE}[10m])) > 0",
    not_sent="sum(increase(prometheus_notifications_errors_total{HERE}[10m]))",
    not_delivered="sum by (integration) (increase(alertmanager_notifications_failed_total{HERE}[10m])) > 0",
    seconds_since_heartbeat=f"time() - {LAST_HEARD}",
)


def _down(context: Context) -> Json:
    from runbooks.response.prometheus import get  # noqa: PLC0415 - a page is shown without the packages

    targets = get(context.environment, "targets", state="active")["activeTargets"]
    return [
        {"job": each["labels"].get("job"), "instance": each["labels"].get("instance"), "error": each["lastError"]}
        for each in targets
        if each["health"] != "up"
    ]


def _rules(context: Context) -> list[dict[str, Any]]:
    from runbooks.response.prometheus import get  # noqa: PLC0415 - as above

    groups = get(context.environment, "rules")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _broken(context: Context) -> Json:
    return {each["name"]: each["lastError"] for each in _rules(context) if each.get("lastError")}


def _senders(context: Context) -> Json:
    from runbooks.response.prometheus import get  # noqa: PLC0415 - as above

    found = get(context.environment, "alertmanagers")
    return {name: [each["url"] for each in each_of] for name, each_of in found.items()}


def _is_heard(context: Context) -> str:
    """Say that the heartbeat fires and was heard lately. Raises Unmet where it was not."""
    from runbooks.response.prometheus import PrometheusError, value  # noqa: PLC0415 - as above

    try:
        if not any(each["name"] == HEARTBEAT for each in _rules(context)):
            return "there is no heartbeat among the rules of this Prometheus"
        if not active(context.environment, (HEARTBEAT,)):
            raise Unmet(f"{HEARTBEAT} does not fire: rules are not evaluated")
        last = value(context.environment, LAST_HEARD)
    except PrometheusError as error:
        raise Unmet(str(error)) from None
    if math.isnan(last):
        return f"{HEARTBEAT} fires; nobody here tells when it was last heard"
    age = time.time() - last
    if age > WATCHDOG_LATE_SECONDS:
        raise Unmet(f"{HEARTBEAT} fires, but was last heard {age:.0f} s ago: it is not delivered")
    return f"{HEARTBEAT} fires and was heard {age:.0f} s ago"


RUNBOOK = answer(
    "answer-monitoring-down",
    title="Answer: the monitoring does not see, or is not heard",
    meaning="A target is not scraped, a rule cannot be evaluated, Alertmanager is away or refused by its receivers, or "
    "the heartbeat that proves the whole way has stopped.",
    impact="None for clients. But what goes wrong now may page nobody: look at the service by "
    "`simplicity maintenance health` until this is over.",
    diagnosis=(SERVICES, HEALTH),
    steps=(
        evidence_step(
            {"down": _down, "broken_rules": _broken, "alertmanagers": _senders, "failures": FAILURES},
            "a target of ours is down: its own answer; a rule is broken: `simplicity alerts check`, put it right, load "
            "it again; the receiver refuses: its log, its secret, its address",
            "in Prometheus, the pages Status > Targets and Status > Rules; `simplicity logs alertmanager`; "
            "`amtool check-config FILE`",
        ),
        restart_step(*SCOPE),
    ),
    verify=(
        healthy_look("prometheus"),
        Look(
            title="The heartbeat is sent and heard",
            see=_is_heard,
            by_hand=f'in Prometheus, `ALERTS{{alertname="{HEARTBEAT}"}}` and '
            "`time() - simplicity_watchdog_last_timestamp_seconds`",
            within=600.0,
        ),
    ),
    undo="There is nothing to take back: what was not seen meanwhile stays a gap in the metrics.",
    parameters=(service_parameter(*SCOPE, example="prometheus"),),
)
