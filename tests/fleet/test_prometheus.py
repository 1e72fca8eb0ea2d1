from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.fleet.asking import connects, tls
from tests.fleet.control import trusting, waited
from tests.fleet.test_base import address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.environment import Environment

HOSTS = {
    "alertmanager": {"mon1"},
    "etcd": {"db1", "db2", "mon1"},
    "haproxy": {"lb1", "lb2"},
    "node": {"db1", "db2", "app1", "app2", "mon1", "lb1", "lb2"},
    "patroni": {"db1", "db2"},
    "pgbouncer": {"db1", "db2"},
    "postgresql": {"db1", "db2"},
    "prometheus": {"mon1"},
    "sync": {"app1", "app2"},
    "valkey": {"mon1"},
}


@pytest.fixture(scope="module")
def prometheus(environment: Environment) -> Iterator[httpx2.Client]:
    """Prometheus as the drivers on the control node ask it: by its certificate of the fleet's authority."""
    with httpx2.Client(base_url=str(environment.endpoints.prometheus), verify=trusting(environment)) as client:
        yield client


def _asked(client: httpx2.Client, path: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
    answer = client.get(f"/api/v1/{path}", params=parameters)
    answer.raise_for_status()
    return answer.json()["data"]


def test_every_target_of_the_fleet_is_scraped(prometheus: httpx2.Client) -> None:
    # Whoever was just deployed or restarted is back at the next scrape.
    assert waited(lambda: not _asked(prometheus, "query", query="up == 0")["result"], 30.0), "some target is down"
    found: dict[str, set[str]] = {}
    for target in _asked(prometheus, "targets", state="active")["activeTargets"]:
        assert (target["labels"]["cluster"], target["labels"]["place"]) == ("fleet", "fleet")
        found.setdefault(target["labels"]["job"], set()).add(target["labels"]["instance"])
    live = found.pop("api")
    assert {name.partition("-")[0] for name in live} == {"app1", "app2"}
    assert found == HOSTS


def test_the_rules_of_the_fleet_are_loaded_and_evaluated(prometheus: httpx2.Client) -> None:
    groups = _asked(prometheus, "rules")["groups"]
    names = {rule["name"] for group in groups for rule in group["rules"]}
    assert {"Watchdog", "DatabaseDown", "ApiAvailabilityBurn"} <= names
    assert all(rule["health"] == "ok" for group in groups for rule in group["rules"])
    links = {rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"] if "annotations" in rule}
    assert all(link.startswith("http") and "example" not in link for link in links)


def test_alertmanager_is_told(prometheus: httpx2.Client, environment: Environment) -> None:
    (found,) = _asked(prometheus, "alertmanagers")["activeAlertmanagers"]
    assert found["url"].startswith(str(environment.endpoints.alertmanager))
    assert _asked(prometheus, "query", query="ALERTS{alertname='Watchdog'}")["result"]
    (sent,) = _asked(prometheus, "query", query="prometheus_notifications_errors_total")["result"]
    (total,) = _asked(prometheus, "query", query="prometheus_notifications_sent_total")["result"]
    assert float(sent["value"][1]) < float(total["value"][1])


def _ready(client: httpx2.Client) -> bool:
    try:
        return bool(client.get("/-/ready").is_success)
    except httpx2.TransportError:
        return False


def test_series_outlast_a_restart(on: Callable[[str], Any], prometheus: httpx2.Client) -> None:
    before = time.time() - 60
    on("mon1").check_output("systemctl restart prometheus")
    assert waited(lambda: _ready(prometheus), 30.0)
    assert _asked(prometheus, "query", query="up{job='node'}", time=str(before))["result"]


def test_only_the_control_node_and_monitoring_reach_it(on: Callable[[str], Any], environment: Environment) -> None:
    at = address(environment, "mon1")
    for name in ("app1", "lb1", "db1"):
        assert not connects(on(name), at, 9090)
    assert tls(on("mon1"), at, 9090, "TLSv1_3") == "TLSv1.3"
    assert tls(on("mon1"), at, 9090, "TLSv1_2") != "TLSv1.2"
    with pytest.raises(httpx2.TransportError):
        httpx2.get(str(environment.endpoints.prometheus))  # by nobody's authority that others trust


def test_nobody_changes_it_over_the_network(prometheus: httpx2.Client) -> None:
    assert prometheus.post("/-/quit").status_code == httpx2.codes.FORBIDDEN
    assert prometheus.post("/-/reload").status_code == httpx2.codes.FORBIDDEN
    assert prometheus.post("/api/v1/admin/tsdb/delete_series?match[]=up").is_error


def test_it_runs_without_privileges_and_keeps_a_month(on: Callable[[str], Any], prometheus: httpx2.Client) -> None:
    shown = on("mon1").check_output("systemctl show prometheus --property=User,NoNewPrivileges,ProtectSystem")
    assert set(shown.split()) == {"User=prometheus", "NoNewPrivileges=yes", "ProtectSystem=strict"}
    assert on("mon1").service("prometheus").is_enabled
    assert _asked(prometheus, "status/flags")["storage.tsdb.retention.time"] == "31d"
