from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from indexer.store import schema as store_schema
from infra.environment import (
    SCHEMA_VERSION,
    Database,
    Driver,
    Endpoints,
    Environment,
    EnvironmentFileError,
    Host,
    MetricSource,
    SecretReference,
    load,
    schema,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(
        name="local",
        place="local",
        network="regtest",
        start_height=102,
        endpoints=Endpoints(
            api="http://127.0.0.1:1",
            sync_metrics="http://127.0.0.1:2/metrics",
            node_rpc="http://127.0.0.1:3",
            prometheus="http://127.0.0.1:4",
            database=Database(host="127.0.0.1", port=5, name="d", writer_role="w", reader_role="r"),
        ),
        hosts={"api": (Host(name="localhost", address="127.0.0.1"),)},
        secrets={"password": SecretReference(source="file", name=str(tmp_path / "password"))},
        metrics=MetricSource(kind="prometheus", url="http://127.0.0.1:4"),
        drivers={"service_control": Driver(kind="supervisor")},
    )


def test_a_saved_document_is_read_back_equal(environment: Environment, tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    environment.save(path)
    assert load(path) == environment
    assert json.loads(path.read_text())["version"] == 1
    assert list(tmp_path.iterdir()) == [path], "saving leaves no other file behind"


def test_a_document_from_before_caches_balancers_and_alerts_is_read(environment: Environment, tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    old = environment.model_dump(mode="json")
    for name in ("api_instances", "balancer_metrics", "cache", "alertmanager", "operations", "grafana"):
        del old["endpoints"][name]
    path.write_text(json.dumps(old))
    assert load(path) == environment


def test_the_schema_version_is_that_of_the_newest_migration() -> None:
    assert store_schema.head() == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "has version 2, this release reads 1"),
        ({"version": None}, "has version None"),
        ({"network": "litecoin"}, "network: "),
        ({"password": "hunter2"}, "password: extra inputs are not permitted"),
    ],
)
def test_a_document_that_cannot_be_used_is_one_clear_line(
    environment: Environment, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    path = tmp_path / "environment.json"
    path.write_text(json.dumps(environment.model_dump(mode="json") | change))
    with pytest.raises(EnvironmentFileError) as caught:
        load(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_damaged_document_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "environment.json"
    path.write_text(text)
    with pytest.raises(EnvironmentFileError, match=r"environment\.json: "):
        load(path)


def test_a_missing_document_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFileError, match="simplicity up"):
        load(tmp_path / "none.json")


def test_a_secret_is_read_from_its_file_and_its_absence_is_told(environment: Environment, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFileError, match="cannot be read"):
        environment.secret("password")
    (tmp_path / "password").write_text("hunter2\n")
    assert environment.secret("password") == "hunter2"
    with pytest.raises(EnvironmentFileError, match="names no secret 'other'"):
        environment.secret("other")


def test_the_json_schema_pins_the_version() -> None:
    assert schema()["properties"]["version"]["const"] == 1


def test_a_secret_that_lies_in_a_store_is_not_looked_for_in_a_file(environment: Environment) -> None:
    reference = SecretReference(source="store", name="simplicity/password")
    kept = environment.model_copy(update={"secrets": {"password": reference}})
    with pytest.raises(EnvironmentFileError, match="lies in a store, not in a file"):
        kept.secret("password")


def test_a_document_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFileError, match=r"cannot be read \(Is a directory\)"):
        load(tmp_path)
