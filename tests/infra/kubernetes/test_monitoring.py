"""Rules and dashboards of the chart: all that a cluster can answer, none that it cannot."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alerts import rulebook
from dashboards.catalog import dashboards
from dashboards.metrics import metric_names
from infra.kubernetes import monitoring
from tests.alerts.promtool import program
from tests.infra.kubernetes.chart import MINIMAL, PRODUCTION, render

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 2**20  # of a ConfigMap, and of all that helm keeps of a release


def rules() -> list[dict[str, Any]]:
    files = [yaml.safe_load(text) for text in monitoring.rule_files().values()]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def test_every_alert_is_there_or_was_left_out_for_a_reason() -> None:
    there = {rule["alert"] for rule in rules() if "alert" in rule}
    for group in rulebook.groups():
        for alert in group.alerts:
            left_out = group.name in monitoring.NO_FAMILIES or alert.name in monitoring.NO_ALERTS
            assert (alert.name in there) == ("cloud" in alert.places and not left_out), alert.name
    assert {"ApiDown", "NoApiInstance", "HighErrorRate", "ApiAvailabilityBurn", "IndexerDown", "NoWriter"} <= there


def test_nothing_asks_a_balancer_or_hosts_that_are_not_there() -> None:
    asked = [metric_names(rule["expr"]) for rule in rules()]
    boards = [json.loads(text) for text in monitoring.board_files().values()]
    targets = [target for board in boards for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [metric_names(target["expr"]) for target in targets]
    foreign = ("haproxy_", "patroni_", "etcd_", "node_", "simplicity_certificate_")
    assert not [name for names in asked for name in names if name.startswith(foreign)]


@pytest.mark.parametrize(
    ("ours", "there"),
    [
        ("up", "up"),
        (
            'rate(haproxy_frontend_http_responses_total{proxy="public", code="5xx"}[5m])',
            'rate(http_requests_total{status=~"5..", endpoint!~"/health.*|/metrics"}[5m])',
        ),
        (
            'sum by (code) (rate(haproxy_frontend_http_responses_total{proxy="public", code!~"1xx|other"}[5m]))',
            (
                'sum by (code) (label_replace(rate(http_requests_total{endpoint!~"/health.*|/metrics"}[5m]), "code", '
                '"${1}xx", "status", "(.).."))'
            ),
        ),
        ('max by (cluster) (haproxy_backend_active_servers{proxy="api"})', "sum by (cluster) (api_ready)"),
        ('min(haproxy_backend_active_servers{cluster="a", proxy="api"})', 'sum(api_ready{cluster="a"})'),
    ],
)
def test_what_the_balancer_counts_is_asked_of_the_pods(ours: str, there: str) -> None:
    assert monitoring.translated(ours) == there


def test_a_rule_that_no_cluster_can_answer_is_named() -> None:
    with pytest.raises(monitoring.MonitoringError, match="haproxy_server_status: asks a balancer that no cluster has"):
        monitoring.translated("haproxy_server_status")
    alert = replace(rulebook.named("DatabaseUnreachable")[0], expr='pg_up == 0 and up{job="etcd"} == 0')
    with pytest.raises(monitoring.MonitoringError, match="DatabaseUnreachable: asks etcd, postgresql: name that"):
        monitoring.need(alert)


def test_rules_that_need_an_exporter_come_only_where_it_is_scraped() -> None:
    with_all = set(render(PRODUCTION).of("PrometheusRule"))
    without = set(render(PRODUCTION, "monitoring.exporters=[]").of("PrometheusRule"))
    assert without == {"api", "database", "indexer", "node", "security", "slo"}
    assert {name.partition("-needs-")[2] for name in with_all - without} == {"postgresql", "valkey", "backup"}
    assert render(MINIMAL).of("PrometheusRule") == {}


def test_links_lead_to_pages_that_people_can_open_where_their_address_is_known() -> None:
    def links(*settings: str) -> set[str]:
        found = render(PRODUCTION, *settings).of("PrometheusRule")["api"]["spec"]["groups"][0]["rules"]
        alert = next(rule for rule in found if rule["alert"] == "ApiDown")
        return {alert["annotations"]["runbook_url"], alert["annotations"]["dashboard_url"]}

    assert links() == {
        "https://operations.example.com/runbooks/answer-api-down",
        "https://grafana.example.com/d/api",
    }
    bare = links('monitoring.operationsUrl=""', 'monitoring.grafanaUrl=""')
    assert bare == {"docs/runbooks/answer-api-down.md", "dashboards/generated/api.json"}


def test_dashboards_open_runbooks_where_they_are() -> None:
    text = render(PRODUCTION).of("ConfigMap")["dashboard-overview"]["data"]["overview.json"]
    (variable,) = [each for each in json.loads(text)["templating"]["list"] if each["name"] == "operations"]
    assert variable["query"] == variable["current"]["value"] == "https://operations.example.com"


def test_rules_and_dashboards_arrive_as_they_were_written() -> None:
    bare = render(PRODUCTION, 'monitoring.operationsUrl=""', 'monitoring.grafanaUrl=""')
    for name, text in monitoring.rule_files().items():
        assert bare.of("PrometheusRule")[name.removesuffix(".yaml")]["spec"] == yaml.safe_load(text)
    for name, text in monitoring.board_files().items():
        found = bare.of("ConfigMap")[f"dashboard-{name.removesuffix('.json')}"]
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert found["data"].keys() == {name}
        assert json.loads(found["data"][name]) == json.loads(text)
        assert len(found["data"][name]) < MOST_BYTES / 4


def test_every_dashboard_is_there_or_was_left_out_for_a_reason() -> None:
    there = {name.removesuffix(".json") for name in monitoring.board_files()}
    assert there == {board.uid for board in dashboards()} - set(monitoring.NO_BOARDS)


SERIES = [
    {"series": f'{name}{{cluster="k", endpoint="/v1/x", status="{status}", instance="{instance}"}}', "values": values}
    for name, status, instance, values in (
        ("http_requests_total", "200", "a", "0+54x20"),
        ("http_requests_total", "503", "a", "0+6x20"),
        ("api_ready", "", "a", "1x20 0x20"),
    )
]


@pytest.mark.parametrize(
    ("alert", "at", "summary"),
    [
        ("HighErrorRate", "9m", "10% of the requests in k end in a server's error"),
        ("NoApiInstance", "9m", None),
        ("NoApiInstance", "12m", "k has 0 processes of the API that are ready"),
    ],
)
def test_translated_alerts_fire_when_pods_say_so(tmp_path: Path, alert: str, at: str, summary: str | None) -> None:
    (found,) = [rule for rule in rules() if rule.get("alert") == alert]
    slim = found | {"annotations": {"summary": found["annotations"]["summary"]}}
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "tested", "rules": [slim]}]}))
    firing = {"exp_labels": found["labels"] | {"cluster": "k"}, "exp_annotations": {"summary": summary}}
    asked = {"eval_time": at, "alertname": alert, "exp_alerts": [firing] if summary else []}
    test = {"interval": "30s", "input_series": SERIES, "alert_rule_test": [asked]}
    (tmp_path / "test.json").write_text(
        json.dumps({"rule_files": ["rules.json"], "evaluation_interval": "30s", "tests": [test]})
    )
    done = subprocess.run(
        [program(), "test", "rules", "test.json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_all_rules(tmp_path: Path) -> None:
    for name, text in monitoring.rule_files().items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [program(), "check", "rules", *sorted(monitoring.rule_files())],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
