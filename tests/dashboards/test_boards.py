"""What the dashboards promise: the lines are those of objectives and alerts, and alerts find their dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alerts.burn import WINDOWS
from alerts.rulebook import alerts, records
from alerts.slo import slo
from dashboards.catalog import dashboard, dashboards
from dashboards.metrics import metric_names
from dashboards.writing import limit

if TYPE_CHECKING:
    from dashboards.model import Dashboard, Panel


def panel(uid: str, title: str) -> Panel:
    return next(each for each in dashboard(uid).panels if each.title == title)


def test_the_person_on_call_sees_first_what_is_wrong_and_since_when() -> None:
    first = dashboard("overview").panels[0]
    assert first.kind == "table"
    assert first.columns[0] == "alertname"
    assert metric_names(first.queries[0].expr) == {"ALERTS", "ALERTS_FOR_STATE"}


def test_lines_of_latency_are_those_of_the_objectives() -> None:
    assert [line.value for line in panel("api", "Response time").lines] == [slo()["api-latency"].limit_seconds, 1, 2]


def test_an_objective_without_a_limit_has_no_line_of_latency() -> None:
    with pytest.raises(ValueError, match="the objective api-availability has no limit_seconds to draw"):
        limit("api-availability")


@pytest.mark.parametrize("objective", slo().objectives, ids=lambda each: each.name)
def test_each_objective_shows_its_budget_and_all_windows_of_its_alerts(objective: object) -> None:
    row = next(each for each in dashboard("slo").rows if each.title == getattr(objective, "title", ""))
    left, burn = row.panels
    assert [query.legend for query in burn.queries] == [tier.long for tier in WINDOWS]
    assert [line.value for line in burn.lines] == [tier.factor for tier in WINDOWS]
    recorded = {record.record for record in records()}
    for query in (*left.queries, *burn.queries):
        assert metric_names(query.expr) <= recorded


def test_each_alert_names_a_dashboard_that_there_is() -> None:
    uids = {board.uid for board in dashboards()}
    assert [alert.name for alert in alerts() if alert.dashboard not in uids] == []


@pytest.mark.parametrize("board", dashboards(), ids=lambda each: each.uid)
def test_recorded_series_are_asked_for_only_where_a_rule_records_them(board: Dashboard) -> None:
    recorded = {record.record for record in records()}
    asked = {name for each in board.panels for query in each.queries for name in metric_names(query.expr)}
    assert {name for name in asked if ":" in name} <= recorded
