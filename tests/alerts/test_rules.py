from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from alerts import render, rulebook
from tests.alerts.catalog import cases
from tests.alerts.promtool import failures, owner
from tests.alerts.recorded import recording
from tests.alerts.sides import sides

if TYPE_CHECKING:
    from alerts.model import Alert

ALERTS = rulebook.alerts()
NAMES = tuple(dict.fromkeys(alert.name for alert in ALERTS))


@pytest.fixture(scope="module")
def failed() -> dict[str, str]:
    """All cases in one process: what it says, by the titles of those that fail."""
    return failures(ALERTS, recording(rulebook.records()), cases())


@pytest.mark.xdist_group("promtool")
@pytest.mark.parametrize("name", NAMES)
def test_an_alert_fires_where_it_must_and_is_silent_in_the_nearest_harmless_case(
    name: str, failed: dict[str, str]
) -> None:
    titles = [case.title for case in cases() if case.alert == name]
    assert titles, f"no case in tests/alerts/cases is of {name}"
    assert not [f"{title}\n{failed[title]}" for title in titles if title in failed]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}{dict(alert.labels).get('tier', '')}")
def test_each_alert_and_tier_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent(alert: Alert) -> None:
    fires, silent = sides(alert)
    assert fires, f"no case in which {alert.name} {dict(alert.labels)} fires"
    assert silent, f"no case in which {alert.name} {dict(alert.labels)} is silent"


@pytest.mark.parametrize("alert", [each for each in ALERTS if each.absent], ids=lambda alert: alert.name)
def test_a_companion_has_a_case_in_which_it_fires(alert: Alert) -> None:
    fired = [firing for case in cases() if case.alert == alert.name for firing in case.firing]
    summaries = {firing.summary for firing in fired if owner(firing, rulebook.named(alert.name)) == alert}
    assert render.vanished(alert) in summaries


def test_no_two_cases_have_one_title() -> None:
    assert not [title for title, times in Counter(case.title for case in cases()).items() if times > 1]


def test_every_case_is_of_an_alert_that_exists() -> None:
    assert not {case.alert for case in cases()} - set(NAMES)
