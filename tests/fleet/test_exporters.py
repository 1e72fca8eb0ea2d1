from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.asking import connects, tls
from tests.fleet.control import waited
from tests.fleet.test_base import address

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

EVERY = ("db1", "db2", "app1", "app2", "mon1", "lb1", "lb2")
NODE = tuple((name, 9100) for name in EVERY)
PORTS = (*NODE, ("db1", 9187), ("db2", 9187), ("db1", 9127), ("db2", 9127), ("mon1", 9121))
CURL = "curl --silent --show-error --fail --max-time 5 --cacert /etc/simplicity/tls/ca.pem "
OURS = "--cert /etc/simplicity/tls/host.pem --key /etc/simplicity/tls/host.key "


def metrics(on: Callable[[str], Any], environment: Environment, name: str, port: int) -> str:
    """What an exporter tells Prometheus."""
    return str(on("mon1").check_output(f"{CURL}{OURS}https://{address(environment, name)}:{port}/metrics"))


@pytest.mark.parametrize(("name", "port"), PORTS)
def test_an_exporter_tells_only_who_shows_a_certificate_of_ours(
    on: Callable[[str], Any], environment: Environment, name: str, port: int
) -> None:
    at = address(environment, name)
    assert "# TYPE" in metrics(on, environment, name, port)
    assert on("mon1").run(f"{CURL}https://{at}:{port}/metrics").rc != 0
    assert on("mon1").run(f"curl --silent --fail --max-time 5 http://{at}:{port}/metrics").rc != 0
    assert tls(on("mon1"), at, port, "TLSv1_2") != "TLSv1.2"


@pytest.mark.parametrize(("name", "port"), PORTS)
def test_only_monitoring_reaches_it(on: Callable[[str], Any], environment: Environment, name: str, port: int) -> None:
    for asker in {"app1", "db1", "lb1"} - {name}:
        assert not connects(on(asker), address(environment, name), port)


@pytest.mark.parametrize("name", EVERY)
def test_a_host_tells_of_its_disks_units_and_certificates(
    on: Callable[[str], Any], environment: Environment, name: str
) -> None:
    text = metrics(on, environment, name, 9100)
    # What the exporter itself may not write to is not read-only because of that.
    assert re.search(r'^node_filesystem_readonly\{.*mountpoint="/"\} 0$', text, re.MULTILINE)
    assert re.search(r'^node_systemd_unit_state\{name="ssh.service",state="active".*\} 1$', text, re.MULTILINE)
    assert 'node_scrape_collector_success{collector="netdev"} 1' in text
    (ends,) = re.findall(
        r'^simplicity_certificate_expires_timestamp_seconds\{path=".*host.pem"\} (.+)$', text, re.MULTILINE
    )
    said = on(name).check_output("openssl x509 -in /etc/simplicity/tls/host.pem -noout -enddate -dateopt iso_8601")
    assert time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(float(ends))) == said.partition("=")[2]


@pytest.mark.parametrize(("port", "metric"), [(9187, "pg_up"), (9127, "pgbouncer_up")])
@pytest.mark.parametrize("name", ["db1", "db2"])
def test_the_database_and_its_pooler_are_seen(
    on: Callable[[str], Any], environment: Environment, name: str, port: int, metric: str
) -> None:
    # A server that was just failed over is seen again as soon as it answers.
    assert waited(lambda: f"\n{metric} 1\n" in metrics(on, environment, name, port), 30.0)


def test_the_cache_is_seen(on: Callable[[str], Any], environment: Environment) -> None:
    assert "\nredis_up 1\n" in metrics(on, environment, "mon1", 9121)


@pytest.mark.parametrize(
    ("name", "exporter", "secret"),
    [
        ("db1", "postgresql", "database_monitoring_password"),
        ("db1", "pgbouncer", "database_monitoring_password"),
        ("mon1", "valkey", "cache_monitoring_password"),
    ],
)
def test_a_password_of_an_exporter_is_roots_and_in_no_argument(
    on: Callable[[str], Any], environment: Environment, name: str, exporter: str, secret: str
) -> None:
    file = on(name).file(f"/etc/simplicity/exporters/{exporter}.env")
    assert (file.user, file.mode) == ("root", 0o600)
    value = environment.secret(secret)
    assert value in file.content_string
    assert value not in on(name).check_output("ps -ewwo args")
    assert value not in on(name).check_output("systemctl show 'prometheus-*' --property=ExecStart,Environment")


@pytest.mark.parametrize("name", EVERY)
def test_exporters_run_without_privileges_and_after_a_boot(on: Callable[[str], Any], name: str) -> None:
    units = (
        on(name).check_output("systemctl list-units --plain --no-legend 'prometheus-*-exporter.service'").split("\n")
    )
    for unit in (line.split()[0] for line in units):
        assert on(name).service(unit).is_enabled
        shown = on(name).check_output("systemctl show %s --property=User,NoNewPrivileges,ProtectSystem", unit)
        assert set(shown.split()) == {"User=prometheus", "NoNewPrivileges=yes", "ProtectSystem=strict"}
    assert on(name).service("simplicity-certificate-metrics.timer").is_running
    assert on(name).service("simplicity-certificate-metrics.timer").is_enabled
