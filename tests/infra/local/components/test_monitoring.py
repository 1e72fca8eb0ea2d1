"""What watches the envelope, as the envelope configures it: real programs on real servers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from configparser import ConfigParser
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import psutil
import psycopg
import pytest
import yaml

import dashboards
from infra.local import pages
from infra.local.component import Component, Envelope, Options, components
from infra.local.components import (
    alertmanager,
    grafana,
    node_exporter,
    operations,
    postgresql,
    postgresql_exporter,
    prometheus,
    valkey,
    valkey_exporter,
)
from infra.local.document import document_of
from infra.local.layout import EnvelopeError, Layout, layout, private_directory, write_private
from infra.local.tools import locate
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Cluster

PASSWORD = "hunter2-of-monitoring"
TOOLS = layout().tools


@pytest.fixture(autouse=True)
def without_grafana(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what else this machine has."""
    monkeypatch.setattr(grafana, "program", lambda: None)


@pytest.fixture
def envelope(tmp_path: Path) -> Envelope:
    place = Layout(home=tmp_path / "home", tools=TOOLS)
    place.create()
    everything = components()
    ports = {port.name: free_port() for component in everything for port in component.ports}
    secrets = {name: PASSWORD for component in everything for name in component.secrets}
    for name in secrets:
        write_private(place.secrets / name, f"{PASSWORD}\n")
    tools = {name: locate(name, TOOLS) for component in everything for name in component.tools if name != "haproxy"}
    return Envelope(place, ports, Options(), secrets, tools)


def written(component: Component, envelope: Envelope) -> Path:
    """Write a component's files as `up` does, and return their directory."""
    directory = envelope.directory(component.name)
    private_directory(directory)
    for name, text in component.files(envelope).items():
        private_directory((directory / name).parent)
        write_private(directory / name, text)
    return directory


@contextmanager
def started(component: Component, envelope: Envelope) -> Iterator[subprocess.Popen[bytes]]:
    directory = written(component, envelope)
    environment = {"PATH": "/usr/bin:/bin", **component.environment(envelope)}
    with (directory / "output").open("wb") as output, ExitStack() as stack:
        process = subprocess.Popen(
            component.command(envelope), cwd=directory, env=environment, stdout=output, stderr=output
        )
        stack.callback(process.wait, 10)
        stack.callback(process.terminate)
        stack.callback(process.send_signal, signal.SIGCONT)
        deadline = time.monotonic() + 20
        while not component.probe(envelope).ready:
            assert process.poll() is None, (directory / "output").read_text()
            assert time.monotonic() < deadline, component.probe(envelope)
            time.sleep(0.05)
        yield process


def scraped(url: str, within: float = 5.0) -> dict[str, float]:
    """Return what an exporter tells, by name; of a name with labels the sum."""
    text = httpx2.get(url, timeout=within, trust_env=False).raise_for_status().text
    found: dict[str, float] = {}
    for name, value in re.findall(r"^(\w+).* (\S+)$", text, re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def argv(process: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_text()


(POSTGRESQL_EXPORTER,) = postgresql_exporter.COMPONENTS
(VALKEY,), (VALKEY_EXPORTER,) = valkey.COMPONENTS, valkey_exporter.COMPONENTS
(NODE_EXPORTER,), (ALERTMANAGER,) = node_exporter.COMPONENTS, alertmanager.COMPONENTS
(PROMETHEUS,), (GRAFANA,), (OPERATIONS,) = prometheus.COMPONENTS, grafana.COMPONENTS, operations.COMPONENTS


@pytest.fixture
def database(envelope: Envelope, cluster: Cluster) -> Envelope:
    """The envelope with a running database and its roles."""
    ports = {**envelope.ports, postgresql.PORT: cluster.port}
    made = Envelope(envelope.layout, ports, envelope.options, envelope.secrets, envelope.tools)
    postgresql.COMPONENTS[0].settle(made)
    return made


def test_the_databases_exporter_tells_what_alerts_ask_for_and_shows_no_password(database: Envelope) -> None:
    with psycopg.connect(postgresql.url(database, postgresql.WRITER), autocommit=True) as writer:
        writer.execute("CREATE TABLE watched (id int)")
        try:
            with started(POSTGRESQL_EXPORTER, database) as process:
                told = scraped(postgresql_exporter.metrics_url(database))
                assert PASSWORD not in argv(process)
        finally:
            writer.execute("DROP TABLE watched")
    assert told["pg_up"] == 1
    assert told["pg_settings_max_connections"] == 60
    assert told["pg_database_wraparound_age_datfrozenxid_seconds"] > 0
    assert "pg_stat_user_tables_n_dead_tup" in told, "of the database that has the index"
    wanted = ("pg_stat_activity_count", "pg_stat_activity_max_tx_duration", "pg_stat_archiver_failed_count")
    assert not [name for name in (*wanted, "pg_stat_database_deadlocks", "pg_locks_count") if name not in told]


def test_a_table_that_is_locked_takes_no_other_metric_away(database: Envelope) -> None:
    with psycopg.connect(postgresql.url(database, postgresql.WRITER)) as writer:
        writer.execute("CREATE TABLE locked (id int)")
        writer.commit()
        writer.execute("LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")
        try:
            with started(POSTGRESQL_EXPORTER, database):
                told = scraped(postgresql_exporter.metrics_url(database), within=2.0)
        finally:
            writer.rollback()
            writer.execute("DROP TABLE locked")
    assert told["pg_up"] == 1
    assert told["pg_locks_count"] > 0


def test_the_role_that_watches_may_read_no_row_and_comes_in_when_all_other_connections_are_taken(
    database: Envelope,
) -> None:
    with psycopg.connect(postgresql.url(database, postgresql.WRITER), autocommit=True) as writer:
        writer.execute("CREATE TABLE private (id int)")
        try:
            address = f"host=127.0.0.1 port={database.ports[postgresql.PORT]} dbname={postgresql.DATABASE}"
            with psycopg.connect(f"{address} user={postgresql.MONITORING} password={PASSWORD}") as watcher:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    watcher.execute("SELECT * FROM private")
                watcher.rollback()
                row = watcher.execute("SELECT pg_has_role('pg_use_reserved_connections', 'usage')").fetchone()
                assert row == (True,)
        finally:
            writer.execute("DROP TABLE private")
    assert "reserved_connections=2" in postgresql.COMPONENTS[0].command(database)


def test_a_cache_that_hangs_or_is_gone_is_told_before_the_scrape_times_out(envelope: Envelope) -> None:
    url = valkey_exporter.metrics_url(envelope)
    with started(VALKEY_EXPORTER, envelope) as exporter:
        assert scraped(url, within=2.0)["redis_up"] == 0
        with started(VALKEY, envelope) as server:
            told = scraped(url, within=2.0)
            assert (told["redis_up"], told["redis_memory_max_bytes"]) == (1, 64 * 1024 * 1024)
            assert "redis_connected_clients" in told
            server.send_signal(signal.SIGSTOP)
            assert scraped(url, within=2.0)["redis_up"] == 0
            server.send_signal(signal.SIGCONT)
        assert PASSWORD not in argv(exporter)
        assert PASSWORD not in httpx2.get(url, timeout=2, trust_env=False).text


def test_the_machines_exporter_tells_what_alerts_ask_for_and_not_who_the_machine_is(envelope: Envelope) -> None:
    with started(NODE_EXPORTER, envelope):
        text = httpx2.get(node_exporter.metrics_url(envelope), timeout=5, trust_env=False).text
    names = set(re.findall(r"^(\w+)", text, re.MULTILINE))
    wanted = ("cpu_seconds_total", "memory_MemAvailable_bytes", "filefd_allocated", "time_seconds", "load1")
    assert not {f"node_{name}" for name in wanted} - names
    assert 'mountpoint="/"' in text, "the disk of a container is one too"
    assert not {name for name in names if "uname" in name or "dmi" in name or "os_info" in name}


def test_alertmanager_delivers_everything_to_the_operations_page_and_listens_to_nobody_else(
    envelope: Envelope,
) -> None:
    directory = written(ALERTMANAGER, envelope)
    checked = subprocess.run(
        [locate("amtool", TOOLS), "check-config", directory / alertmanager.CONFIG],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "SUCCESS" in checked.stdout
    document = yaml.safe_load((directory / alertmanager.CONFIG).read_text())
    urls = {hook["url"] for receiver in document["receivers"] for hook in receiver["webhook_configs"]}
    assert urls == {f"http://127.0.0.1:{envelope.ports['operations']}/alerts"}
    with started(ALERTMANAGER, envelope) as process:
        sockets = psutil.Process(process.pid).net_connections("inet")
        listening = {(each.laddr.ip, each.laddr.port) for each in sockets if each.status == psutil.CONN_LISTEN}
    assert listening == {("127.0.0.1", envelope.ports["alertmanager"])}


@pytest.mark.parametrize("scale", [1.0, 1440.0])
def test_prometheus_takes_its_configuration_and_all_rules_at_any_scale(envelope: Envelope, scale: float) -> None:
    scaled = Envelope(envelope.layout, envelope.ports, Options(alert_scale=scale), envelope.secrets, envelope.tools)
    directory = written(PROMETHEUS, scaled)
    command = [str(locate("promtool", TOOLS)), "check", "config", "prometheus.yml"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=directory)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = sorted(path.name for path in (directory / "rules").glob("*.yaml"))
    assert "slo.yaml" in rules
    assert len(rules) > 1
    document = json.loads((directory / "prometheus.yml").read_text())
    assert sorted(document["rule_files"]) == sorted([*(f"rules/{name}" for name in rules), prometheus.OWN_RULES])
    assert envelope.layout.load_targets.is_dir(), "one that comes later is not watched"


def test_prometheus_scrapes_each_component_that_has_metrics_by_its_job_and_a_group_is_one(envelope: Envelope) -> None:
    document = json.loads(PROMETHEUS.files(envelope)["prometheus.yml"])
    jobs = {job["job_name"]: job for job in document["scrape_configs"]}
    found = {
        name: {target["labels"]["instance"] for target in job["static_configs"]}
        for name, job in jobs.items()
        if name != "loadtest"
    }
    assert found == {
        "alertmanager": {"alertmanager"},
        "api": {"api-1", "api-2"},
        "backup": {"backup"},
        "haproxy": {"haproxy"},
        "node": {"node-exporter"},
        "operations": {"operations"},
        "postgresql": {"postgresql-exporter"},
        "prometheus": {"prometheus"},
        "sync": {"sync"},
        "valkey": {"valkey-exporter"},
    }
    (load,) = jobs["loadtest"]["file_sd_configs"]
    assert load["files"] == [f"{envelope.layout.load_targets}/*.json"]
    (api, _) = jobs["api"]["static_configs"]
    assert api == {
        "targets": [f"127.0.0.1:{envelope.ports['api-1']}"],
        "labels": {"cluster": "local", "place": "local", "instance": "api-1"},
    }


def test_alerts_link_to_the_operations_page_and_to_grafana_where_there_is_one(
    envelope: Envelope, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = f"http://127.0.0.1:{envelope.ports['operations']}"
    assert prometheus.links(envelope).runbook == f"{page}/runbooks/{{name}}"
    assert prometheus.links(envelope).dashboard == f"{page}/dashboards/{{uid}}"
    assert f"runbook_url: {page}/runbooks/answer-" in PROMETHEUS.files(envelope)["rules/slo.yaml"]
    assert document_of(envelope).endpoints.grafana is None
    assert "grafana" not in pages.pages(envelope)
    monkeypatch.setattr(grafana, "program", lambda: Path("/usr/bin/grafana"))
    board = f"http://127.0.0.1:{envelope.ports['grafana']}"
    assert prometheus.links(envelope).dashboard == f"{board}/d/{{uid}}"
    made = document_of(envelope)
    assert made.endpoints.grafana == pages.pages(envelope)["grafana"] == board
    assert made.secrets["grafana_admin_password"].name.endswith("/secrets/grafana_admin_password")


def test_grafana_is_started_only_where_there_is_one_and_in_its_own_home(
    envelope: Envelope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not GRAFANA.wanted(Options())
    with pytest.raises(EnvelopeError, match="no longer in PATH"):
        GRAFANA.command(envelope)
    monkeypatch.undo()
    program = tmp_path / "grafana-13" / "bin" / "grafana"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert GRAFANA.wanted(Options())
    assert f"--homepath={grafana.HOME}" in GRAFANA.command(envelope), "as a distribution's package has it"
    (tmp_path / "grafana-13" / "conf").mkdir()
    (tmp_path / "grafana-13" / "conf" / "defaults.ini").write_text("")
    assert GRAFANA.command(envelope) == (
        str(program),
        "server",
        f"--homepath={tmp_path / 'grafana-13'}",
        f"--config={envelope.directory('grafana') / 'grafana.ini'}",
    )


def test_grafana_is_provisioned_with_this_prometheus_and_all_dashboards_and_asks_nobody_outside(
    envelope: Envelope,
) -> None:
    directory = written(GRAFANA, envelope)
    settings = ConfigParser(interpolation=None)
    settings.read(directory / "grafana.ini")
    assert settings["server"]["http_addr"] == "127.0.0.1"
    assert settings["security"]["admin_password"] == f"$__file{{{envelope.layout.secrets}/grafana_admin_password}}"
    assert PASSWORD not in (directory / "grafana.ini").read_text()
    assert settings["auth.anonymous"]["org_role"] == "Viewer"
    assert not settings.getboolean("analytics", "reporting_enabled")
    assert not settings.getboolean("analytics", "check_for_updates")
    provisioning = Path(settings["paths"]["provisioning"])
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert (source["url"], source["isDefault"]) == (prometheus.base_url(envelope), True)
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "simplicity.yaml").read_text())["providers"]
    boards = Path(provider["options"]["path"])
    assert Path(settings["dashboards"]["default_home_dashboard_path"]) == boards / "overview.json"
    committed = Path(dashboards.__file__).with_name("generated")
    assert {path.name for path in boards.iterdir()} == {path.name for path in committed.glob("*.json")}
    for path in committed.glob("*.json"):
        expected = path.read_text().replace("http://localhost:8090", operations.base_url(envelope))
        assert json.loads((boards / path.name).read_text()) == json.loads(expected), "but for where the page is"


def test_the_operations_page_is_told_its_environment_and_needs_nobody(envelope: Envelope) -> None:
    assert OPERATIONS.needs == ()
    command = OPERATIONS.command(envelope)
    assert f"--environment={envelope.layout.environment}" in command
    assert f"--listen=127.0.0.1:{envelope.ports['operations']}" in command
    assert OPERATIONS.environment(envelope) == {"SIMPLICITY_HOME": str(envelope.layout.home)}
