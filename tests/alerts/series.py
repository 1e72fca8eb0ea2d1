"""Series and cases written short: names with the labels that Prometheus adds, and the two sides of an alert's hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts.model import duration, seconds
from tests.alerts.case import Case, Firing

if TYPE_CHECKING:
    from collections.abc import Mapping

CLUSTER = "main"


def labels(job: str, instance: str, **more: str) -> dict[str, str]:
    """Return the labels of a series of a target: those of the scrape, and its own."""
    return {"cluster": CLUSTER, "instance": instance, "job": job, "place": "fleet"} | more


def series(name: str, /, job: str, instance: str, **more: str) -> str:
    """Return a series as promtool writes it. A label that is a word of Python's may end in an underscore."""
    texts = (f'{key.rstrip("_")}="{value}"' for key, value in labels(job, instance, **more).items())
    return f"{name}{{{', '.join(texts)}}}"


def growing(*phases: tuple[int, float]) -> str:
    """Return the values of a counter that starts at 0 and, phase by phase, grows so many times by so much."""
    parts, value = [], 0.0
    for times, step in phases:
        first = value + step
        value += times * step
        parts.append(f"{first:.12g}+{step:.12g}x{times - 1}")
    return " ".join(["0", *parts])


def up(job: str, instance: str) -> str:
    """Return the series that says whether a target was scraped."""
    return series("up", job, instance)


def fires(
    alert: str, when: str, given: Mapping[str, str], *firing: Firing, at: str, interval: str = "1m"
) -> tuple[Case, ...]:
    """Return the case in which an alert fires."""
    return (Case(title=f"{alert} fires: {when}", alert=alert, series=given, at=at, firing=firing, interval=interval),)


def silent(alert: str, when: str, given: Mapping[str, str], *, at: str, interval: str = "1m") -> tuple[Case, ...]:
    """Return the case in which an alert is silent."""
    return (Case(title=f"{alert} is silent: {when}", alert=alert, series=given, at=at, interval=interval),)


def fires_when_due(
    alert: str, when: str, given: Mapping[str, str], *firing: Firing, due: str, interval: str = "1m"
) -> tuple[Case, ...]:
    """Return the case in which an alert fires, and the one in which it does not yet, a sample before."""
    before = duration(seconds(due) - seconds(interval))
    early = silent(alert, f"{when}, not for long enough", given, at=before, interval=interval)
    return fires(alert, when, given, *firing, at=due, interval=interval) + early


def vanishes(
    alert: str, selector: str, given: Mapping[str, str], *, due: str, interval: str = "1m", **more: str
) -> tuple[Case, ...]:
    """Return the cases in which the companion of an alert is due, and is not yet; `more` are the labels it has."""
    summary = f"{alert}: there is no {selector} any more: what reports it has vanished"
    when = f"{selector} has vanished"
    return fires_when_due(alert, when, given, Firing(summary=summary, labels=more), due=due, interval=interval)
