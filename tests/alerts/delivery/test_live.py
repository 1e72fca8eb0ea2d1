"""What fires and what is silenced, asked of a real Alertmanager and a real Prometheus."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from alerts import live
from alerts.matcher import Matcher, MatcherError
from alerts.model import Severity
from tests.alerts.delivery.asking import post, wanted
from tests.alerts.delivery.servers import Http, Server, free_port, until


def test_what_fires_is_told_the_worst_first_then_the_oldest(server: Server, url: str) -> None:
    post(server, "New", "warning", minutes=1)
    post(server, "Old", "warning", minutes=9)
    post(server, "Unknown", minutes=30)
    post(server, "Watchdog", "none", minutes=60)
    post(server, "Page", "critical", instance="api-1")
    until(lambda: len(server.alerts()) == 5, within=10)

    found = live.firing(url)

    assert [each.name for each in found] == ["Page", "Unknown", "Old", "New", "Watchdog"]
    page = found[0]
    assert page.severity is Severity.CRITICAL
    assert page.labels == {"alertname": "Page", "severity": "critical", "instance": "api-1"}
    assert timedelta(minutes=5) <= datetime.now(UTC) - page.since < timedelta(minutes=6)
    assert (page.summary, page.description) == ("Page is so", "Somebody is hurt.")
    assert (page.runbook_url, page.dashboard_url) == ("https://docs.example.com/Page", "https://docs.example.com/api")
    assert not page.silenced
    assert not page.inhibited
    assert found[1].severity is Severity.WARNING  # as the routes have it


def test_a_silence_hides_what_it_matches_until_it_is_ended(server: Server, url: str) -> None:
    post(server, "DiskFull", "critical", instance="api-1")
    post(server, "ApiDown", "critical", instance="api-1")
    post(server, "DiskFull", "critical", instance="api-2")

    made = live.silence(url, wanted())

    until(lambda: any(each.silenced for each in live.firing(url)), within=10)
    silenced = [each for each in live.firing(url) if each.silenced]
    assert [(each.name, each.labels["instance"]) for each in silenced] == [("DiskFull", "api-1")]
    assert silenced[0].silenced_by == (made.id,)
    (listed,) = live.silences(url)
    # Alertmanager keeps milliseconds, and begins no silence in the past.
    assert abs(listed.ends - made.ends) < timedelta(seconds=1)
    assert replace(listed, starts=made.starts, ends=made.ends) == made
    assert made.ends - made.starts == timedelta(hours=2)

    assert live.unsilence(url, made.id).id == made.id
    assert live.silences(url) == ()
    until(lambda: not any(each.silenced for each in live.firing(url)), within=10)
    with pytest.raises(live.AlertingError, match=r"no silence .* holds"):
        live.unsilence(url, made.id)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"comment": " "}, "who asked for it and why"),
        ({"by": ""}, "who asked for it and why"),
        ({"length": 0}, "longer than nothing"),
        ({"length": 8 * 86_400}, "more than 7 days"),
        ({"matchers": ()}, "silence everything"),
    ],
)
def test_a_silence_that_must_not_be_is_refused_before_alertmanager_is_asked(changes: dict[str, Any], says: str) -> None:
    with pytest.raises((live.AlertingError, MatcherError), match=says):
        wanted(**changes)


def test_a_silence_of_more_than_a_week_has_to_be_meant() -> None:
    made = wanted(length=8 * 86_400, however_long=True)
    assert made.ends - made.starts == timedelta(days=8)


def test_the_watchdog_that_fires_is_never_silenced_whatever_its_labels_are(server: Server, url: str) -> None:
    post(server, "Watchdog", "none", instance="monitor-7")
    until(lambda: bool(live.firing(url)), within=10)
    with pytest.raises(MatcherError, match="would silence the Watchdog"):
        live.silence(url, wanted(matchers=(Matcher("instance", "=", "monitor-7"),)))
    assert live.silences(url) == ()


def test_a_server_that_is_away_or_another_one_is_told_in_one_line(server: Server, receiver: Http) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    for ask in (live.firing, live.evaluated, live.silences):
        with pytest.raises(live.AlertingError, match="does not answer") as refusal:
            ask(away, timeout=1)
        assert "\n" not in str(refusal.value)
        with pytest.raises(live.AlertingError, match="not as Alertmanager or Prometheus do"):
            ask(receiver.url)
    with pytest.raises(live.AlertingError, match="does not answer"):
        live.firing("no url at all")
    # Alertmanager has no such page of Prometheus's.
    with pytest.raises(live.AlertingError, match="answers 410"):
        live.evaluated(server.url)


def test_what_alertmanager_refuses_is_told_with_its_reason(url: str) -> None:
    with pytest.raises(live.AlertingError, match=r"answers 400: .*empty"):
        live.silence(url, replace(wanted(), matchers=(Matcher("instance", "=~", ".*"),)))


def is_trial(message: dict[str, Any], *, status: str) -> bool:
    return message["body"]["status"] == status and "'trial'" in str(message["body"])


def test_a_trial_alert_arrives_and_ends_by_itself(url: str, receiver: Http) -> None:
    live.send(url, live.Trial(severity=Severity.CRITICAL, team="api", by="ops", seconds=2, labels={"cluster": "trial"}))
    inbox = receiver.inboxes["/alerts"]
    for status in ("firing", "resolved"):
        message = inbox.wait(partial(is_trial, status=status))
        (alert,) = message["body"]["alerts"]
        assert alert["labels"] == {"alertname": "TrialAlert", "severity": "critical", "team": "api", "cluster": "trial"}
        assert alert["annotations"]["summary"] == "ops tries whether alerts arrive: nothing is wrong"
