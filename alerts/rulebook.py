"""All rules: those of the objectives, and the families in `families/`, each a module with its GROUP."""

from __future__ import annotations

import importlib
import pkgutil
import re
from functools import cache
from typing import TYPE_CHECKING

from alerts import burn, families
from alerts.model import seconds, unreadable
from alerts.slo import slo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alerts.model import Alert, Group, Place, Record

NAME = re.compile(r"[A-Z][A-Za-z]+")
# `slo:bad:ratio_rate5m`: what Prometheus's own metrics never look like, so that a recorded series is known as one.
RECORDED = re.compile(r"[a-z][a-z0-9_]*(:[a-z0-9_]+)+")
# What the description of an alert has to say at least, in words.
WORDS = 4


class RulebookError(Exception):
    """The rules cannot be used together: one line that says which and why."""


@cache
def groups() -> tuple[Group, ...]:
    """Return all groups, that of the objectives first. Raises RulebookError."""
    names = sorted(module.name for module in pkgutil.iter_modules(families.__path__))
    found = (burn.group(slo()), *(importlib.import_module(f"{families.__name__}.{name}").GROUP for name in names))
    check(found)
    return found


def alerts(place: Place | None = None) -> tuple[Alert, ...]:
    """Return all alerts, or those of a place."""
    return tuple(alert for group in groups() for alert in group.alerts if place is None or place in alert.places)


def records() -> tuple[Record, ...]:
    """Return all recording rules."""
    return tuple(record for group in groups() for record in group.records)


def named(name: str) -> tuple[Alert, ...]:
    """Return the alerts of this name: one, or the tiers of an objective. Raises RulebookError where there is none."""
    found = tuple(alert for alert in alerts() if alert.name == name)
    if not found:
        raise RulebookError(f"there is no alert {name!r}: `simplicity alerts list` names them")
    return found


def check(found: Iterable[Group]) -> None:
    """Refuse rules that say too little or contradict each other. Raises RulebookError."""
    problem = next(_problems(tuple(found)), None)
    if problem:
        raise RulebookError(problem)


def _problems(found: tuple[Group, ...]) -> Iterator[str]:
    yield from _twice("group", [group.name for group in found])
    for alert in (alert for group in found for alert in group.alerts):
        yield from (f"{alert.name}: {what}" for what in _faults(alert))
    for record in (record for group in found for record in group.records):
        if not RECORDED.fullmatch(record.record):
            yield f"{record.record}: a recorded series is named like level:metric:operation"
        yield from (f"{record.record}: {what}" for what in _unscaled(record.expr))
    yield from _twice("record", [(record.record, record.labels) for group in found for record in group.records])
    # Alertmanager knows an alert by its labels: two rules with the same ones would overwrite each other.
    yield from _twice(
        "alert",
        [
            (alert.name, alert.severity.value, alert.labels, place)
            for group in found
            for alert in group.alerts
            for place in sorted(alert.places)
        ],
    )
    teams: dict[str, str] = {}
    for alert in (alert for group in found for alert in group.alerts):
        if teams.setdefault(alert.name, alert.team) != alert.team:
            yield f"{alert.name}: it is of the teams {teams[alert.name]} and {alert.team}"


def _twice(what: str, keys: list[object]) -> Iterator[str]:
    yield from (f"the {what} {key!r} is there twice" for key in dict.fromkeys(keys) if keys.count(key) > 1)


def _faults(alert: Alert) -> Iterator[str]:
    if not NAME.fullmatch(alert.name):
        yield "an alert is named in CamelCase"
    for field in ("expr", "reason", "summary", "description", "runbook", "dashboard"):
        if not getattr(alert, field).strip():
            yield f"its {field} is empty"
    if len(alert.description.split()) < WORDS:
        yield "its description does not say who is hurt and how far it reaches"
    if not alert.places:
        yield "it is of no place"
    for field in ("hold", "keep"):
        try:
            seconds(getattr(alert, field) or "0s")
        except ValueError as error:
            yield f"its {field}: {error}"
    yield from _unscaled(alert.expr)
    if {"severity", "team", "alertname"} & dict(alert.labels).keys():
        yield "its labels repeat what it has by its fields"


def _unscaled(expr: str) -> Iterator[str]:
    yield from (f"no scale shrinks {each!r}: a duration has one unit and no sign" for each in unreadable(expr))
