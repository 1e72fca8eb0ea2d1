"""Inventories have one shape in every place; the cloud's is asked of AWS, and reaches hosts without open ports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from infra.cloud.rehearsal.emulator import emulator
from infra.environment import Driver, Environment
from infra.fleet.document import document_of as fleet_document
from infra.fleet.plan import Plan
from infra.fleet.storage import Storage
from infra.local.component import Envelope, Options, components
from infra.local.document import document_of as local_document
from infra.local.layout import layout
from playbooks.inventory import ROLES, inventory, votes
from runbooks.backup.pgbackrest import pgbackrest_engine
from runbooks.drivers import aws, aws_hosts
from runbooks.drivers.aws import Aws
from runbooks.drivers.operations import OperationStore
from runbooks.drivers.protocols import Refusal
from tests.playbooks.test_cloud_documents import documented, settings_of
from tests.runbooks.drivers.cloud import SECRETS, Cloud, credentials, of_test

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PATHS = (("certificates", "directory"), ("overrides", "file"), ("database_authorities", "file"), ("deploy", "trusted"))
BUCKET = {"region": "us-east-1", "bucket": "simplicity-sessions"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with emulator() as found:
        yield found


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Secrets, as `simplicity infrastructure fetch-secrets` writes them."""
    directory = tmp_path / "secrets"
    directory.mkdir()
    for name in SECRETS:
        (directory / name).write_text("value\n")
    monkeypatch.setenv("SIMPLICITY_SECRETS", str(directory))
    return directory


@pytest.fixture
def cloud(
    endpoint: str,
    fetched: Path,  # noqa: ARG001 - nothing can be asked without
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Cloud]:
    credentials(monkeypatch)
    made = of_test(endpoint, request.node.nodeid)
    made.make_api(desired={"blue": 2, "green": 1})
    made.make_group("sync", 2, [])
    made.make_host("monitoring")
    made.drivers["hosts"] = Driver(kind="ssm", settings=BUCKET)
    yield made
    aws.forget()


def _local(home: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("SIMPLICITY_HOME", str(home))
    ports = {port.name: port.default for component in components() for port in component.ports}
    return local_document(Envelope(layout(), ports, Options(), {}))


def _fleet(home: Path) -> Environment:
    return fleet_document(Plan(), Storage(home))


def test_the_inventories_of_all_three_places_have_one_shape(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        "local": inventory(_local(tmp_path / "home", monkeypatch)),
        "fleet": inventory(_fleet(tmp_path / "fleet")),
        "cloud": inventory(cloud.document),
    }
    shapes = {
        place: {name: type(value) for name, value in each["all"]["vars"].items()} for place, each in found.items()
    }
    assert shapes["local"] == shapes["fleet"] == shapes["cloud"]
    for place, each in found.items():
        assert {*ROLES, "etcd", "all", "_meta"} <= each.keys(), place
        known = each["_meta"]["hostvars"]
        for name, group in each.items():
            assert set(group.get("hosts", ())) <= known.keys(), f"{place}: {name}"
        assert all(host["ansible_host"] for host in known.values()), place
        assert each["all"]["vars"]["environment_place"] == place


# What drivers and playbooks read of a driver's settings without asking whether it is there.
NEEDED = {
    ("aws", "aws"): {"region", "account"},
    ("hosts", "ssh"): {"config", "from"},
    ("hosts", "ssm"): {"region", "bucket"},
    ("certificates", "private"): {"directory"},
    ("overrides", "file"): {"file"},
    ("backup", "physical"): {"repository", "keys", "role", "env_file"},
    ("backup", "pgbackrest"): {"host", "port", "bucket", "region", "stanza"},
    ("database_authorities", "bundle"): {"file", "url"},
    ("traffic_switch", "target-groups"): {"networks"},
    ("deploy", "blue-green"): {"trusted"},
}


@pytest.mark.parametrize("place", ["local", "fleet", "aurora", "rds", "patroni"])
def test_the_documents_of_all_three_places_tell_their_drivers_what_they_need(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = (
        _local(tmp_path / "home", monkeypatch)
        if place == "local"
        else _fleet(tmp_path / "fleet")
        if place == "fleet"
        else documented(settings_of(place))
    )
    drivers = document.drivers
    for name, driver in drivers.items():
        lacking = NEEDED.get((name, driver.kind), set()) - {key for key, value in driver.settings.items() if value}
        assert not lacking, f"{name} ({driver.kind}) lacks {', '.join(sorted(lacking))}"
    paths = [drivers[name].settings[key] for name, key in PATHS if name in drivers]
    assert all(Path(each).is_absolute() for each in paths)
    if place != "local":
        assert {"hosts", "certificates", "overrides", "backup", "failover", "scaler", "traffic_switch"} <= set(drivers)


def test_pgbackrest_finds_its_repository_by_the_document_of_a_cloud_with_hosts_of_its_own(tmp_path: Path) -> None:
    document = documented(settings_of("patroni"))
    with pytest.raises(Refusal, match="reached by Systems Manager, this command by ssh alone"):
        pgbackrest_engine(document, OperationStore(tmp_path))
    drivers = {**document.drivers, "hosts": Driver(kind="ssh", settings={"config": "/etc/simplicity/test/ssh"})}
    there = pgbackrest_engine(document.model_copy(update={"drivers": drivers}), OperationStore(tmp_path))
    assert there.repository == "s3://simplicity-test-backups-123456789012/test of s3.us-east-1.amazonaws.com"


def test_the_cloud_s_hosts_are_those_that_run_now(cloud: Cloud) -> None:
    before = inventory(cloud.document)
    ids = {each["InstanceId"] for each in cloud.group("api-blue")["Instances"]}
    variables: dict[str, Any] = before["_meta"]["hostvars"]
    assert {variables[name]["ansible_aws_ssm_instance_id"] for name in before["api_blue"]["hosts"]} == ids
    assert set(before["api"]["hosts"]) == {*before["api_blue"]["hosts"], *before["api_green"]["hosts"]}
    assert (len(before["indexer"]["hosts"]), before["monitoring"]["hosts"]) == (2, ["monitoring"])
    cloud.client("autoscaling").set_desired_capacity(
        AutoScalingGroupName=cloud.named("api-blue"), DesiredCapacity=1, HonorCooldown=False
    )
    assert len(inventory(cloud.document)["api_blue"]["hosts"]) == 1


def test_the_cloud_s_hosts_are_reached_by_systems_manager(cloud: Cloud) -> None:
    found = inventory(cloud.document)
    host = found["_meta"]["hostvars"][found["indexer"]["hosts"][0]]
    assert (host["ansible_connection"], host["ansible_aws_ssm_region"]) == ("amazon.aws.aws_ssm", "us-east-1")
    assert host["ansible_aws_ssm_bucket_name"] == "simplicity-sessions"
    assert host["ansible_host"].startswith("10.20.")


def test_a_host_with_a_volume_for_its_data_finds_it_by_a_path_that_stays(cloud: Cloud) -> None:
    volume = cloud.attach_volume(cloud.make_host("database-1", role="database"))
    other = cloud.attach_volume(cloud.make_host("somebodys"), device="/dev/sdg")
    found = inventory(cloud.document)
    variables: dict[str, Any] = found["_meta"]["hostvars"]
    named = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
    assert re.fullmatch(r"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol[0-9a-f]+", named)
    assert found["database"]["hosts"] == ["database-1"]
    assert {name: each["volume_device"] for name, each in variables.items() if "volume_device" in each} == {
        "database-1": named
    }
    assert other not in str(variables)


def test_a_host_that_is_to_have_a_volume_and_has_none_is_refused_in_aws_alone(cloud: Cloud) -> None:
    variables = inventory(cloud.document)["_meta"]["hostvars"]
    for role in ("database", "monitoring", "node"):
        group = yaml.safe_load((ROOT / f"playbooks/group_vars/{role}.yaml").read_text(encoding="utf-8"))
        assert group["volume_required"] == "{{ ansible_aws_ssm_instance_id is defined }}"
    assert all("ansible_aws_ssm_instance_id" in each for each in variables.values())


@pytest.fixture
def nobody() -> Cloud:
    """An environment whose hosts are not asked for."""
    return Cloud("http://127.0.0.1:9", "unit")


def test_secrets_of_a_store_are_where_they_have_been_fetched_to(nobody: Cloud, fetched: Path) -> None:
    files = inventory(nobody.document)["all"]["vars"]["secret_files"]
    assert files == {name: str(fetched / name) for name in SECRETS}


@pytest.mark.parametrize("named", ["", "secrets", "./secrets"])
def test_secrets_that_have_not_been_fetched_or_are_named_from_somewhere_are_refused(
    nobody: Cloud, fetched: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.chdir(fetched.parent)
    monkeypatch.setenv("SIMPLICITY_SECRETS", named)
    with pytest.raises(Refusal, match="set SIMPLICITY_SECRETS to the absolute path of the directory"):
        inventory(nobody.document)
    monkeypatch.delenv("SIMPLICITY_SECRETS")
    with pytest.raises(Refusal, match="`simplicity infrastructure fetch-secrets DIRECTORY` has made"):
        inventory(nobody.document)


def test_a_secret_that_is_missing_is_named(nobody: Cloud, fetched: Path) -> None:
    (fetched / "auth_pepper").unlink()
    with pytest.raises(Refusal, match=r"secrets: auth_pepper missing; .*fetch-secrets DIRECTORY` writes all"):
        inventory(nobody.document)


def test_without_a_bucket_hosts_could_be_given_no_files_and_are_refused(nobody: Cloud) -> None:
    nobody.drivers["hosts"] = Driver(kind="ssm", settings={"region": "us-east-1"})
    with pytest.raises(Refusal, match="the document of unit names no bucket for the files that hosts get"):
        aws_hosts.variables(nobody.document, [])


def test_a_host_without_a_role_is_in_no_group(nobody: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    tagged = {"i-00000001": "monitoring", "i-00000002": "", "i-00000003": None}
    said = [
        {
            "Instances": [
                {
                    "InstanceId": name,
                    "PrivateIpAddress": "10.20.0.4",
                    "Tags": [] if role is None else [{"Key": "role", "Value": role}],
                }
            ]
        }
        for name, role in tagged.items()
    ]
    monkeypatch.setattr(Aws, "all", lambda *_, **__: said)
    assert aws_hosts.groups(aws_hosts.hosts(nobody.document)) == {"monitoring": ["i-00000001"]}


@pytest.mark.parametrize(
    ("databases", "monitoring", "count"),
    [
        (0, 0, 0),
        (0, 1, 0),
        (1, 1, 0),
        (2, 0, 0),
        (2, 1, 3),
        (2, 2, 3),
        (3, 0, 3),
        (3, 1, 3),
        (4, 1, 5),
        (5, 2, 5),
    ],
)
def test_votes_on_who_leads_are_three_or_more_and_odd_or_none(databases: int, monitoring: int, count: int) -> None:
    found = votes([f"db{n}" for n in range(databases)], [f"mon{n}" for n in range(monitoring)])
    assert len(found) == count
    assert not found or found[:databases] == [f"db{n}" for n in range(databases)]


def test_a_fleet_has_three_votes_and_a_cloud_with_a_database_of_amazon_s_has_none(cloud: Cloud, tmp_path: Path) -> None:
    assert inventory(_fleet(tmp_path / "fleet"))["etcd"]["hosts"] == ["db1", "db2", "mon1"]
    assert inventory(cloud.document)["etcd"]["hosts"] == []


def test_a_cloud_that_cannot_be_asked_is_one_line(cloud: Cloud, tmp_path: Path) -> None:
    cloud.endpoint = "http://127.0.0.1:9"
    with pytest.raises(Refusal, match="AWS does not answer"):
        inventory(cloud.document)
    path = tmp_path / "environment.json"
    cloud.document.model_copy(update={"drivers": {"hosts": Driver(kind="ssm")}}).save(path)
    done = subprocess.run(
        [sys.executable, str(ROOT / "playbooks/inventory.py"), "--list"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"SIMPLICITY_ENVIRONMENT": str(path), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "names no region of AWS" in done.stderr


def test_the_script_prints_json(cloud: Cloud, fetched: Path, tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    cloud.document.save(path)
    given = {"SIMPLICITY_ENVIRONMENT": str(path), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "rehearsal")
    keys["SIMPLICITY_SECRETS"] = str(fetched)
    command = [sys.executable, str(ROOT / "playbooks/inventory.py"), "--list"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=given | keys)
    assert len(json.loads(done.stdout)["api"]["hosts"]) == 3
