"""What fires now, and silences: asked of Alertmanager, and of Prometheus where that is away.

URLs are those of the servers, without a path. Labels and annotations are told as they came; whoever shows them escapes
them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx2

from alerts.matcher import OPERATORS, WATCHDOG, Matcher, check_narrow, check_watchdog
from alerts.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from alerts.matcher import Operator

REQUEST_SECONDS = 5.0
ACTIVE, EXPIRED = "active", "expired"
# Longer silences are forgotten ones: they need a word of their own.
LONG_SECONDS = 7 * 86_400.0
_ORDER = {severity: n for n, severity in enumerate(Severity)}


class AlertingError(Exception):
    """Alertmanager or Prometheus cannot be asked, or refuses: one line that says what is wrong."""


class LongSilenceError(AlertingError):
    """A silence of more than a week that nobody said is meant to be so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringAlert:
    """An alert that fires, since when in UTC; links are "" where it has none.

    `silenced_by` are ids of silences, `inhibited_by` fingerprints of the alerts that are its cause. One with no
    severity that is known counts as a warning, as the routes have it.
    """

    name: str
    severity: Severity
    labels: Mapping[str, str]
    since: datetime
    summary: str = ""
    description: str = ""
    runbook_url: str = ""
    dashboard_url: str = ""
    fingerprint: str = ""
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()

    @property
    def silenced(self) -> bool:
        """Whether a person asked that nobody is told of it."""
        return bool(self.silenced_by)

    @property
    def inhibited(self) -> bool:
        """Whether nobody is told of it because they are told of its cause."""
        return bool(self.inhibited_by)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {"since": self.since.isoformat(), "silenced": self.silenced, "inhibited": self.inhibited}


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """From `starts` to `ends` (UTC) nobody is told of alerts for which all matchers hold; `by` asked for it."""

    matchers: tuple[Matcher, ...]
    starts: datetime
    ends: datetime
    by: str
    comment: str
    id: str = ""
    state: str = ACTIVE

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {
            "matchers": [str(each) for each in self.matchers],
            "starts": self.starts.isoformat(),
            "ends": self.ends.isoformat(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """An alert that is none: it tries the way to people. It ends by itself after `seconds`, so its end is told too."""

    severity: Severity
    team: str
    by: str
    seconds: float = 60.0
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_alert(self, now: datetime) -> dict[str, Any]:
        """Return it as Alertmanager takes it."""
        return {
            "labels": {"alertname": "TrialAlert", "severity": self.severity, "team": self.team, **self.labels},
            "annotations": {
                "summary": f"{self.by} tries whether alerts arrive: nothing is wrong",
                "description": "Nobody is hurt. It ends by itself.",
            },
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(seconds=self.seconds)).isoformat(),
        }


def firing(alertmanager: str, *, timeout: float = REQUEST_SECONDS) -> tuple[FiringAlert, ...]:
    """Return what fires according to Alertmanager, silenced and inhibited alerts too: the worst first, then the oldest.

    Raises AlertingError.
    """
    answer = _ask("GET", f"{alertmanager}/api/v2/alerts", timeout=timeout)
    with _understood(alertmanager):
        return _in_order(
            replace(
                _alert(each, since=each["startsAt"]),
                fingerprint=each["fingerprint"],
                silenced_by=tuple(each["status"]["silencedBy"]),
                inhibited_by=tuple(each["status"]["inhibitedBy"]),
            )
            for each in answer
        )


def evaluated(prometheus: str, *, timeout: float = REQUEST_SECONDS) -> tuple[FiringAlert, ...]:
    """Return what fires according to Prometheus, which knows of no silences, in the same order.

    Raises AlertingError.
    """
    answer = _ask("GET", f"{prometheus}/api/v1/alerts", timeout=timeout)
    with _understood(prometheus):
        alerts = answer["data"]["alerts"]
        return _in_order(_alert(each, since=each["activeAt"]) for each in alerts if each["state"] == "firing")


def silences(alertmanager: str, *, timeout: float = REQUEST_SECONDS) -> tuple[Silence, ...]:
    """Return the silences that hold or will, the one that ends first foremost. Raises AlertingError."""
    answer = _ask("GET", f"{alertmanager}/api/v2/silences", timeout=timeout)
    with _understood(alertmanager):
        found = [_silence(each) for each in answer]
    return tuple(sorted((each for each in found if each.state != EXPIRED), key=lambda each: (each.ends, each.id)))


def requested(  # noqa: PLR0913 - the facts that a silence is made of
    matchers: Sequence[Matcher],
    *,
    length: float,
    comment: str,
    by: str,
    now: datetime | None = None,
    however_long: bool = False,
) -> Silence:
    """Return the silence to ask for, of `length` seconds from now on.

    Raises MatcherError where it would hide too much, AlertingError where nobody could tell why it is there or it lasts
    more than a week without that being said.
    """
    check_narrow(matchers)
    if not comment.strip() or not by.strip():
        raise AlertingError("a silence says who asked for it and why")
    if length <= 0:
        raise AlertingError("a silence lasts longer than nothing")
    if length > LONG_SECONDS and not however_long:
        raise LongSilenceError("a silence of more than 7 days is one that is forgotten")
    starts = now or datetime.now(UTC)
    ends = starts + timedelta(seconds=length)
    return Silence(matchers=tuple(matchers), starts=starts, ends=ends, by=by.strip(), comment=comment.strip())


def silence(alertmanager: str, wanted: Silence, *, timeout: float = REQUEST_SECONDS) -> Silence:
    """Have Alertmanager keep a silence, and return it with its id.

    Raises AlertingError, and MatcherError where the Watchdog that fires there has labels for which it would hold.
    """
    for alert in firing(alertmanager, timeout=timeout):
        if alert.name == WATCHDOG:
            check_watchdog(wanted.matchers, alert.labels)
    body = {
        "matchers": [_written(each) for each in wanted.matchers],
        "startsAt": wanted.starts.isoformat(),
        "endsAt": wanted.ends.isoformat(),
        "createdBy": wanted.by,
        "comment": wanted.comment,
    }
    answer = _ask("POST", f"{alertmanager}/api/v2/silences", body=body, timeout=timeout)
    with _understood(alertmanager):
        return replace(wanted, id=answer["silenceID"])


def unsilence(alertmanager: str, which: str, *, timeout: float = REQUEST_SECONDS) -> Silence:
    """End a silence now, and return what it was. Raises AlertingError, also where no such silence holds."""
    found = next((each for each in silences(alertmanager, timeout=timeout) if each.id == which), None)
    if found is None:
        raise AlertingError(f"no silence {which[:100]!r} holds; `simplicity alerts silences` lists them")
    _ask("DELETE", f"{alertmanager}/api/v2/silence/{found.id}", timeout=timeout)
    return found


def send(alertmanager: str, trial: Trial, *, timeout: float = REQUEST_SECONDS) -> None:
    """Send an alert that only tries the way to people. Raises AlertingError."""
    body = [trial.as_alert(datetime.now(UTC))]
    _ask("POST", f"{alertmanager}/api/v2/alerts", body=body, timeout=timeout)


def _ask(method: str, url: str, *, timeout: float, body: object = None) -> Any:  # noqa: ANN401 - JSON
    """Return what a server answers, None where that is nothing. Raises AlertingError."""
    try:
        # trust_env off: a proxy for the outer world must not stand between us and what is asked.
        answer = httpx2.request(method, url, json=body, timeout=timeout, trust_env=False)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise AlertingError(f"{url} does not answer ({type(error).__name__})") from None
    if not answer.is_success:
        raise AlertingError(f"{url} answers {answer.status_code}: {' '.join(answer.text.split())[:300]}")
    with _understood(url):
        return answer.json() if answer.content else None


@contextmanager
def _understood(server: str) -> Iterator[None]:
    """Show an answer that is not of Alertmanager or Prometheus as one line."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError):
        raise AlertingError(f"{server} answers, but not as Alertmanager or Prometheus do; is that their URL?") from None


def _in_order(alerts: Iterable[FiringAlert]) -> tuple[FiringAlert, ...]:
    return tuple(sorted(alerts, key=lambda each: (_ORDER[each.severity], each.since, each.name, str(each.labels))))


def _alert(found: Mapping[str, Any], *, since: str) -> FiringAlert:
    labels, notes = dict(found["labels"]), found["annotations"]
    severity = labels.get("severity", "")
    return FiringAlert(
        name=labels.get("alertname", ""),
        severity=Severity(severity) if severity in set(Severity) else Severity.WARNING,
        labels=labels,
        since=_time(since),
        summary=notes.get("summary", ""),
        description=notes.get("description", ""),
        runbook_url=notes.get("runbook_url", ""),
        dashboard_url=notes.get("dashboard_url", ""),
    )


def _silence(found: Mapping[str, Any]) -> Silence:
    return Silence(
        id=found["id"],
        matchers=tuple(_read(each) for each in found["matchers"]),
        starts=_time(found["startsAt"]),
        ends=_time(found["endsAt"]),
        by=found["createdBy"],
        comment=found["comment"],
        state=found["status"]["state"],
    )


def _written(matcher: Matcher) -> dict[str, Any]:
    return {
        "name": matcher.name,
        "value": matcher.value,
        "isRegex": "~" in matcher.operator,
        "isEqual": not matcher.operator.startswith("!"),
    }


def _read(found: Mapping[str, Any]) -> Matcher:
    # Alertmanager leaves isEqual out where another client did: then it is meant to hold.
    operator: Operator = OPERATORS[bool(found["isRegex"]), bool(found.get("isEqual", True))]
    return Matcher(found["name"], operator, found["value"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
