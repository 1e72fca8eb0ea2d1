"""The first page: what is wrong, since when, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from alerts.matcher import WATCHDOG_LATE_SECONDS
from alerts.model import Severity
from dashboards.model import Unit
from dashboards.render_markup import Markup, element, joined
from dashboards.render_svg import sparkline
from dashboards.render_units import ago, formatted
from runbooks.maintenance.health import overall
from runbooks.maintenance.verdict import Health
from runbooks.operations.frame import framed, link, part
from runbooks.operations.seen import ENDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from alerts.live import FiringAlert, Silence
    from runbooks.maintenance.health import Finding
    from runbooks.operations.seen import Alerts, Budget, Budgets, Components, Seen

P = TypeVar("P", "Alerts", "Budgets", "Components")

LATE: Final = "no answer in time; it is asked again"
# Younger answers count as of now.
AGED_SECONDS = 5.0
MARKS: Final = {Health.HEALTHY: "good", Health.DEGRADED: "warning", Health.UNHEALTHY: "critical"}
# Labels that stand elsewhere in an alert's card, or are the same for all.
SHOWN_ELSEWHERE: Final = frozenset({"alertname", "severity", "cluster", "place"})
LOW_BUDGET = 0.25
MOST_ALERTS = 60
LONGEST_TEXT = 600


@dataclass(frozen=True, slots=True)
class Heard:
    """What the receiver heard last: the alert that always fires, and any delivery; None: never.

    `began` is when this process began to listen, in seconds since the epoch: what never came is late only from then on.
    `refuses`: somebody has put a file there that has deliveries refused.
    """

    watchdog: datetime | None
    delivery: datetime | None
    began: float = 0.0
    refuses: bool = False


def now_page(seen: Seen, heard: Heard) -> str:
    """Return the page."""
    severity, sentence = headline(seen, heard)
    left = joined(
        part(
            "alerts", element("h2", "Firing alerts"), _known(seen, "alerts", seen.alerts, partial(_alerts, at=seen.at))
        ),
    )
    right = joined(
        part("components", element("h2", "Components"), _known(seen, "components", seen.components, _components)),
        part("budgets", element("h2", "Error budgets"), _known(seen, "budgets", seen.budgets, _budgets)),
        part("heard", element("h2", "The way of alerts"), _heard(heard, seen.at)),
    )
    return framed(
        f"{'●' if severity == 'critical' else '○'} {sentence} · {seen.name}",
        part(
            "headline",
            element("h1", f"Operations · {seen.name}"),
            element("p", sentence, class_=f"headline {severity}", role="status"),
        ),
        part("at", element("p", _at(seen), class_="soft")),
        element("div", element("div", left), element("div", right), class_="two"),
        part("small", element("h2", "Dashboards, the last hour"), _small(seen)),
        way="/",
        live=True,
    )


def headline(seen: Seen, heard: Heard) -> tuple[str, str]:
    """Return the severity of all that is seen, and the sentence that says it."""
    loud = [alert for alert in seen.alerts.firing if not alert.silenced] if seen.alerts else []
    critical = sum(alert.severity is Severity.CRITICAL for alert in loud)
    said = []
    if critical:
        said.append(f"{critical} critical")
    if len(loud) > critical:
        said.append(f"{len(loud) - critical} warning")
    findings = list(seen.components.findings) if seen.components else []
    worst = overall(findings)
    wrong = [found.component for found in findings if found.verdict.health is not Health.HEALTHY]
    parts = [f"{' and '.join(said)} alert{'s' * (len(loud) > 1)}"] if said else []
    parts += [f"{', '.join(wrong)} not healthy"] if wrong else []
    if seen.alerts is None or seen.alerts.problem or seen.alerts.note:
        parts.append("alerts are not known or do not travel")
    if seen.components is None or seen.components.problem:
        parts.append("components are not known")
    if _is_late(heard, seen.at):
        parts.append("the heartbeat is missing")
    if heard.refuses:
        parts.append("deliveries of alerts are refused")
    blind = seen.alerts is None or bool(seen.alerts.problem) or heard.refuses
    if critical or worst is Health.UNHEALTHY or blind:
        return "critical", "; ".join(parts)
    return ("warning", "; ".join(parts)) if parts else ("good", "Nothing is wrong: no alert, all components healthy")


def _at(seen: Seen) -> str:
    """Say when this was seen, and which parts of it are of before."""
    old = [
        f"{'dashboards' if name == 'small' else name} {age:.0f} s"
        for name, age in seen.ages.items()
        if age >= AGED_SECONDS and getattr(seen, name) is not None
    ]
    before = f"; {', '.join(old)} before" if old else ""
    return f"Seen at {_moment(seen.at)}{before}"


def _unknown(seen: Seen, name: str) -> Markup:
    """Say that a part had no answer in time, and since when nothing is known of it."""
    age = seen.ages.get(name)
    since = "" if age is None else f"not known since {_moment(seen.at - age)}: "
    return element("p", f"{since}{LATE}", class_="problem")


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _known(seen: Seen, name: str, found: P | None, shown: Callable[[P], Markup]) -> Markup:
    """Show a part, or say why nothing is known of it."""
    if found is None:
        return _unknown(seen, name)
    return element("p", found.problem, class_="problem") if found.problem else shown(found)


def _alerts(alerts: Alerts, at: float) -> Markup:
    by_id = {silence.id: silence for silence in alerts.silences}
    cards = [_alert(alert, by_id, at) for alert in alerts.firing[:MOST_ALERTS]]
    more = len(alerts.firing) - len(cards)
    return joined(
        element("p", alerts.note, class_="problem") if alerts.note else None,
        *cards,
        element("p", f"and {more} more: `simplicity alerts firing` lists them", class_="soft") if more else None,
        None if cards else element("p", "No alert fires.", class_="card"),
    )


def _alert(alert: FiringAlert, silences: dict[str, Silence], at: float) -> Markup:
    quiet = alert.silenced or alert.inhibited
    state = element("span", alert.severity.value, class_=f"state {alert.severity.value}")
    labels = ", ".join(f'{key}="{value}"' for key, value in alert.labels.items() if key not in SHOWN_ELSEWHERE)
    since = element("time", f"since {alert.since:%Y-%m-%d %H:%M:%S} UTC", datetime=alert.since.isoformat())
    links = (link("What to do: the runbook", alert.runbook_url), link("Dashboard", alert.dashboard_url))
    return element(
        "article",
        element("header", state, element("h3", alert.name), element("span", ago(alert.since.timestamp(), at))),
        element("p", _cut(alert.summary), class_="summary"),
        element("p", _cut(alert.description)),
        element("p", *(each for each in links if each), class_="links"),
        *(element("p", _silenced(silences.get(which), at), class_="mark warning") for which in alert.silenced_by),
        element("p", "Nobody is told: its cause fires too.", class_="mark warning") if alert.inhibited else None,
        element("p", since, f" {_cut(labels)}", class_="labels"),
        class_=f"alert {alert.severity.value}{' quiet' if quiet else ''}",
    )


def _silenced(silence: Silence | None, at: float) -> str:
    if silence is None:
        return "Silenced."
    return f"Silenced by {_cut(silence.by)}, ends {ago(silence.ends.timestamp(), at)}: {_cut(silence.comment)}"


def _components(components: Components) -> Markup:
    return element("div", _rows(*(_component(found) for found in components.findings)), class_="card")


def _component(found: Finding) -> Markup:
    verdict = found.verdict
    hint = element("p", _cut(verdict.hint), class_="soft") if verdict.hint else None
    health = element("td", verdict.health.value, class_=f"mark {MARKS[verdict.health]}")
    return element("tr", element("th", found.component, scope="row"), health, element("td", _cut(verdict.detail), hint))


def _budgets(budgets: Budgets) -> Markup:
    return element("div", _rows(*(_budget(each) for each in budgets.rows)), class_="card")


def _budget(budget: Budget) -> Markup:
    goal = f"{budget.objective.target:g} %"
    if budget.left is None:
        told = element("td", "nothing recorded yet", class_="soft")
    else:
        left = max(0.0, min(1.0, budget.left))
        mark = "good" if left > LOW_BUDGET else "warning" if left else "critical"
        text = f"{formatted(left, Unit.RATIO)} left" if left else "spent"
        bar = element(
            "progress", value=f"{left:.4f}", max=1, class_=mark, aria_label=f"{budget.objective.title}: {text}"
        )
        told = element("td", element("span", text, class_=f"mark {mark}"), bar, _ends(budget) if left else None)
    title = element("th", budget.objective.title, element("p", goal, class_="soft"), scope="row")
    return element("tr", title, told)


def _ends(budget: Budget) -> Markup:
    texts = [
        f"in {formatted(budget.ends[window], Unit.SECONDS)} at the rate of the last {window}"
        for window in ENDS
        if window in budget.ends
    ]
    return element("p", f"Ends {', '.join(texts)}." if texts else "No end in sight.", class_="soft")


def _heard(heard: Heard, at: float) -> Markup:
    late = _is_late(heard, at)
    beat = ago(heard.watchdog.timestamp(), at) if heard.watchdog else "not yet"
    last = ago(heard.delivery.timestamp(), at) if heard.delivery else "not yet"
    refuses = "Refused while there is a file `refuse` beside the deliveries: remove it."
    mark = "critical" if late else "good" if heard.watchdog else "warning"
    hint = "Prometheus, its rules, Alertmanager or the way here is broken: alerts may not arrive."
    return element(
        "div",
        _rows(
            element(
                "tr",
                element("th", "Heartbeat", scope="row"),
                element("td", beat, class_=f"mark {mark}"),
                element(
                    "td", element("span", hint if late else "An alert that always fires is delivered each minute.")
                ),
            ),
            element(
                "tr",
                element("th", "Last delivery", scope="row"),
                element("td", last, class_="mark critical" if heard.refuses else None),
                element(
                    "td",
                    element("p", refuses, class_="mark critical") if heard.refuses else None,
                    element("a", "What was delivered", href="/deliveries"),
                ),
            ),
        ),
        class_="card",
    )


def _is_late(heard: Heard, at: float) -> bool:
    last = heard.watchdog.timestamp() if heard.watchdog else heard.began
    return at - last > WATCHDOG_LATE_SECONDS


def _small(seen: Seen) -> Markup:
    small = seen.small
    if small is None or small.picture is None:
        return element("p", small.problem, class_="problem") if small and small.problem else _unknown(seen, "small")
    cards = []
    for board, drawn in zip(small.boards, small.picture.panels, strict=True):
        shown = (
            element("p", "Prometheus gave no data", class_="problem")
            if drawn.problem
            else element("p", "no data in the last hour", class_="empty")
            if drawn.is_empty
            else sparkline(drawn, small.picture.window, height=56)
        )
        about = element("p", drawn.panel.title, class_="soft")
        cards.append(
            element("a", element("h3", board.title), about, shown, href=f"/dashboards/{board.uid}", class_="card")
        )
    return element("div", *cards, class_="small")


def _rows(*rows: Markup) -> Markup:
    return element("table", element("tbody", *rows))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
