from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from alerts import render, rulebook
from alerts.model import Alert, Group, Links, Record, Scale, Severity, duration, seconds
from tests.alerts.promtool import program

if TYPE_CHECKING:
    from pathlib import Path

ALERT = Alert(
    name="PumpDown",
    severity=Severity.CRITICAL,
    team="platform",
    expr="""up{job="pump"} == 0
        and time() - started > <1h>""",
    hold="5m",
    keep="10m",
    reason="A restart takes seconds.",
    summary="{{ $labels.instance }} is\n    down.",
    description="Nobody in {{ $labels.cluster }} has water.",
    runbook="answer-pump",
    dashboard="pumps",
    absent='up{job="pump"}',
    labels=(("floor", "1"),),
)


def test_a_rule_has_what_routes_it_and_what_a_person_needs() -> None:
    assert render.rules(ALERT)[0] == {
        "alert": "PumpDown",
        "expr": 'up{job="pump"} == 0 and time() - started > 3600',
        "for": "5m",
        "keep_firing_for": "10m",
        "labels": {"severity": "critical", "team": "platform", "floor": "1"},
        "annotations": {
            "summary": "{{ $labels.instance }} is down.",
            "description": "Nobody in {{ $labels.cluster }} has water.",
            "runbook_url": "docs/runbooks/answer-pump.md",
            "dashboard_url": "dashboards/generated/pumps.json",
        },
    }


def test_a_companion_fires_under_the_same_name_where_the_series_is_no_more() -> None:
    main, companion = render.rules(ALERT)
    assert companion["alert"] == main["alert"]
    assert companion["expr"] == 'absent(up{job="pump"})'
    assert companion["for"] == main["for"]
    assert companion["labels"] == main["labels"] | {"vanished": "true"}
    assert companion["annotations"]["summary"] == render.vanished(ALERT)
    assert "{{" not in render.vanished(ALERT)
    assert len(render.rules(replace(ALERT, absent=""))) == 1


def test_a_rule_that_fires_at_once_holds_for_nothing() -> None:
    assert "for" not in render.rules(replace(ALERT, hold="0s"))[0]
    assert "keep_firing_for" not in render.rules(replace(ALERT, keep=""))[0]


def test_links_are_those_of_the_place_that_is_asked() -> None:
    links = Links(runbook="http://127.0.0.1:1/runbooks/{name}", dashboard="http://127.0.0.1:1/dashboards/{uid}")
    annotations = render.rules(ALERT, links=links)[0]["annotations"]
    assert annotations["runbook_url"] == "http://127.0.0.1:1/runbooks/answer-pump"
    assert annotations["dashboard_url"] == "http://127.0.0.1:1/dashboards/pumps"


def test_a_scale_shrinks_what_is_waited_for_and_keeps_its_floors() -> None:
    rule = render.rules(ALERT, scale=Scale(factor=60, span_share=1.0))[0]
    assert (rule["for"], rule["keep_firing_for"]) == ("5s", "1m")
    assert rule["expr"].endswith("> 60")
    assert render.rules(ALERT, scale=Scale(factor=60))[0]["expr"].endswith("> 600")
    assert render.rules(ALERT, scale=Scale(factor=1000))[0]["for"] == "4s"


def test_a_place_gets_its_own_rules_and_the_committed_file_says_which_are_not_for_all() -> None:
    group = Group(name="pumps", alerts=(ALERT, replace(ALERT, name="PumpOld", places=frozenset({"fleet"}))))

    def names(place: str | None) -> set[str]:
        rules = render.document(group, place=place)["groups"][0]["rules"]  # type: ignore[arg-type]
        assert yaml.safe_load(render.as_yaml(group, place=place)) == render.document(group, place=place)  # type: ignore[arg-type]
        return {rule["alert"] for rule in rules}

    assert names("local") == {"PumpDown"}
    assert names("fleet") == names(None) == {"PumpDown", "PumpOld"}
    assert render.as_yaml(group).count("# only: fleet") == 1


def test_a_group_without_a_rule_of_a_place_is_an_empty_one() -> None:
    group = Group(name="pumps", alerts=(replace(ALERT, places=frozenset({"fleet"})),))
    assert yaml.safe_load(render.as_yaml(group, place="local")) == {"groups": [{"name": "pumps", "rules": []}]}


def test_recording_rules_come_first_with_their_labels() -> None:
    group = Group(
        name="pumps",
        records=(Record(record="pump:flow:rate5m", expr="rate(flow[5m])", labels=(("floor", "1"),)),),
        alerts=(ALERT,),
    )
    rules = render.document(group, scale=Scale(factor=10))["groups"][0]["rules"]
    assert rules[0] == {"record": "pump:flow:rate5m", "expr": "rate(flow[30s])", "labels": {"floor": "1"}}


@pytest.mark.parametrize("factor", [1, 300])
@pytest.mark.parametrize("place", [None, "local", "fleet", "cloud"])
@pytest.mark.xdist_group("promtool")
def test_promtool_accepts_all_rules_of_each_place_at_each_scale(
    tmp_path: Path, place: str | None, factor: float
) -> None:
    for group in rulebook.groups():
        text = render.as_yaml(group, scale=Scale(factor=factor), place=place)  # type: ignore[arg-type]
        (tmp_path / f"{group.name}.yaml").write_text(text, encoding="utf-8")
    command = [str(program()), "check", "rules", "--lint-fatal", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", ["90s", "5m", "26h", "3d", "2w", "1500ms", "0s"])
def test_a_duration_reads_back(text: str) -> None:
    assert seconds(duration(seconds(text))) == seconds(text)


def test_a_scale_leaves_the_resolution_of_a_subquery_fine_enough() -> None:
    assert Scale(factor=60).expression("max_over_time(a[1h:1m] offset 1d)") == "max_over_time(a[1m:2s] offset 24m)"
    assert Scale().expression("max_over_time(a[1h:1m] offset 1d)") == "max_over_time(a[1h:1m] offset 1d)"
