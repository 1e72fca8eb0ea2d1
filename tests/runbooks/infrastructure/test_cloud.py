"""`simplicity infrastructure` on an environment in the cloud: an emulator of AWS under the names of the program."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import runbooks.drivers
from infra.environment import Driver
from infra.overrides import read
from runbooks.drivers import aws
from runbooks.drivers.operations import OperationStore
from runbooks.infrastructure import cloud_cli
from runbooks.infrastructure.cli import app
from tests.runbooks.drivers.cloud import ACCOUNT, SECRETS

if TYPE_CHECKING:
    from pathlib import Path

    from runbooks.drivers.protocols import Operation
    from tests.runbooks.drivers.cloud import Cloud


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SIMPLICITY_ENVIRONMENT", str(tmp_path / "environment.json"))


@pytest.fixture
def store(tmp_path: Path) -> OperationStore:
    return OperationStore(tmp_path / "operations")


def _run(cloud: Cloud, tmp_path: Path, *words: str, given: str = "") -> tuple[int, str, str]:
    cloud.document.save(tmp_path / "environment.json")
    done = CliRunner().invoke(app, list(words), input=given)
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def whole(cloud: Cloud) -> Cloud:
    """All tiers that status looks at."""
    cloud.make_api(desired={"blue": 2, "green": 0})
    cloud.make_group("sync", 2, [])
    cloud.make_aurora()
    cloud.make_host("node")
    cloud.client("elasticache").create_replication_group(
        ReplicationGroupId=cloud.named("cache"),
        ReplicationGroupDescription="cache",
        Engine="valkey",
        NumCacheClusters=2,
        AutomaticFailoverEnabled=True,
    )
    cloud.client("ec2").create_volume(
        AvailabilityZone="us-east-1a",
        Size=20,
        Encrypted=True,
        TagSpecifications=[{"ResourceType": "volume", "Tags": cloud.tags("node-data")}],
    )
    cloud.client("acm").request_certificate(DomainName="127.0.0.1")
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName=cloud.named("no-hosts"),
        Namespace="AWS/ApplicationELB",
        MetricName="HealthyHostCount",
        ComparisonOperator="LessThanThreshold",
        EvaluationPeriods=1,
        Period=60,
        Threshold=1,
        Statistic="Minimum",
        AlarmActions=[f"arn:aws:sns:us-east-1:{ACCOUNT}:t"],
    )
    cloud.client("budgets").create_budget(
        AccountId=ACCOUNT,
        Budget={
            "BudgetName": cloud.named("month"),
            "BudgetType": "COST",
            "TimeUnit": "MONTHLY",
            "BudgetLimit": {"Amount": "1000", "Unit": "USD"},
        },
    )
    return cloud


def test_status_has_every_tier_and_says_what_is_not_well(whole: Cloud, tmp_path: Path) -> None:
    whole.client("cloudwatch").set_alarm_state(
        AlarmName=whole.named("no-hosts"), StateValue="ALARM", StateReason="no datapoint"
    )
    code, said, _ = _run(whole, tmp_path, "status", "--json")
    told = json.loads(said)
    parts = {(each["tier"], each["name"]): each for each in told["parts"]}
    assert (code, told["place"], told["well"]) == (1, "cloud", False)
    assert parts["api", "api-blue"]["standing"] == "well"
    assert parts["api", "api-green"]["standing"] == "idle"
    assert parts["sync", "sync"]["facts"]["well"] == 2
    assert parts["balancer", f"{whole.name}-api"]["facts"]["weights"] == {"blue": 100, "green": 0}
    assert [each["does"] for key, each in parts.items() if key[0] == "database"] == ["writer", "reader", "reader"]
    assert parts["hosts", "node"]["standing"] == "well"
    assert parts["volumes", "node-data"]["standing"] == "degraded", "nobody has it"
    assert parts["alarms", "no-hosts"]["detail"] == "no datapoint"
    assert parts["budget", "month"]["facts"]["limit"] == 1000.0
    assert {tier for tier, _ in parts} >= {"cache", "certificates"}


def test_a_tier_that_is_gone_is_a_row_and_the_others_are_shown(whole: Cloud, tmp_path: Path) -> None:
    whole.client("elasticache").delete_replication_group(ReplicationGroupId=whole.named("cache"))
    whole.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=whole.named("sync"), ForceDelete=True)
    code, said, _ = _run(whole, tmp_path, "status", "--json")
    parts = {each["tier"]: each for each in json.loads(said)["parts"]}
    assert code == 1
    assert (parts["sync"]["standing"], "`pulumi up` makes it" in parts["sync"]["detail"]) == ("unknown", True)
    assert (parts["cache"]["standing"] != "well", parts["database"]["standing"]) == (True, "well")
    assert "api-blue" in _run(whole, tmp_path, "status")[1], "and as a table"


def test_without_credentials_status_is_one_line(whole: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none-either"))
    aws.forget()
    code, _, said = _run(whole, tmp_path, "status")
    assert (code, said.count("\n")) == (2, 1)
    assert "there are no credentials of AWS here" in said


def _facts(said: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said)
    return found


def test_scale_is_a_run_that_is_journaled_and_shown_before(cloud: Cloud, tmp_path: Path) -> None:
    cloud.make_api(desired={"blue": 2, "green": 0})
    code, said, told = _run(cloud, tmp_path, "scale", "api", "3", "--dry-run", "--json")
    assert (code, len(cloud.types("api-blue"))) == (0, 2), told
    code, said, told = _run(cloud, tmp_path, "scale", "api", "3", "--json")
    assert (code, len(cloud.types("api-blue"))) == (0, 3), told
    assert "3 of 3 hosts serve" in said + told


def test_scale_up_replaces_hosts_by_another_type(cloud: Cloud, tmp_path: Path) -> None:
    cloud.make_api(desired={"blue": 1, "green": 0})
    code, _, told = _run(cloud, tmp_path, "scale", "api", "--type", "c7g.xlarge", "--json")
    assert (code, cloud.types("api-blue")) == (0, ["c7g.xlarge"]), told


def test_scale_says_what_is_missing_or_cannot_be(cloud: Cloud, tmp_path: Path) -> None:
    cloud.make_api(desired={"blue": 1, "green": 0})
    assert _run(cloud, tmp_path, "scale", "api")[0] == 2
    code, _, said = _run(cloud, tmp_path, "scale", "api", "9")
    assert code == 1
    assert "can have 1 to 4 hosts, not 9" in said + _


def test_test_failover_says_who_was_written_to_and_who_is(cloud: Cloud, tmp_path: Path) -> None:
    cloud.make_aurora()
    name = cloud.named("database")
    code, said, told = _run(cloud, tmp_path, "test-failover", "--json")
    assert code == 0, told
    assert f"written to: {name}-1 before, {name}-2 now" in said + told
    code, said, told = _run(cloud, tmp_path, "test-failover", "--member", "nothing")
    assert code == 1
    assert "no member 'nothing'" in said + told


def test_settings_are_compared_and_kept_and_it_is_said_what_puts_them_in_force(cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "overrides.yaml"
    cloud.drivers["overrides"] = Driver(kind="file", settings={"file": str(file)})
    cloud.drivers["hosts"] = Driver(kind="ssm", settings={"region": "us-east-1"})
    code, said, _ = _run(cloud, tmp_path, "update-config", "API_CACHE_TTL=300", "--dry-run", "--json")
    assert (code, _facts(said)["lines"], file.exists()) == (0, ["API_CACHE_TTL: as it comes -> 300"], False)
    assert "the document names no bucket" in _facts(said)["applied_by"]
    assert _run(cloud, tmp_path, "update-config", "API_CACHE_TTL=300")[0] == 0
    assert read(file).service == {"API_CACHE_TTL": "300"}
    code, _, said = _run(cloud, tmp_path, "update-config", "API_CACHE_TTL=300")
    assert (code, "all of it is set so already" in said) == (1, True)


def test_settings_that_are_not_changed_this_way_are_refused(cloud: Cloud, tmp_path: Path) -> None:
    cloud.drivers["failover"] = Driver(kind="aurora")
    code, _, said = _run(cloud, tmp_path, "update-config", "work_mem=8MB")
    assert (code, "then `pulumi up`" in said) == (1, True)
    assert _run(cloud, tmp_path, "update-config", "BITCOIN_NETWORK=main")[0] == 2
    code, _, said = _run(cloud, tmp_path, "update-config", "API_CACHE_TTL=300")
    assert (code, "names no file for settings" in said) == (1, True)


def test_secrets_are_filled_and_never_printed(cloud: Cloud, tmp_path: Path) -> None:
    cloud.make_secrets()
    code, said, told = _run(cloud, tmp_path, "fill-secrets", "--enter", "node_rpc_password", "--json", given="horse\n")
    assert (code, _facts(said)["kept"]) == (0, ["node_rpc_password"]), told
    assert _run(cloud, tmp_path, "fill-secrets", "--rotate", "database_writer_password")[0] == 0
    place = tmp_path / "fetched"
    code, words, told = _run(cloud, tmp_path, "fetch-secrets", str(place))
    assert (code, sorted(each.name for each in place.iterdir())) == (0, sorted(SECRETS)), told
    assert (place / "node_rpc_password").read_text() == "horse\n"
    assert (place.stat().st_mode & 0o777, (place / "auth_pepper").stat().st_mode & 0o777) == (0o700, 0o600)
    code, words, told = _run(cloud, tmp_path, "fill-secrets", "--enter", "auth_pepper", given="another\n")
    assert (code, "auth_pepper has a value already, and is not written over" in told) == (1, True)
    assert _run(cloud, tmp_path, "fill-secrets", "--enter", "node_rpc_password", given="battery\n")[0] == 0
    values = {each.read_text().strip() for each in place.iterdir()}
    assert not any(value in said + words + told for value in values)
    assert _run(cloud, tmp_path, "fetch-secrets", str(place))[0] == 1, "it is there already"


def test_shares_move_by_command(cloud: Cloud, tmp_path: Path) -> None:
    cloud.make_api(desired={"blue": 1, "green": 1})
    code, said, told = _run(cloud, tmp_path, "shift", "90", "--json")
    assert (code, _facts(said)["weights"]) == (0, {"blue": 90, "green": 10}), told


def test_snapshots_are_made_listed_verified_and_restored_beside(cloud: Cloud, tmp_path: Path) -> None:
    cloud.make_aurora()
    code, said, told = _run(cloud, tmp_path, "snapshots", "create", "--json")
    assert code == 0, told
    backup = _facts(said)["backup"]
    assert backup in _run(cloud, tmp_path, "snapshots", "list")[1]
    assert _run(cloud, tmp_path, "snapshots", "verify", backup)[0] == 0
    assert _run(cloud, tmp_path, "snapshots", "verify", "nothing")[0] == 1
    code, said, told = _run(cloud, tmp_path, "snapshots", "restore", "look", "--json")
    assert (code, _facts(said)["identifier"]) == (0, cloud.named("look")), told
    assert _run(cloud, tmp_path, "snapshots", "restore", "look")[0] == 1, "never over one that is there"
    assert _run(cloud, tmp_path, "snapshots", "prune")[0] == 0
    for asked in (("verify", backup), ("prune",)):
        code, said, told = _run(cloud, tmp_path, "snapshots", *asked, "--key", f"k-{asked[0]}", "--json")
        assert (code, f"key k-{asked[0]}" in told) == (0, True), told


def test_staging_is_stopped_and_started_and_others_are_refused(cloud: Cloud, tmp_path: Path) -> None:
    cloud.make_network()
    cloud.make_group("sync", 1, [])
    code, _, said = _run(cloud, tmp_path, "stop")
    assert (code, "does not allow to stop it" in said) == (1, True)
    cloud.drivers["power"] = Driver(kind="schedule")
    assert _run(cloud, tmp_path, "stop")[0] == 0
    assert cloud.types("sync") == []
    assert _run(cloud, tmp_path, "start")[0] == 0
    assert len(cloud.types("sync")) == 1


def test_the_key_to_go_on_with_is_told_before_anything_is_begun(
    store: OperationStore, capsys: pytest.CaptureFixture[str]
) -> None:
    class Made:
        capabilities: frozenset[str] = frozenset()

        @staticmethod
        def poll(key: str) -> Operation:
            return store.done(store.get(key), detail="made", result={})

    def begin(key: str) -> Operation:
        assert capsys.readouterr().err == f"key {key}: the same command with --key {key} goes on with it\n"
        return store.begin(key, driver="d", action="a", target="t")

    cloud_cli._worked(Made(), "", begin, as_json=False)  # noqa: SLF001
    assert capsys.readouterr().out == "made\n"


def test_what_only_the_cloud_has_is_refused_elsewhere(cloud: Cloud, tmp_path: Path) -> None:
    cloud.document.model_copy(update={"place": "fleet"}).save(tmp_path / "environment.json")
    done = CliRunner().invoke(app, ["fill-secrets"])
    assert (done.exit_code, "is not in the cloud" in done.stderr) == (1, True)


@pytest.mark.parametrize("words", ["status", "fill-secrets"])
def test_without_its_packages_the_cloud_says_what_installs_them(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    for name in [
        each for each in sys.modules if each.startswith(("runbooks.drivers.aws", "runbooks.infrastructure.cloud_l"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(runbooks.drivers, "aws_secrets", raising=False)
    monkeypatch.setitem(sys.modules, "boto3", None)
    cloud.make_secrets()
    code, _, said = _run(cloud, tmp_path, words)
    assert (code in {1, 2}, said.count("\n")) == (True, 1), said
    assert "it needs the package 'boto3'; install the extra: pip install 'simplicity[cloud]'" in said
