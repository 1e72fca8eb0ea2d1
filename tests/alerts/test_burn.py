from __future__ import annotations

import re

import promql_parser
import pytest

from alerts import burn
from alerts.model import Scale, Severity, duration, seconds
from alerts.render import document
from alerts.slo import slo
from tests.alerts.recorded import uses

GROUP = burn.group(slo())


def test_four_tiers_spend_a_tenth_of_the_budget_or_less_before_they_are_noticed() -> None:
    assert [(tier.long, tier.short, tier.factor, tier.severity) for tier in burn.WINDOWS] == [
        ("1h", "5m", 14.4, Severity.CRITICAL),
        ("6h", "30m", 6, Severity.CRITICAL),
        ("1d", "2h", 3, Severity.WARNING),
        ("3d", "6h", 1, Severity.WARNING),
    ]
    assert [round(burn.spent(tier, "30d"), 6) for tier in burn.WINDOWS] == [0.02, 0.05, 0.1, 0.1]
    # The classical proportion: the short window is a twelfth of the long one.
    assert all(seconds(tier.long) / seconds(tier.short) == 12 for tier in burn.WINDOWS)


def test_each_objective_has_an_alert_in_each_tier_with_its_own_team_and_answer() -> None:
    for objective in slo().objectives:
        found = [alert for alert in GROUP.alerts if dict(alert.labels)["slo"] == objective.name]
        assert [dict(alert.labels)["tier"] for alert in found] == ["1", "2", "3", "4"]
        assert {alert.name for alert in found} == {burn.alert_name(objective)}
        assert {(alert.team, alert.runbook) for alert in found} == {(objective.team, objective.runbook)}


def test_an_objective_that_pages_nobody_has_warnings_in_all_its_tiers() -> None:
    severities = {
        objective.name: [alert.severity for alert in GROUP.alerts if dict(alert.labels)["slo"] == objective.name]
        for objective in slo().objectives
    }
    calm = [objective.name for objective in slo().objectives if not objective.page]
    assert calm == ["backup-freshness"]
    for name, found in severities.items():
        tiers = [tier.severity for tier in burn.WINDOWS]
        assert found == ([Severity.WARNING] * len(tiers) if name in calm else tiers)


@pytest.mark.parametrize("factor", [1, 300, 3600])
def test_a_tier_of_moments_waits_until_its_long_window_is_known_at_each_scale(factor: float) -> None:
    scale = Scale(factor=factor)
    for alert in GROUP.alerts:
        expr = scale.expression(alert.expr)
        if slo()[dict(alert.labels)["slo"]].moment:
            window = scale.range(seconds(dict(alert.labels)["long_window"]))
            assert expr.endswith(f" and slo:bad:moments30m offset {duration(window)}")
        else:
            assert "offset" not in expr


def test_every_series_that_a_rule_of_an_objective_reads_is_recorded_before_it() -> None:
    rules = document(GROUP)["groups"][0]["rules"]
    recorded: set[str] = set()
    for rule in rules:
        read = {each.name for each in uses(rule) if each.name.startswith("slo:")}
        assert read <= recorded, rule
        if "record" in rule:
            recorded.add(rule["record"])


def test_every_recorded_series_is_read_by_an_alert_or_its_summary() -> None:
    rules = document(GROUP)["groups"][0]["rules"]
    read = {each.name for rule in rules for each in uses(rule)}
    assert {rule["record"] for rule in rules if "record" in rule} <= read


def test_objectives_of_requests_have_a_least_traffic_and_those_of_moments_none() -> None:
    for alert in GROUP.alerts:
        objective = slo()[dict(alert.labels)["slo"]]
        assert ("slo:total:rate" in alert.expr) == (not objective.moment)


def test_expressions_of_objectives_keep_the_cluster_and_nothing_else() -> None:
    """Shares are joined by cluster: a label more on one side would leave nothing."""
    for objective in slo().objectives:
        for text in filter(None, (objective.total, objective.good, objective.bad, objective.moment)):
            expr = re.sub(r"<\w+>", "1", text.replace("WINDOW", "5m"))
            found: list[list[str]] = []

            def visit(node: promql_parser.Expr, found: list[list[str]] = found) -> None:
                if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
                    found.append(node.modifier.labels)

            promql_parser.walk(promql_parser.parse(expr), pre_visit=visit)
            assert found == [["cluster"]]


@pytest.mark.parametrize("factor", [1, 60, 300, 3600])
def test_windows_shrink_together_and_the_names_keep_the_real_ones(factor: float) -> None:
    scale = Scale(factor=factor)
    rules = document(GROUP, scale=scale)["groups"][0]["rules"]
    exprs = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    assert set(exprs) == {record.record for record in GROUP.records}
    for window in ("5m", "30m", "1h", "2h", "6h"):
        length = promql_parser.parse_duration(re.findall(r"\[(\w+)\]", exprs[f"slo:bad:ratio_rate{window}"])[0])
        assert length.total_seconds() == scale.range(seconds(window))
    # An hour's budget ends by the same clock as the window it is counted over.
    assert f"* {scale.range(seconds('30d')):.12g} *" in exprs["slo:budget_exhaustion:seconds"]
