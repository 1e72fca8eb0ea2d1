"""What the pods run, with just what the chart tells them, on a real database: without a cluster."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.infra.kubernetes.chart import MINIMAL, environment, render
from tests.support.postgres import free_port
from tests.support.processes import running, simplicity

if TYPE_CHECKING:
    from pathlib import Path

    from tests.infra.kubernetes.chart import Render

SOON = 60.0
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture
def chart(ports: tuple[int, int]) -> Render:
    off = ("api.authentication=false", "api.cache=false", "bitcoin.credentials=false", 'bitcoin.network="regtest"')
    return render(
        MINIMAL,
        *off,
        f'bitcoin.url="{NOWHERE}"',
        f"api.port={ports[0]}",
        f"sync.metricsPort={ports[1]}",
        "api.drainSeconds=1",
        'database.readerRole="chart_reader"',
    )


@pytest.fixture
def database(empty_database_url: str) -> str:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'chart_reader'").fetchone() is None:
            connection.execute("CREATE ROLE chart_reader LOGIN")  # of the server, which other tests use, too
    return empty_database_url


def told(chart: Render, name: str, database: str) -> dict[str, str]:
    role = "chart_reader" if name == "api" else "postgres"
    url = database.replace("postgres@", f"{role}@")
    return {key: each.get("value", url) for key, each in environment(chart.pods[name]).items()}


def asked(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_migrations_sync_and_api_run_with_what_the_chart_tells_them(
    chart: Render, database: str, ports: tuple[int, int], tmp_path: Path
) -> None:
    migrated = simplicity("migrate", "--json", environment=told(chart, "migrations", database))
    assert json.loads(migrated.stdout)["changed"], migrated.stderr
    args = {name: pod["spec"]["containers"][0]["args"] for name, pod in chart.pods.items()}
    with (
        running(*args["sync"], environment=told(chart, "sync", database), log=tmp_path / "sync") as sync,
        running(*args["api"], environment=told(chart, "api", database), log=tmp_path / "api") as api,
    ):
        sync.wait_for("writing", within=SOON)
        api.wait_for("Application startup complete.", within=SOON)
        assert 'simplicity_sync_role{simplicity_sync_role="writer"} 1.0' in asked(ports[1], "/metrics")[1]
        assert asked(ports[0], "/health")[0] == 200
        assert json.loads(asked(ports[0], "/health")[1])["release"] == "0.1.0-913b4168719f"
        # Nothing is indexed yet: a pod is not given requests that it could only refuse.
        assert asked(ports[0], "/health/ready")[0] == 503
        assert asked(ports[0], "/metrics")[0] == 200
        assert (sync.stop(), api.stop()) == (0, 0)
    assert [line["seconds"] for line in api.lines() if line["message"] == "draining"] == [1.0]


def test_a_second_sync_stands_by_and_takes_over_within_ten_seconds_of_the_first_ones_end(
    chart: Render, database: str, tmp_path: Path
) -> None:
    first = told(chart, "sync", database)
    second = first | {"SYNC_METRICS_PORT": str(free_port())}
    with running("sync", environment=first, log=tmp_path / "first") as writer:
        writer.wait_for("writing", within=SOON)
        with running("sync", environment=second, log=tmp_path / "second") as other:
            other.wait_for("waiting", within=SOON, reason="another sync writes to this database; standing by")
            assert 'role="standby"} 1.0' in asked(int(second["SYNC_METRICS_PORT"]), "/metrics")[1]
            assert writer.stop() == 0
            other.wait_for("writing", within=10)
