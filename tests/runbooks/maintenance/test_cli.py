"""`simplicity maintenance health` as a person and as a machine read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from infra.environment import Database, Endpoints, Environment, MetricSource
from runbooks.maintenance.cli import app
from tests.support.canned import canned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHECKED = {"database", "node", "sync", "api", "prometheus"}
STATUS = "/v1/indexer/brc20/status"


@pytest.fixture
def document(tmp_path: Path) -> Iterator[str]:
    """An environment of which only the API is there."""
    answers: dict[str, tuple[int, object]] = {
        "/health": (200, ""),
        STATUS: (200, {"last_indexed_block_main_chain": "7 [/red]", "state_hash": "[red]ab"}),
    }
    with canned(answers) as server:
        nobody = "http://127.0.0.1:9"
        Environment(
            name="lonely",
            place="local",
            network="regtest",
            start_height=102,
            endpoints=Endpoints(
                api=server.url,
                sync_metrics=nobody,
                node_rpc=nobody,
                prometheus=nobody,
                database=Database(host="127.0.0.1", port=9, name="d", writer_role="w", reader_role="r"),
            ),
            hosts={},
            secrets={},
            metrics=MetricSource(kind="prometheus", url=nobody),
            drivers={},
        ).save(tmp_path / "environment.json")
        yield str(tmp_path / "environment.json")


def test_one_healthy_component_alone_is_healthy_and_shows_what_was_seen(document: str) -> None:
    done = CliRunner().invoke(app, ["health", "--environment", document, "--component", "api", "--detailed"])
    assert done.exit_code == 0, done.output
    assert "serves tip 7 [/red]" in done.output
    assert "  api.state_hash = [red]ab" in done.output, "what a component says is no markup"
    assert "lonely: healthy" in done.output


def test_what_is_wrong_stands_with_what_to_do_and_the_exit_code_tells(document: str) -> None:
    done = CliRunner().invoke(app, ["health", "--environment", document])
    assert done.exit_code == 1
    assert "lonely: unhealthy" in done.output
    for name in CHECKED - {"api"}:
        assert f"\n{name}: " in done.output


def test_a_machine_gets_every_component_in_one_object(document: str) -> None:
    done = CliRunner().invoke(app, ["health", "--json"], env={"SIMPLICITY_ENVIRONMENT": document})
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["environment"], answer["status"]) == (1, "lonely", "unhealthy")
    assert [found["component"] for found in answer["components"]] == ["database", "node", "sync", "api", "prometheus"]
    assert "facts" not in answer["components"][0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--component", "cache"], "simplicity: lonely has no component 'cache'; there are database, "),
        (["--environment", "/nowhere.json"], "simplicity: /nowhere.json: no environment here"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(document: str, arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["health", *arguments], env={"SIMPLICITY_ENVIRONMENT": document})
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(says)
