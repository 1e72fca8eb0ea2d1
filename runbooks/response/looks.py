"""What every answer looks at: whether its alerts fire, how the services are, and whether all is well afterwards."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runbooks.engine.arguments import one_of
from runbooks.engine.model import Look, Parameter, Unmet
from runbooks.maintenance.looking import is_healthy, see_health, see_services
from runbooks.response.answers import ALERTS, HEARTBEAT, looks_back

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from infra.environment import Environment
    from runbooks.engine.model import Context

ALL = "all"
# The longest range that an alert's expression looks back on is five minutes; it has to run dry first.
OVER_SECONDS = 900.0
# Labels that say nothing more to whoever asked for an alert by its name.
UNSAID = frozenset({"__name__", "alertname", "alertstate"})

SERVICES = Look(title="How the services are", see=see_services, by_hand="`simplicity status`")
HEALTH = Look(title="What each component says of itself", see=see_health, by_hand="`simplicity maintenance health`")


def alert_parameter(answer: str) -> Parameter:
    """Return the argument that says which of its alerts is answered."""
    alerts = ALERTS[answer]
    return Parameter(
        name="alert",
        help=f"Which alert is answered: {', '.join(alerts)}; all: none of them may be left at the end.",
        parse=one_of(ALL, *alerts),
        example=alerts[0],
        default=ALL,
    )


def wanted(context: Context, answer: str) -> tuple[str, ...]:
    """Return the alerts that a run answers."""
    asked = context.arguments.get("alert", ALL)
    return ALERTS[answer] if asked == ALL else (str(asked),)


def active(environment: Environment, alerts: Sequence[str]) -> list[Mapping[str, str]]:
    """Return the labels of each instance of these alerts that fires, or whose condition holds; "since" is a moment.

    Where Prometheus has no such rule there are none. Raises PrometheusError.
    """
    from runbooks.response.prometheus import ask, matchers  # noqa: PLC0415 - a page is shown without the packages

    # An alert by absent() has the labels of its selector only: the environment's may not be among them.
    where = f'{{alertname=~"{"|".join(alerts)}",{matchers(environment, or_without=True)}}}'
    since = {_identity(each.labels): each.value for each in ask(environment, f"ALERTS_FOR_STATE{where}")}
    found = []
    for each in ask(environment, f"ALERTS{where}"):
        began = since.get(_identity(each.labels))
        moment = "" if began is None else datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")
        found.append({**each.labels, "since": moment})
    return sorted(found, key=lambda labels: (labels.get("alertname", ""), json.dumps(labels, sort_keys=True)))


def _identity(labels: Mapping[str, str]) -> str:
    kept = {name: text for name, text in labels.items() if name not in {"__name__", "alertstate"}}
    return json.dumps(kept, sort_keys=True)


def sentence(labels: Mapping[str, str]) -> str:
    """Say an instance of an alert in a line."""
    others = {name: text for name, text in labels.items() if name not in UNSAID | {"since"}}
    since = f" since {labels['since']}" if labels.get("since") else ""
    told = ", ".join(f"{name}={json.dumps(text)}" for name, text in sorted(others.items()))
    return f"{labels.get('alertname')} is {labels.get('alertstate')}{since} ({told})"


def alerts_look(answer: str) -> Look:
    """Return the look that begins every diagnosis: which of the answer's alerts there are, and since when."""

    def see(context: Context) -> str:
        found = active(context.environment, wanted(context, answer))
        return "".join(f"\n  {sentence(each)}" for each in found) or "no such alert is firing"

    return Look(title="Whether it fires, and since when", see=see, by_hand=by_hand(answer))


def by_hand(answer: str) -> str:
    """Return the question to Prometheus as a person asks it."""
    return f'in Prometheus, `ALERTS{{alertname=~"{"|".join(ALERTS[answer])}"}}`'


def over_look(answer: str, within: float = OVER_SECONDS) -> Look:
    """Return the look that ends a run: the alerts' conditions hold no longer.

    One of budgets looks back for hours: it is told and does not keep the run from its end.
    """

    def see(context: Context) -> str:
        from runbooks.response.prometheus import PrometheusError  # noqa: PLC0415 - as in active()

        alerts = [alert for alert in wanted(context, answer) if alert != HEARTBEAT]
        try:
            found = active(context.environment, alerts) if alerts else []
        except PrometheusError as error:
            raise Unmet(str(error)) from None
        held = [each for each in found if not looks_back(each.get("alertname", ""))]
        if held:
            raise Unmet("; ".join(sentence(each) for each in held))
        back = sorted({each["alertname"] for each in found})
        note = f"; {', '.join(back)} looks back on what was and ends by itself" if back else ""
        return f"no such alert is firing{note}"

    return Look(
        title="The alert's own condition is no longer true",
        see=see,
        by_hand=f"{by_hand(answer)} has no result any more",
        within=within,
    )


def healthy_look(*checks: str, within: float = 120.0) -> Look:
    """Return the look that the environment's own checks come to healthy."""

    def see(context: Context) -> str:
        return "; ".join(is_healthy(context, check) for check in checks)

    named = ", ".join(checks)
    return Look(
        title=f"The environment's own check of {named} is healthy",
        see=see,
        by_hand="`simplicity maintenance health`",
        within=within,
    )


def metric_look(title: str, expression: str, holds: Callable[[float], bool], meant: str, within: float = 600.0) -> Look:
    """Return the look that every value of an expression is as it should be; `meant` says how in words.

    No value at all is no fault: nothing was asked, or its target is looked after by another alert.
    """

    def see(context: Context) -> str:
        from runbooks.response.prometheus import PrometheusError, ask  # noqa: PLC0415 - as in active()

        try:
            found = ask(context.environment, expression)
        except PrometheusError as error:
            raise Unmet(str(error)) from None
        wrong = [each for each in found if not holds(each.value)]
        if wrong:
            raise Unmet("; ".join(f"{json.dumps(dict(each.labels))}: {each.value:g}, {meant}" for each in wrong[:5]))
        return (
            "; ".join(f"{each.value:g}" for each in found[:5]) + f" ({meant})" if found else "there is nothing to see"
        )

    shown = expression.replace(",HERE", "").replace("{HERE}", "")
    return Look(title=title, see=see, by_hand=f"in Prometheus, `{shown}`: {meant}", within=within)
