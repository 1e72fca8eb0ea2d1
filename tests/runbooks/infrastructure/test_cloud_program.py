"""Operations on what the cloud program has made in the emulator: its names, tags and document are those meant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from infra.cloud.program import build
from infra.cloud.rehearsal.lab import lab
from infra.cloud.settings import check
from infra.environment import Driver, Environment
from playbooks.inventory import inventory
from runbooks.infrastructure.cli import app
from tests.runbooks.drivers.cloud import REGION, credentials

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS: dict[str, Any] = {
    "environment": "operated",
    "region": REGION,
    "owner": "platform",
    "cost_center": "indexer",
    "monitoring": {"email": "oncall@example.com", "budget_usd": 1_000},
    "backups": {"replica_region": "us-west-2"},
    "names": {"domain": "brc20.example.com"},
}
# Each is carried out on what the one before has left.
COMMANDS = (
    "fill-secrets",
    "scale api 3",
    "scale sync --type c7g.2xlarge",
    "scale api-green 1",
    "shift 0",
    "test-failover",
    "snapshots create",
    "snapshots restore look",
    "stop",
    "start",
)


def _document(found: dict[str, Any], endpoint: str) -> Environment:
    made = Environment.model_validate(found)
    where = made.drivers["aws"].settings | {"endpoint": endpoint}
    hosts = {"bucket": "sessions", **made.drivers["hosts"].settings}
    drivers = {
        **made.drivers,
        "aws": Driver(kind="aws", settings=where),
        "hosts": Driver(kind="ssm", settings=hosts),
        "power": Driver(kind="schedule"),
    }
    return made.model_copy(update={"drivers": drivers})


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_every_operation_works_on_what_the_program_has_made(
    aws_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(monkeypatch)
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SIMPLICITY_ENVIRONMENT", str(tmp_path / "environment.json"))
    settings = check(SETTINGS)
    with lab(aws_endpoint, tmp_path / "state.json", "operated", REGION) as stack:
        stack.up(lambda: build(settings))
        document = _document(stack.state.outputs["environment"], aws_endpoint)
        document.save(tmp_path / "environment.json")
        for words in COMMANDS:
            done = CliRunner().invoke(app, words.split())
            assert done.exit_code == 0, f"{words}: {done.stderr}"
        fetched = CliRunner().invoke(app, ["fetch-secrets", str(tmp_path / "secrets")], input="")
        assert fetched.exit_code == 0, fetched.stderr
        monkeypatch.setenv("SIMPLICITY_SECRETS", str(tmp_path / "secrets"))
        told = json.loads(CliRunner().invoke(app, ["status", "--json"]).stdout)
        groups = inventory(document)
    parts = {(each["tier"], each["name"]): each for each in told["parts"]}
    assert [key for key, each in parts.items() if each["standing"] not in {"well", "idle"}] == []
    assert parts["sync", "sync"]["facts"]["types"] == ["c7g.2xlarge"]
    assert parts["api", "api-green"]["facts"]["weight"] == 100
    assert (len(groups["api_blue"]["hosts"]), len(groups["api_green"]["hosts"])) == (3, 1)
    assert {"monitoring", "node"} <= groups.keys()
