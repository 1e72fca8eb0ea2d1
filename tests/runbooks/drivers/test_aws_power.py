"""Stop and start of a whole environment in the emulator of AWS; production is refused."""

from __future__ import annotations

from typing import Any

import pytest

from infra.environment import Driver
from runbooks.drivers.aws import Aws
from runbooks.drivers.aws_groups import BASE, tag
from runbooks.drivers.aws_power import Power
from runbooks.drivers.operations import OperationStore, wait
from runbooks.drivers.protocols import Phase, Refusal, require
from tests.runbooks.drivers.cloud import Cloud


@pytest.fixture
def staging(cloud: Cloud) -> Cloud:
    cloud.make_api(desired={"blue": 2, "green": 0})
    cloud.make_group("sync", 2, [])
    cloud.make_aurora(2)
    cloud.make_host("node")
    cloud.drivers["power"] = Driver(kind="schedule")
    return cloud


def _sizes(cloud: Cloud, part: str) -> tuple[int, int, int, int]:
    group = cloud.group(part)
    return group["MinSize"], group["MaxSize"], group["DesiredCapacity"], len(group["Instances"])


def _state(cloud: Cloud) -> tuple[str, list[str]]:
    said = cloud.client("rds").describe_db_clusters(DBClusterIdentifier=cloud.named("database"))
    filters = [{"Name": "tag:Name", "Values": [cloud.named("node")]}]
    hosts = cloud.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return said["DBClusters"][0]["Status"], [each["Instances"][0]["State"]["Name"] for each in hosts]


def test_what_is_stopped_is_started_again_as_it_was_by_another_machine(
    staging: Cloud, store: OperationStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = {part: _sizes(staging, part) for part in ("api-blue", "api-green", "sync")}
    power = Power(staging.document, store)
    power.stop("k")
    done = wait(power, "k", 30)
    assert (done.phase, "AWS starts a stopped database by itself after seven days" in done.detail) == (Phase.DONE, True)
    assert _state(staging) == ("stopped", ["stopped"])
    assert {_sizes(staging, part)[2:] for part in before} == {(0, 0)}
    elsewhere = Power(staging.document, OperationStore(tmp_path_factory.mktemp("other") / "operations"))
    elsewhere.start("l")
    assert wait(elsewhere, "l", 30).phase is Phase.DONE
    assert _state(staging)[1] == ["running"]
    assert {part: _sizes(staging, part) for part in before} == before
    assert staging.group("sync")["SuspendedProcesses"] == []
    assert not any(each["Key"] == "simplicity-sizes" for each in staging.group("sync")["Tags"])


def test_a_stop_that_was_cut_off_is_gone_on_with_and_keeps_the_first_sizes(
    staging: Cloud, store: OperationStore
) -> None:
    power = Power(staging.document, store)
    power.stop("k")
    power.poll("k")
    again = Power(staging.document, OperationStore(store.directory))
    assert wait(again, "k", 30).phase is Phase.DONE
    tags = {each["Key"]: each["Value"] for each in staging.group("sync")["Tags"]}
    assert tags["simplicity-sizes"] == "[1, 4, 2]"


def test_a_host_that_is_only_just_started_is_stopped_when_it_runs(
    store: OperationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = {"i-1": ("running", "node"), "i-2": ("pending", "monitoring")}
    asked: list[tuple[str, list[str]]] = []

    def call(_: Aws, __: str, operation: str, **given: Any) -> dict[str, Any]:  # noqa: ANN401 - as Aws.call
        asked.append((operation, given["InstanceIds"]))
        return {}

    monkeypatch.setattr(Aws, "call", call)
    monkeypatch.setattr(Power, "_groups", lambda _: [])
    monkeypatch.setattr(Power, "_hosts", lambda _: hosts)
    nowhere = Cloud("http://127.0.0.1:9", "unit", {"power": Driver(kind="schedule")})
    power = Power(nowhere.document, store)
    power.stop("k")
    hosts["i-1"] = ("stopped", "node")
    assert power.poll("k").detail == "i-2: pending, stopped when it runs"
    hosts["i-2"] = ("running", "monitoring")
    power.poll("k")
    hosts["i-2"] = ("stopped", "monitoring")
    assert power.poll("k").phase is Phase.DONE
    assert asked == [("stop_instances", ["i-1"]), ("stop_instances", ["i-2"])]


def test_a_host_more_that_is_there_while_others_are_replaced_is_not_started_again(
    staging: Cloud, store: OperationStore
) -> None:
    power = Power(staging.document, store)
    tag(power.aws, staging.named("sync"), BASE, "1")
    power.stop("k")
    wait(power, "k", 30)
    power.start("l")
    assert wait(power, "l", 30).phase is Phase.DONE
    assert _sizes(staging, "sync") == (1, 4, 1, 1)


@pytest.mark.parametrize("name", ["production", "production-eu"])
def test_production_is_never_stopped_whatever_its_document_says(
    staging: Cloud, store: OperationStore, name: str
) -> None:
    power = Power(staging.document.model_copy(update={"name": name}), store)
    with pytest.raises(Refusal, match=f"{name} is production: it is never stopped"):
        power.stop("k")
    with pytest.raises(Refusal, match="has no capability 'stop'"):
        require(power, "stop")
    assert _sizes(staging, "api-blue")[2:] == (2, 2)


def test_an_environment_whose_document_does_not_say_so_is_not_stopped(staging: Cloud, store: OperationStore) -> None:
    del staging.drivers["power"]
    with pytest.raises(Refusal, match="does not allow to stop it"):
        Power(staging.document, store).stop("k")


def test_an_rds_instance_with_replicas_is_refused_before_any_host_is_ended(cloud: Cloud, store: OperationStore) -> None:
    cloud.make_network()
    cloud.make_group("sync", 1, [])
    cloud.make_rds()
    cloud.drivers["power"] = Driver(kind="schedule")
    cloud.client("rds").create_db_instance_read_replica(
        DBInstanceIdentifier=cloud.named("database-reader-1"), SourceDBInstanceIdentifier=cloud.named("database")
    )
    with pytest.raises(Refusal, match="AWS stops no instance that has replicas"):
        Power(cloud.document, store).stop("k")
    assert _sizes(cloud, "sync")[2:] == (1, 1)


def test_an_rds_instance_is_stopped_and_started(cloud: Cloud, store: OperationStore) -> None:
    cloud.make_rds()
    cloud.drivers["power"] = Driver(kind="schedule")
    power = Power(cloud.document, store)

    def state() -> str:
        said = cloud.client("rds").describe_db_instances(DBInstanceIdentifier=cloud.named("database"))
        return str(said["DBInstances"][0]["DBInstanceStatus"])

    for begin, key, wanted in ((power.stop, "k", "stopped"), (power.start, "l", "available")):
        begin(key)
        assert (wait(power, key, 20).phase, state()) == (Phase.DONE, wanted)
