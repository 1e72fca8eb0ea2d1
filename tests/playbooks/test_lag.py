"""`simplicity-lag`: what it makes of sync's metrics, and that the cloud's alarms ask for exactly what it tells."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
import yaml
from prometheus_client import generate_latest

from indexer.sync import metrics
from infra.cloud.rehearsal.emulator import clients, emulator
from infra.cloud.tiers import access, indexers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "playbooks/roles/lag/files/simplicity_lag.py"
ARGUMENTS = ["--metrics=https://10.0.0.1:9102/metrics", "--authority=ca.pem", "--region=us-east-1"]


@pytest.fixture
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simplicity_lag", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def told() -> Iterator[Any]:
    """What sync tells of itself; as it was, afterwards."""

    def tell(role: str, tip: float, node: float) -> str:
        metrics.ROLE.state(role)
        metrics.TIP_HEIGHT.set(tip)
        metrics.NODE_HEIGHT.set(node)
        return generate_latest().decode()

    yield tell
    tell("starting", 0, 0)


@pytest.mark.parametrize(
    ("role", "tip", "node", "lag"),
    [
        ("writer", 100, 109, 9),
        ("writer", 100, 100, 0),
        # The node itself went back a block.
        ("writer", 100, 99, 0),
        ("standby", 100, 109, None),
        ("starting", 100, 109, None),
        ("writer", 100, float("nan"), None),
    ],
)
def test_the_writer_alone_tells_how_far_behind_it_is(  # noqa: PLR0917 - a case's parts
    program: ModuleType,
    told: Any,  # noqa: ANN401 - a function
    role: str,
    tip: float,
    node: float,
    lag: float | None,
) -> None:
    assert program.lag(told(role, tip, node)) == lag


def test_what_is_no_answer_of_syncs_is_no_figure(program: ModuleType) -> None:
    assert program.lag("") is None
    assert program.lag("<html>not found</html>") is None


def test_cloudwatch_has_it_where_the_alarms_look_and_the_hosts_role_may_put_it(program: ModuleType) -> None:
    assert (program.NAMESPACE, program.METRIC) == (access.METRICS_NAMESPACE, indexers.LAG_METRIC)
    with emulator() as endpoint:
        cloudwatch = clients(endpoint, "us-east-1")("cloudwatch")
        with (
            patch("boto3.client", return_value=cloudwatch),
            patch.object(program, "read", return_value=""),
            patch.object(program, "lag", return_value=7.0),
        ):
            assert program.main([*ARGUMENTS, "--environment=test"]) == 0
        now = datetime.now(UTC)
        found = cloudwatch.get_metric_statistics(
            Namespace=access.METRICS_NAMESPACE,
            MetricName=indexers.LAG_METRIC,
            Dimensions=[{"Name": "environment", "Value": "test"}],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
    assert [each["Maximum"] for each in found] == [7.0]


def test_a_sync_that_does_not_answer_is_one_line_and_a_failed_run(
    program: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with patch.object(program, "read", side_effect=OSError("connection refused")):
        assert program.main([*ARGUMENTS, "--environment=test"]) == 1
    assert capsys.readouterr().err == "lag: https://10.0.0.1:9102/metrics: connection refused\n"


def test_it_runs_each_minute_in_the_cloud_and_nowhere_else() -> None:
    variables = yaml.safe_load((ROOT / "playbooks/group_vars/indexer.yaml").read_text(encoding="utf-8"))
    assert variables["timers_units"].endswith("(timers_cloud if environment_place == 'cloud' else []) }}")
    (unit,) = variables["timers_cloud"]
    assert unit["calendar"] == "*-*-* *:*:00"
    assert unit["command"].startswith("/usr/local/lib/simplicity/lag --metrics=https://")
    (play,) = yaml.safe_load((ROOT / "playbooks/maintenance.yaml").read_text(encoding="utf-8"))
    (role,) = [each for each in play["roles"] if each["role"] == "lag"]
    assert role["when"] == "environment_place == 'cloud'"
