"""What each check makes of the answers its component can give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from infra.environment import SCHEMA_VERSION, Database, Endpoints, Environment, Host, MetricSource, SecretReference
from runbooks.maintenance import checks
from runbooks.maintenance.verdict import Health
from tests.support.canned import Canned, canned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STATUS = "/v1/indexer/brc20/status"
TARGETS = "/api/v1/targets?state=active"
ALERTS = "/api/v2/alerts"
RUNTIME = "/api/v1/status/runtimeinfo"
METRICS = (
    'simplicity_tip_height 200\nsimplicity_sync_role{simplicity_sync_role="writer"} 1.0\nsimplicity_node_height 200'
)


@pytest.fixture
def server() -> Iterator[Canned]:
    with canned() as running:
        yield running


@pytest.fixture
def environment(server: Canned, tmp_path: Path) -> Environment:
    secrets = {"node_rpc_cookie": "user:password", "database_reader_password": "not asked for"}
    for name, text in secrets.items():
        (tmp_path / name).write_text(text)
    return Environment(
        name="here",
        place="local",
        network="regtest",
        start_height=102,
        endpoints=Endpoints(
            api=server.url,
            sync_metrics=f"{server.url}/metrics",
            node_rpc=server.url,
            prometheus=server.url,
            database=Database(host="127.0.0.1", port=9, name="d", writer_role="postgres", reader_role="postgres"),
        ),
        hosts={"database": (Host(name="db-1", address="10.0.0.1"), Host(name="db-2", address="10.0.0.2"))},
        secrets={name: SecretReference(source="file", name=str(tmp_path / name)) for name in secrets},
        metrics=MetricSource(kind="prometheus", url=server.url),
        drivers={},
    )


def at(environment: Environment, url: str) -> Environment:
    """The same environment with the database that `url` names."""
    parts = urlsplit(url)
    changed = {"port": parts.port, "name": parts.path[1:]}
    database = environment.endpoints.database.model_copy(update=changed)
    endpoints = environment.endpoints.model_copy(update={"database": database})
    return environment.model_copy(update={"endpoints": endpoints})


def fill(url: str, network: str = "regtest", start: int = 102, version: str = SCHEMA_VERSION) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE SCHEMA ops; CREATE SCHEMA index;"
            "CREATE TABLE ops.schema_version (version_num text);"
            "CREATE TABLE index.chain (network text, start_height int, tip_height int)"
        )
        connection.execute("INSERT INTO ops.schema_version VALUES (%s)", [version])
        connection.execute("INSERT INTO index.chain VALUES (%s, %s, 7)", [network, start])


def test_a_database_that_is_as_intended_is_healthy(environment: Environment, empty_database_url: str) -> None:
    fill(empty_database_url)
    verdict = checks.database(at(environment, empty_database_url))
    assert (verdict.health, verdict.detail) == (Health.HEALTHY, f"tip 7, schema {SCHEMA_VERSION}")


@pytest.mark.parametrize(
    ("found", "health", "says", "advice"),
    [
        ({"network": "main"}, Health.UNHEALTHY, "holds network main, here is regtest", "another environment's"),
        ({"start": 5}, Health.UNHEALTHY, "holds start_height 5, here is 102", "another environment's"),
        ({"version": "0000"}, Health.DEGRADED, "schema 0000, the environment is meant to have", "deploy the release"),
    ],
)
def test_a_database_that_is_another_than_intended_is_told(  # noqa: PLR0917 - a table's columns
    environment: Environment, empty_database_url: str, found: dict[str, Any], health: Health, says: str, advice: str
) -> None:
    fill(empty_database_url, **found)
    verdict = checks.database(at(environment, empty_database_url))
    assert verdict.health is health
    assert says in verdict.detail
    assert advice in verdict.hint


def test_a_database_before_the_first_sync_says_what_to_start(
    environment: Environment, empty_database_url: str, database_url: str
) -> None:
    bare = checks.database(at(environment, empty_database_url))
    assert (bare.health, bare.detail) == (Health.UNHEALTHY, "the database has no schema")
    empty = checks.database(at(environment, database_url))
    assert (empty.health, empty.detail) == (Health.DEGRADED, "the database is empty")
    assert "simplicity sync" in bare.hint
    assert "simplicity sync" in empty.hint


def test_on_a_fleet_the_hint_names_the_machines_whose_logs_to_look_at(environment: Environment) -> None:
    fleet = environment.model_copy(update={"place": "fleet"})
    assert checks.database(fleet).hint == "look at the logs of postgresql on db-1, db-2"
    # This document names no machine for the node.
    assert checks.node(fleet).hint == "look at the logs of bitcoin-node"


@pytest.mark.parametrize(
    ("result", "health", "says"),
    [
        ({"chain": "regtest", "blocks": 9, "headers": 10}, Health.HEALTHY, "height 9 of regtest"),
        ({"chain": "main", "blocks": 9, "headers": 9}, Health.UNHEALTHY, "follows main, here is regtest"),
        ({"chain": "regtest", "blocks": 9, "headers": 20}, Health.DEGRADED, "11 blocks behind its headers"),
        ({"chain": "regtest"}, Health.UNHEALTHY, "blocks"),
        (None, Health.UNHEALTHY, ""),
    ],
)
def test_the_node_is_judged_by_its_chain(
    environment: Environment, server: Canned, result: object, health: Health, says: str
) -> None:
    server.answers["/"] = (200, {"result": result})
    verdict = checks.node(environment)
    assert verdict.health is health
    assert says in verdict.detail
    assert bool(verdict.hint) == (health is not Health.HEALTHY)


def test_the_writers_lag_is_counted_from_the_nodes_own_tip(environment: Environment, server: Canned) -> None:
    server.answers |= {"/metrics": (200, METRICS), "/": (200, {"result": 210})}
    verdict = checks.sync(environment)
    assert (verdict.health, verdict.facts["lag_blocks"]) == (Health.DEGRADED, 10)


def test_without_the_node_the_writers_last_sight_of_it_counts(environment: Environment, server: Canned) -> None:
    server.answers["/metrics"] = (200, METRICS)
    verdict = checks.sync(environment)
    assert (verdict.health, verdict.facts["lag_blocks"]) == (Health.HEALTHY, 0)
    server.answers["/metrics"] = (200, METRICS.replace("node_height 200", "node_height 209"))
    late = checks.sync(environment)
    assert late.health is Health.DEGRADED
    assert late.hint.startswith("the node does not answer; ")


def test_a_writer_without_its_metrics_is_unhealthy(environment: Environment, server: Canned) -> None:
    server.answers["/metrics"] = (200, "other_metric 1\n")
    verdict = checks.sync(environment)
    assert verdict.health is Health.UNHEALTHY
    assert "no simplicity_tip_height in the metrics" in verdict.detail


@pytest.mark.parametrize(
    ("answers", "health"),
    [
        ({"/health": (200, ""), STATUS: (200, {"last_indexed_block_main_chain": 7})}, Health.HEALTHY),
        ({"/health": (200, ""), STATUS: (503, "")}, Health.DEGRADED),
        ({"/health": (200, ""), STATUS: (200, "no json")}, Health.UNHEALTHY),
        ({"/health": (500, "")}, Health.UNHEALTHY),
    ],
)
def test_an_api_that_lives_and_has_nothing_to_serve_is_degraded(
    environment: Environment, server: Canned, answers: dict[str, tuple[int, object]], health: Health
) -> None:
    server.answers = answers
    verdict = checks.api(environment)
    assert verdict.health is health
    assert bool(verdict.hint) == (health is not Health.HEALTHY)


def test_an_api_that_serves_without_one_of_its_processes_is_degraded(environment: Environment, server: Canned) -> None:
    server.answers = {"/health": (200, ""), STATUS: (200, {"last_indexed_block_main_chain": 7})}
    one, gone = server.url, "http://127.0.0.1:9"
    endpoints = environment.endpoints.model_copy(update={"api_instances": (one, one)})
    server.answers[f"{checks.READY}"] = (200, "")
    both = environment.model_copy(update={"endpoints": endpoints})
    assert checks.api(both).health is Health.HEALTHY
    endpoints = endpoints.model_copy(update={"api_instances": (one, gone)})
    verdict = checks.api(environment.model_copy(update={"endpoints": endpoints}))
    assert (verdict.health, verdict.detail) == (Health.DEGRADED, f"serves tip 7, but without {gone}")
    assert verdict.hint


def balanced(**servers: str) -> str:
    """The balancer's metrics of servers and the outcome of their last check; as HAProxy writes them."""
    lines = [
        f'haproxy_server_check_status{{proxy="api",server="{name}",state="{state}"}} {int(state == now)}'
        for name, now in servers.items()
        for state in ("HANA", "L4CON", "L7OK", "L7STS")
    ]
    retries = [f'haproxy_server_retry_warnings_total{{proxy="api",server="{name}"}} 3' for name in servers]
    return "\n".join([*lines, *retries])


@pytest.mark.parametrize(
    ("answer", "health", "says"),
    [
        (balanced(api_1="L7OK", api_2="L7OK"), Health.HEALTHY, "2 of 2 processes ready, 6 requests asked again"),
        (balanced(api_1="L7OK", api_2="L7STS"), Health.DEGRADED, "1 of 2 processes ready, 6 requests asked again"),
        (balanced(api_1="L4CON", api_2="L7STS"), Health.UNHEALTHY, "no process of the API is ready"),
        ("", Health.UNHEALTHY, "no process of the API is ready"),
    ],
)
def test_the_balancer_is_judged_by_the_servers_that_it_finds_ready(
    environment: Environment, server: Canned, answer: str, health: Health, says: str
) -> None:
    server.answers["/metrics?scope=server"] = (200, answer)
    endpoints = environment.endpoints.model_copy(update={"balancer_metrics": f"{server.url}/metrics"})
    verdict = checks.balancer(environment.model_copy(update={"endpoints": endpoints}))
    assert verdict.health is health
    assert verdict.detail.startswith(says)
    assert bool(verdict.hint) == (health is not Health.HEALTHY)


def test_a_cache_that_is_away_is_unhealthy_and_the_hint_says_what_that_means(environment: Environment) -> None:
    endpoints = environment.endpoints.model_copy(update={"cache": "redis://127.0.0.1:9/0"})
    verdict = checks.cache(environment.model_copy(update={"endpoints": endpoints}))
    assert (verdict.health, "counts rate limits for itself" in verdict.hint) == (Health.UNHEALTHY, True)


def targets(**health: str) -> tuple[int, object]:
    return 200, {"data": {"activeTargets": [{"labels": {"job": job}, "health": how} for job, how in health.items()]}}


def test_of_a_job_with_several_targets_the_lost_one_is_named(
    environment: Environment, server: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "SCRAPE_PATIENCE", 0.1)
    found = [
        {"labels": {"job": "api", "instance": "api-1"}, "health": "up"},
        {"labels": {"job": "api", "instance": "api-2"}, "health": "down"},
        {"labels": {"job": "sync", "instance": "sync"}, "health": "up"},
    ]
    server.answers = {"/-/ready": (200, ""), TARGETS: (200, {"data": {"activeTargets": found}})}
    verdict = checks.prometheus(environment)
    assert (verdict.health, verdict.detail) == (Health.DEGRADED, "cannot scrape api-2")
    assert set(verdict.facts) == {"api-1", "api-2", "sync"}


def started(seconds_ago: float) -> tuple[int, object]:
    moment = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return 200, {"data": {"startTime": moment.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")}}


@pytest.mark.parametrize(
    ("age", "answers", "health", "says"),
    [
        (60, {TARGETS: targets(api="up", sync="up")}, Health.HEALTHY, "scrapes 2 targets"),
        (60, {TARGETS: targets(api="up", sync="down")}, Health.DEGRADED, "cannot scrape sync"),
        (60, {TARGETS: targets()}, Health.DEGRADED, "has nothing to scrape"),
        (3, {TARGETS: targets(api="unknown")}, Health.HEALTHY, "begins to scrape"),
        (60, {TARGETS: (200, {"status": "error"})}, Health.UNHEALTHY, "data"),
    ],
)
def test_prometheus_is_judged_by_what_it_reaches_and_has_a_moment_to_begin(  # noqa: PLR0917 - as above
    environment: Environment,
    server: Canned,
    monkeypatch: pytest.MonkeyPatch,
    age: float,
    answers: dict[str, tuple[int, object]],
    health: Health,
    says: str,
) -> None:
    if health is Health.DEGRADED:
        monkeypatch.setattr(checks, "SCRAPE_PATIENCE", 0.1)
    server.answers = {"/-/ready": (200, ""), RUNTIME: started(seconds_ago=age), **answers}
    verdict = checks.prometheus(environment)
    assert verdict.health is health
    assert says in verdict.detail


def alerts(*names: str) -> tuple[int, object]:
    return 200, [{"labels": {"alertname": name}} for name in names]


@pytest.mark.parametrize(
    ("age", "answers", "health", "says"),
    [
        (60, {ALERTS: alerts("Watchdog", "ApiDown")}, Health.HEALTHY, "knows of 1 alerts"),
        (60, {ALERTS: alerts("ApiDown")}, Health.DEGRADED, "does not arrive"),
        (3, {ALERTS: alerts()}, Health.HEALTHY, "sends soon"),
        (60, {ALERTS: (200, {"alerts": 1})}, Health.UNHEALTHY, "string indices"),
        (60, {ALERTS: (503, "")}, Health.UNHEALTHY, "503"),
    ],
)
def test_alertmanager_is_judged_by_whether_the_watchdog_arrives(  # noqa: PLR0917 - as above
    environment: Environment,
    server: Canned,
    age: float,
    answers: dict[str, tuple[int, object]],
    health: Health,
    says: str,
) -> None:
    endpoints = environment.endpoints.model_copy(update={"alertmanager": server.url})
    server.answers = {"/-/ready": (200, ""), RUNTIME: started(seconds_ago=age), **answers}
    verdict = checks.alerting(environment.model_copy(update={"endpoints": endpoints}))
    assert verdict.health is health
    assert says in verdict.detail


def test_with_prometheus_away_too_alertmanager_is_judged_alone(environment: Environment, server: Canned) -> None:
    endpoints = environment.endpoints.model_copy(update={"alertmanager": server.url})
    server.answers = {"/-/ready": (200, ""), ALERTS: alerts()}
    assert checks.alerting(environment.model_copy(update={"endpoints": endpoints})).health is Health.DEGRADED
