from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.control import waited
from tests.fleet.test_postgresql import SERVERS, leader

if TYPE_CHECKING:
    from collections.abc import Callable

METRICS = "/var/lib/prometheus/node-exporter"
BACKUPS = ("backup-full", "backup-differential", "backup-incremental", "backup-verify")
MAINTENANCE = ("verify-state", "check-settings")
PLACES = [(name, timer) for name in SERVERS for timer in BACKUPS]
PLACES += [(name, timer) for name in ("app1", "app2") for timer in MAINTENANCE]


@pytest.mark.parametrize(("name", "timer"), PLACES)
def test_each_timer_waits_for_its_hour_and_hosts_do_not_all_begin_at_once(
    on: Callable[[str], Any], name: str, timer: str
) -> None:
    unit = on(name).service(f"simplicity-{timer}.timer")
    assert unit.is_running
    assert unit.is_enabled
    asked = "RandomizedDelayUSec,Persistent,NextElapseUSecRealtime"
    shown = on(name).check_output(f"systemctl show simplicity-{timer}.timer -p {asked}")
    values = dict(line.split("=", 1) for line in shown.splitlines())
    assert values["RandomizedDelayUSec"] != "0"
    assert values["Persistent"] == "yes"
    assert values["NextElapseUSecRealtime"]


def test_only_the_server_that_leads_makes_backups(on: Callable[[str], Any]) -> None:
    leads = leader(on)
    for name in SERVERS:
        on(name).check_output("systemctl start simplicity-backup-incremental.service")
        result = on(name).check_output("systemctl show simplicity-backup-incremental.service -p Result --value")
        assert result == ("success" if name == leads else "exec-condition")
    told = on(leads).file(f"{METRICS}/simplicity_timer_backup-incremental.prom").content_string
    assert 'simplicity_timer_failed{timer="backup-incremental"} 0' in told


def test_while_one_host_is_at_it_another_does_nothing(on: Callable[[str], Any]) -> None:
    words = "set -a; . /etc/simplicity/sync.env; exec /usr/local/lib/simplicity/alone fleet-test"
    on("app1").check_output("systemd-run --quiet --collect --unit=fleet-test-alone sh -c %s", f"{words} sleep 30")
    try:
        assert waited(lambda: _acts(on("app2"), words) == "another host is at fleet-test", 10)
    finally:
        on("app1").run("systemctl stop fleet-test-alone.service")
    assert waited(lambda: _acts(on("app2"), words) == "acted", 10)


def _acts(host: Any, words: str) -> str:  # noqa: ANN401 - testinfra has no types
    return str(host.check_output("sh -c %s", f"{words} echo acted"))


def test_a_run_that_fails_is_a_metric_and_the_last_success_stays(on: Callable[[str], Any]) -> None:
    host, directory = on("app1"), "/tmp/fleet-test-metrics"  # noqa: S108 - removed below
    outcome = f"/usr/local/lib/simplicity/outcome {directory} some-timer"
    host.check_output(f"mkdir -p {directory}")
    try:
        host.check_output(f"SERVICE_RESULT=success {outcome}")
        before = _metrics(host, directory)
        assert before["failed"] == 0
        host.check_output(f"SERVICE_RESULT=exit-code {outcome}")
        after = _metrics(host, directory)
        assert after["failed"] == 1
        assert after["success_timestamp_seconds"] == before["success_timestamp_seconds"] > 0
    finally:
        host.run(f"rm -r {directory}")


def _metrics(host: Any, directory: str) -> dict[str, float]:  # noqa: ANN401 - testinfra has no types
    lines = host.file(f"{directory}/simplicity_timer_some-timer.prom").content_string.splitlines()
    told = [line.split() for line in lines if not line.startswith("#")]
    return {name.removeprefix("simplicity_timer_").partition("{")[0]: float(value) for name, value in told}


@pytest.mark.parametrize(("name", "timer"), PLACES)
def test_what_runs_by_the_clock_may_write_to_its_own_places_only(
    on: Callable[[str], Any], name: str, timer: str
) -> None:
    shown = on(name).check_output(f"systemctl show simplicity-{timer}.service -p User,ProtectSystem,NoNewPrivileges")
    user = "postgres" if name in SERVERS else "simplicity"
    assert set(shown.splitlines()) == {f"User={user}", "ProtectSystem=strict", "NoNewPrivileges=yes"}
