from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.fleet.asking import connects, tls
from tests.fleet.control import control, receiver, trusting, waited
from tests.fleet.test_base import address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.environment import Environment

# Where the operations page is delivered to; what delivers waits ten seconds for others of its kind.
PORT, SECONDS = 8090, 40.0


@pytest.fixture(scope="module")
def alertmanager(environment: Environment) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=str(environment.endpoints.alertmanager), verify=trusting(environment)) as client:
        yield client


def test_an_alert_is_delivered_to_the_control_node_with_the_token(
    alertmanager: httpx2.Client, environment: Environment
) -> None:
    mark = uuid.uuid4().hex
    labels = {"alertname": "Rehearsal", "severity": "critical", "team": "platform", "cluster": "fleet", "mark": mark}
    links = {"summary": "s", "description": "d", "runbook_url": "https://r.example.com", "dashboard_url": ""}
    with receiver(control(environment), PORT) as taken:
        alertmanager.post("/api/v2/alerts", json=[{"labels": labels, "annotations": links}]).raise_for_status()
        assert waited(lambda: any(mark in body for _, body in taken), SECONDS), f"{SECONDS:.0f} s and nothing came"
        authorization, body = next(each for each in taken if mark in each[1])
    assert authorization == f"Bearer {environment.secret('operations_token')}"
    assert json.loads(body)["commonLabels"]["alertname"] == "Rehearsal"


def test_the_watchdog_of_prometheus_comes_through(environment: Environment) -> None:
    with receiver(control(environment), PORT) as taken:
        # It is told each minute.
        assert waited(lambda: any("Watchdog" in body for _, body in taken), 100.0)


def test_only_the_control_node_and_monitoring_reach_it(on: Callable[[str], Any], environment: Environment) -> None:
    at = address(environment, "mon1")
    for name in ("app1", "lb1", "db1"):
        assert not connects(on(name), at, 9093)
    assert tls(on("mon1"), at, 9093, "TLSv1_3") == "TLSv1.3"
    assert tls(on("mon1"), at, 9093, "TLSv1_2") != "TLSv1.2"


def test_it_looks_for_no_others(on: Callable[[str], Any], alertmanager: httpx2.Client) -> None:
    assert alertmanager.get("/api/v2/status").json()["cluster"]["status"] == "disabled"
    assert not on("mon1").socket("tcp://0.0.0.0:9094").is_listening


def test_secrets_are_files_that_only_it_reads(
    on: Callable[[str], Any], alertmanager: httpx2.Client, environment: Environment
) -> None:
    token = environment.secret("operations_token")
    directory, file = (on("mon1").file(f"/etc/alertmanager/secrets{name}") for name in ("", "/operations-token"))
    assert (directory.user, directory.group, directory.mode) == ("root", "prometheus", 0o750)
    assert (file.user, file.group, file.mode) == ("root", "prometheus", 0o640)
    assert token not in on("mon1").file("/etc/alertmanager/alertmanager.yml").content_string
    assert token not in alertmanager.get("/api/v2/status").text
    assert token not in on("mon1").check_output("ps -ewwo args")


def test_it_runs_without_privileges_and_after_a_boot(on: Callable[[str], Any]) -> None:
    unit = "prometheus-alertmanager"
    shown = on("mon1").check_output("systemctl show %s --property=User,NoNewPrivileges,ProtectSystem", unit)
    assert set(shown.split()) == {"User=prometheus", "NoNewPrivileges=yes", "ProtectSystem=strict"}
    assert on("mon1").service(unit).is_enabled
