"""Whether an alert fires, and when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runbooks.engine.model import Unmet
from runbooks.response.looks import active, alerts_look, metric_look, over_look
from tests.runbooks.response.support import context, says, with_prometheus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.canned import Canned

ERRORS = '{alertname=~"HighErrorRate|ApiAvailabilityBurn",cluster=~"made-up|"}'
FIRING = {"__name__": "ALERTS", "alertname": "HighErrorRate", "alertstate": "firing", "cluster": "made-up"}
BURN = FIRING | {"alertname": "ApiAvailabilityBurn", "tier": "3"}


def test_an_alert_is_told_with_its_labels_and_since_when(server: Canned, tmp_path: Path) -> None:
    says(server, f"ALERTS{ERRORS}", (FIRING, 1.0))
    says(server, f"ALERTS_FOR_STATE{ERRORS}", ({"alertname": "HighErrorRate", "cluster": "made-up"}, 0.0))
    seen = alerts_look("answer-api-errors").see(context(with_prometheus(server.url), tmp_path))
    assert seen == '\n  HighErrorRate is firing since 1970-01-01T00:00:00+00:00 (cluster="made-up")'


def test_a_label_cannot_pass_for_more_than_a_label(server: Canned) -> None:
    says(server, 'ALERTS_FOR_STATE{alertname=~"CacheDown",cluster=~"made-up|"}')
    hostile = {"alertname": "CacheDown", "alertstate": "firing", "instance": 'x"\n\x1b[2Jall is well'}
    says(server, 'ALERTS{alertname=~"CacheDown",cluster=~"made-up|"}', (hostile, 1.0))
    here = with_prometheus(server.url)
    (found,) = active(here, ("CacheDown",))
    assert found["since"] == ""
    look = alerts_look("answer-cache-down").see(context(here, _nowhere(), arguments={"alert": "CacheDown"}))
    assert look.count("\n") == 1
    assert "\x1b" not in look


def _nowhere() -> Path:
    from pathlib import Path  # noqa: PLC0415 - a path that nothing is written to

    return Path("/nonexistent")


def test_a_rule_that_is_not_there_fires_nothing(server: Canned, tmp_path: Path) -> None:
    says(server, f"ALERTS{ERRORS}")
    says(server, f"ALERTS_FOR_STATE{ERRORS}")
    at = context(with_prometheus(server.url), tmp_path)
    assert alerts_look("answer-api-errors").see(at) == "no such alert is firing"
    assert over_look("answer-api-errors").see(at) == "no such alert is firing"


@pytest.mark.parametrize("state", ["firing", "pending"])
def test_an_alert_whose_condition_holds_keeps_the_run_from_its_end(server: Canned, tmp_path: Path, state: str) -> None:
    says(server, f"ALERTS{ERRORS}", (FIRING | {"alertstate": state}, 1.0))
    says(server, f"ALERTS_FOR_STATE{ERRORS}")
    with pytest.raises(Unmet, match=f"HighErrorRate is {state}"):
        over_look("answer-api-errors").see(context(with_prometheus(server.url), tmp_path))


def test_an_alert_of_a_budget_looks_back_and_keeps_nobody_waiting(server: Canned, tmp_path: Path) -> None:
    says(server, f"ALERTS{ERRORS}", (BURN, 1.0))
    says(server, f"ALERTS_FOR_STATE{ERRORS}")
    seen = over_look("answer-api-errors").see(context(with_prometheus(server.url), tmp_path))
    assert seen == "no such alert is firing; ApiAvailabilityBurn looks back on what was and ends by itself"


def test_the_heartbeat_is_not_waited_for_to_fall_silent(server: Canned, tmp_path: Path) -> None:
    at = context(with_prometheus(server.url), tmp_path, arguments={"alert": "Watchdog"})
    assert over_look("answer-monitoring-down").see(at) == "no such alert is firing"


def test_without_prometheus_nobody_can_say_that_it_is_over(tmp_path: Path) -> None:
    at = context(with_prometheus("http://127.0.0.1:9"), tmp_path)
    with pytest.raises(Unmet, match="does not answer"):
        over_look("answer-api-errors").see(at)
    with pytest.raises(Unmet, match="does not answer"):
        metric_look("title", "up{HERE}", lambda value: value == 1, "up").see(at)


def test_a_metric_has_to_be_as_it_should_wherever_there_is_one(server: Canned, tmp_path: Path) -> None:
    look = metric_look("title", 'up{job="api",HERE}', lambda value: value == 1, "1 is up")
    at, expression = context(with_prometheus(server.url), tmp_path), 'up{job="api",cluster="made-up"}'
    says(server, expression)
    assert look.see(at) == "there is nothing to see"
    says(server, expression, ({"instance": "api-1"}, 1.0))
    assert look.see(at) == "1 (1 is up)"
    says(server, expression, ({"instance": "api-1"}, 1.0), ({"instance": "api-2"}, 0.0))
    with pytest.raises(Unmet, match=r'\{"instance": "api-2"\}: 0, 1 is up'):
        look.see(at)
    assert look.by_hand == 'in Prometheus, `up{job="api"}`: 1 is up'
