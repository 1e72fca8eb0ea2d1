"""What the page shows, asked from where it is known; a part that cannot be asked says so in one line."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from alerts.live import AlertingError, FiringAlert, Silence, evaluated, firing, silences
from alerts.model import Severity
from alerts.slo import slo
from dashboards.catalog import dashboards
from dashboards.model import Dashboard, Row
from dashboards.render_data import fill, window_of
from dashboards.source import Source, SourceError
from infra.environment import EnvironmentFileError
from runbooks.maintenance.health import examine
from runbooks.operations.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alerts.slo import Objective
    from dashboards.model import Panel
    from dashboards.render_data import Picture
    from infra.environment import Environment
    from runbooks.maintenance.health import Finding
    from runbooks.operations.kept import Answer
    from runbooks.operations.place import Place

# Five seconds are promised; the page waits for what it asks until here.
WAIT_SECONDS = 4.2
# Each question by itself. Alertmanager and Prometheus are here beside us, so an answer takes a hundredth of it.
ASK_SECONDS = 1.4
PICTURES_SECONDS = 2.5
# Above what every part is asked anew in: an answer that is older than this says nothing of now.
KNOWN_SECONDS = 30.0
CLUSTER = "cluster"
# The rate by which a budget is told to end: what is happening now, and what has been going on.
ENDS = ("1h", "3d")

T = TypeVar("T")
_Get: TypeAlias = "Callable[[], Environment]"


@dataclass(frozen=True, slots=True)
class Components:
    """The verdict on each component."""

    findings: tuple[Finding, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Alerts:
    """What fires, the worst first, without the alert that always does; `note` says where from, if not Alertmanager."""

    firing: tuple[FiringAlert, ...] = ()
    silences: tuple[Silence, ...] = ()
    note: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """An objective and the share of its budget that is left; None: nothing is recorded.

    `ends` has seconds until it is spent, by the window whose rate is gone on with; what is left out does not end.
    """

    objective: Objective
    left: float | None = None
    ends: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Budgets:
    """All budgets."""

    rows: tuple[Budget, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Small:
    """A small picture of each dashboard: the first of its panels that has curves, in the dashboards' order."""

    boards: tuple[Dashboard, ...] = ()
    picture: Picture | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """All of a page; None where there was no answer in time.

    `ages` has the seconds since each part's last answer, by its name here, also where that is too old to be shown.
    """

    at: float
    name: str
    components: Components | None
    alerts: Alerts | None
    budgets: Budgets | None
    small: Small | None
    ages: Mapping[str, float] = field(default_factory=dict)


class Watch:
    """Asks for all parts of a page at once."""

    def __init__(self, place: Place) -> None:
        self._place = place
        get = place.environment
        self._components = Kept(lambda: components_of(get), 4.0)
        self._alerts = Kept(lambda: alerts_of(get), 2.0)
        self._budgets = Kept(lambda: budgets_of(get), 10.0)
        self._small = Kept(lambda: small_of(get), 15.0)

    def look(self, within: float = WAIT_SECONDS) -> Seen:
        """Return what is seen now, after at most `within` seconds."""
        deadline = time.monotonic() + within
        for part in (self._components, self._alerts, self._budgets, self._small):
            part.begin()

        def left() -> float:
            return max(0.0, deadline - time.monotonic())

        try:
            name = self._place.environment().name
        except EnvironmentFileError:
            name = "no environment"
        alerts, budgets = self._alerts.get(left()), self._budgets.get(left())
        small, components = self._small.get(left()), self._components.get(left())
        found = {"components": components, "alerts": alerts, "budgets": budgets, "small": small}
        ages = {part: answer.age for part, answer in found.items() if answer is not None}
        return Seen(time.time(), name, _of(components), _of(alerts), _of(budgets), _of(small), ages)


def _of(answer: Answer[T] | None) -> T | None:
    return None if answer is None or answer.age > KNOWN_SECONDS else answer.value


def components_of(get: _Get) -> Components:
    """Examine every component."""
    try:
        return Components(tuple(examine(get())))
    except EnvironmentFileError as error:
        return Components(problem=str(error))


def alerts_of(get: _Get) -> Alerts:
    """Ask Alertmanager what fires, or Prometheus where that does not answer."""
    try:
        endpoints = get().endpoints
    except EnvironmentFileError as error:
        return Alerts(problem=str(error))
    try:
        if endpoints.alertmanager is None:
            raise AlertingError("this environment has no Alertmanager")  # noqa: TRY301 - the same way on as without one
        found = firing(endpoints.alertmanager, timeout=ASK_SECONDS)
        return Alerts(_without_watchdog(found), silences(endpoints.alertmanager, timeout=ASK_SECONDS))
    except AlertingError as error:
        away = str(error)
    note = f"{away}: nobody is told of alerts. What follows is Prometheus's word."
    try:
        return Alerts(_without_watchdog(evaluated(endpoints.prometheus, timeout=ASK_SECONDS)), note=note)
    except AlertingError as error:
        return Alerts(problem=f"nobody knows what fires: {away}; {error}")


def _without_watchdog(found: tuple[FiringAlert, ...]) -> tuple[FiringAlert, ...]:
    return tuple(alert for alert in found if alert.severity is not Severity.NONE)


def budgets_of(get: _Get) -> Budgets:
    """Ask Prometheus for the budgets that its rules record."""
    try:
        environment = get()
        source = Source(environment.metrics.url, ASK_SECONDS)
        of = f'{{cluster="{cluster_of(environment)}"}}'
        left = source.instant(f"slo:budget_remaining:ratio{of}")
        ends = source.instant(f"slo:budget_exhaustion:seconds{of}")
    except (EnvironmentFileError, SourceError) as error:
        return Budgets(problem=str(error))
    return Budgets(
        tuple(
            Budget(
                each,
                min((found.value for found in left if found.labels.get("slo") == each.name), default=None),
                {
                    found.labels.get("window", ""): found.value
                    for found in ends
                    if found.labels.get("slo") == each.name and found.labels.get("window") in ENDS
                },
            )
            for each in slo().objectives
        )
    )


def small_of(get: _Get) -> Small:
    """Ask Prometheus for one panel of each dashboard, over the last hour."""
    try:
        environment = get()
    except EnvironmentFileError as error:
        return Small(problem=str(error))
    pairs = [(board, panel) for board in dashboards() if (panel := _with_curves(board)) is not None]
    together = Dashboard(uid="", title="", description="", rows=(Row(title="", panels=tuple(one for _, one in pairs)),))
    picture = fill(
        together,
        Source(environment.metrics.url, ASK_SECONDS),
        cluster=cluster_of(environment),
        window=window_of("-1h", "now", time.time(), points=90),
        within=PICTURES_SECONDS,
    )
    return Small(tuple(board for board, _ in pairs), picture)


def _with_curves(board: Dashboard) -> Panel | None:
    return next((panel for panel in board.panels if panel.kind == "timeseries"), None)


def cluster_of(environment: Environment) -> str:
    """Return the label that an environment's series have."""
    return environment.metrics.labels.get(CLUSTER, environment.name)
