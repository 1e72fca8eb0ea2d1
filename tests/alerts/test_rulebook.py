from __future__ import annotations

from dataclasses import replace

import pytest

from alerts import rulebook
from alerts.model import Alert, Group, Record, Severity

ALERT = Alert(
    name="PumpDown",
    severity=Severity.WARNING,
    team="platform",
    expr="up == 0",
    hold="1m",
    reason="A restart takes seconds.",
    summary="The pump is down.",
    description="Nobody in the house has water.",
    runbook="answer-pump",
    dashboard="pumps",
)


def refused(*groups: Group) -> str:
    with pytest.raises(rulebook.RulebookError) as raised:
        rulebook.check(groups)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_all_groups_are_there_the_objectives_first() -> None:
    names = [group.name for group in rulebook.groups()]
    assert names[0] == "slo"
    assert names[1:] == sorted(names[1:])
    assert {"api", "backups", "cache", "database", "hosts", "indexer", "monitoring", "node", "security"} <= set(names)


def test_alerts_of_a_place_are_those_that_can_fire_there() -> None:
    assert set(rulebook.alerts("local")) <= set(rulebook.alerts())
    assert all("local" in alert.places for alert in rulebook.alerts("local"))


def test_an_alert_is_found_by_its_name_and_tiers_are_all_of_one_name() -> None:
    assert [alert.name for alert in rulebook.named("ApiDown")] == ["ApiDown"]
    assert len(rulebook.named("ApiLatencyBurn")) == 4
    with pytest.raises(rulebook.RulebookError, match="there is no alert 'PumpDown'"):
        rulebook.named("PumpDown")


def test_a_complete_alert_is_accepted() -> None:
    rulebook.check((Group(name="pumps", alerts=(ALERT,)),))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "pump_down"}, "named in CamelCase"),
        ({"reason": " "}, "its reason is empty"),
        ({"summary": ""}, "its summary is empty"),
        ({"runbook": ""}, "its runbook is empty"),
        ({"dashboard": ""}, "its dashboard is empty"),
        ({"description": "Bad."}, "does not say who is hurt"),
        ({"places": frozenset()}, "it is of no place"),
        ({"hold": "1 minute"}, "its hold: '1 minute' is no duration"),
        ({"keep": "soon"}, "its keep: 'soon' is no duration"),
        ({"labels": (("severity", "critical"),)}, "its labels repeat"),
        ({"expr": "rate(flow_total[1h30m]) > 1"}, "no scale shrinks '[1h30m]': a duration has one unit and no sign"),
        ({"expr": "max_over_time(flow[1h:1m30s]) > 1"}, "no scale shrinks '[1h:1m30s]'"),
        ({"expr": "flow > flow offset -5m"}, "no scale shrinks 'offset -5m'"),
        ({"expr": "abs(flow offset 1d12h) > 1"}, "no scale shrinks 'offset 1d12h)'"),
        ({"expr": "time() - started > <1h30m>"}, "no scale shrinks '<1h30m>'"),
    ],
)
def test_an_alert_that_says_too_little_is_refused(changes: dict[str, object], problem: str) -> None:
    assert problem in refused(Group(name="pumps", alerts=(replace(ALERT, **changes),)))  # type: ignore[arg-type]


def test_two_rules_that_alertmanager_could_not_tell_apart_are_refused() -> None:
    other = replace(ALERT, expr="up == 1")
    assert "is there twice" in refused(Group(name="a", alerts=(ALERT,)), Group(name="b", alerts=(other,)))
    of_a_place = replace(ALERT, places=frozenset({"fleet"}))
    assert "is there twice" in refused(Group(name="a", alerts=(ALERT, of_a_place)))


def test_one_name_may_have_a_rule_for_each_place_and_for_each_tier() -> None:
    local, fleet = (replace(ALERT, places=frozenset({place})) for place in ("local", "fleet"))
    rulebook.check((Group(name="a", alerts=(local, fleet)),))
    tiers = (replace(ALERT, labels=(("tier", tier),)) for tier in "12")
    rulebook.check((Group(name="a", alerts=tuple(tiers)),))


def test_one_name_is_of_one_team() -> None:
    other = replace(ALERT, team="api", severity=Severity.CRITICAL)
    assert "of the teams platform and api" in refused(Group(name="a", alerts=(ALERT, other)))


def test_groups_and_recorded_series_are_unique_and_named_as_such() -> None:
    assert "the group 'a' is there twice" in refused(Group(name="a"), Group(name="a"))
    record = Record(record="pump:flow:rate5m", expr="rate(flow_total[5m])")
    assert "is there twice" in refused(Group(name="a", records=(record, record)))
    assert "named like level:metric" in refused(Group(name="a", records=(replace(record, record="flow"),)))
    slow = replace(record, expr="rate(flow_total[1h30m])")
    assert "pump:flow:rate5m: no scale shrinks '[1h30m]'" in refused(Group(name="a", records=(slow,)))


def test_what_only_looks_like_a_duration_within_a_text_is_none() -> None:
    expr = "sum(rate(flow_total{pump=~\"[a-z] offset <x>\"}[5m] offset 1h)) > <26h> and up{pump=~'[0-9]'} < 2"
    rulebook.check((Group(name="pumps", alerts=(replace(ALERT, expr=expr),)),))
