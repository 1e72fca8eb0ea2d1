from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.cloud.tiers.database import Database, DatabaseArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

DATA, LOGS, SECRETS = (f"arn:aws:kms:us-east-1:123456789012:key/{name}" for name in ("data", "logs", "secrets"))
CLUSTER, MEMBER, INSTANCE = (
    "aws:rds/cluster:Cluster",
    "aws:rds/clusterInstance:ClusterInstance",
    "aws:rds/instance:Instance",
)
VOLUME, HOST = "aws:ebs/volume:Volume", "aws:ec2/instance:Instance"


def arguments(site: Site, image: str | None = "ami-12345678") -> DatabaseArgs:
    return DatabaseArgs(
        site=site,
        subnets=("subnet-a", "subnet-b", "subnet-c"),
        security_group="sg-database",
        data_key=DATA,
        logs_key=LOGS,
        secrets_key=SECRETS,
        image=image,
        profile="simplicity-test-patroni",
    )


def of(planned: Planned, site: Site, kind: str) -> list[Registered]:
    return [each for each in planned(lambda: _make(site)) if each.type == kind]


def waits(of_it: Registered, kind: str) -> set[str]:
    """Return the names of those of a kind that a resource waits for."""
    parts = [urn.split("::") for urn in of_it.dependencies]
    return {name for _, _, types, name in parts if types.rpartition("$")[2].startswith(kind)}


def _make(site: Site) -> None:
    Database("database", arguments(site))


@pytest.fixture(scope="module")
def aurora(at: Places) -> Site:
    return at()


@pytest.fixture(scope="module")
def rds(at: Places) -> Site:
    return at(database={"kind": "rds"})


@pytest.fixture(scope="module")
def patroni(at: Places) -> Site:
    return at(database={"kind": "patroni"})


def test_a_writer_and_two_readers_stand_in_three_zones(planned: Planned, aurora: Site) -> None:
    members = of(planned, aurora, MEMBER)
    assert [each.inputs["availabilityZone"] for each in members] == ["us-east-1a", "us-east-1b", "us-east-1c"]


def test_the_first_two_servers_are_alike_to_a_failover(planned: Planned, aurora: Site) -> None:
    assert [each.inputs["promotionTier"] for each in of(planned, aurora, MEMBER)] == [0, 0, 1]


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_data_is_encrypted_with_our_key(planned: Planned, at: Places, kind: str) -> None:
    (first, *rest) = of(planned, at(database={"kind": kind}), CLUSTER if kind == "aurora" else INSTANCE)
    assert first.inputs["kmsKeyId"] == DATA
    for each in (first, *rest):
        assert each.inputs["storageEncrypted"] is True


@pytest.mark.parametrize(
    ("kind", "group"),
    [
        ("aurora", "aws:rds/clusterParameterGroup:ClusterParameterGroup"),
        ("rds", "aws:rds/parameterGroup:ParameterGroup"),
    ],
)
def test_nobody_speaks_to_it_in_the_clear(planned: Planned, at: Places, kind: str, group: str) -> None:
    (found,) = of(planned, at(database={"kind": kind}), group)
    parameters = {each["name"]: each for each in found.inputs["parameters"]}
    assert parameters["rds.force_ssl"]["value"] == "1"
    assert parameters["password_encryption"]["value"] == "scram-sha-256"


def test_what_counts_from_the_next_start_only_is_told_so(planned: Planned, aurora: Site) -> None:
    (group,) = of(planned, aurora, "aws:rds/clusterParameterGroup:ClusterParameterGroup")
    methods = {each["name"]: each["applyMethod"] for each in group.inputs["parameters"]}
    static = {"shared_preload_libraries", "rds.force_ssl", "password_encryption"}
    assert {name: method for name, method in methods.items() if method != "immediate"} == dict.fromkeys(
        static, "pending-reboot"
    )


def test_no_password_is_in_the_program(planned: Planned, aurora: Site, rds: Site) -> None:
    for site, kind in ((aurora, CLUSTER), (rds, INSTANCE)):
        first = of(planned, site, kind)[0]
        assert first.inputs["manageMasterUserPassword"] is True
        assert first.inputs["masterUserSecretKmsKeyId"] == SECRETS
        assert not {"masterPassword", "password"} & set(first.inputs)


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_a_protected_database_is_not_deleted_and_leaves_a_snapshot(planned: Planned, at: Places, kind: str) -> None:
    first = of(planned, at(database={"kind": kind}), CLUSTER if kind == "aurora" else INSTANCE)[0]
    assert first.protect
    assert first.inputs["deletionProtection"] is True
    assert first.inputs["skipFinalSnapshot"] is False
    assert first.inputs["finalSnapshotIdentifier"] == "simplicity-test-database-final"


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_one_for_trying_can_be_taken_down(planned: Planned, at: Places, kind: str) -> None:
    site = at(database={"kind": kind, "protect": False})
    first = of(planned, site, CLUSTER if kind == "aurora" else INSTANCE)[0]
    assert not first.protect
    assert first.inputs["skipFinalSnapshot"] is True
    assert not any(each.protect for each in planned(lambda: _make(site)))


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_it_can_be_brought_back_to_any_moment_of_so_many_days(planned: Planned, at: Places, kind: str) -> None:
    site = at(database={"kind": kind, "backup_days": 21})
    first = of(planned, site, CLUSTER if kind == "aurora" else INSTANCE)[0]
    assert first.inputs["backupRetentionPeriod"] == 21
    assert first.inputs["copyTagsToSnapshot"] is True


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_servers_are_not_public_and_are_looked_into_with_our_key(planned: Planned, at: Places, kind: str) -> None:
    servers = of(planned, at(database={"kind": kind}), MEMBER if kind == "aurora" else INSTANCE)
    assert len(servers) == (3 if kind == "aurora" else 1)
    for each in servers:
        assert each.inputs["publiclyAccessible"] is False
        assert each.inputs["performanceInsightsEnabled"] is True
        assert each.inputs["performanceInsightsKmsKeyId"] == DATA
        assert each.inputs["monitoringInterval"] == 60
        assert each.inputs["monitoringRoleArn"].startswith("arn:aws:")


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_logs_are_kept_for_a_while_and_under_our_key(planned: Planned, at: Places, kind: str) -> None:
    site = at(database={"kind": kind})
    servers = of(planned, site, CLUSTER if kind == "aurora" else INSTANCE)
    groups = {each.inputs["name"]: each.inputs for each in of(planned, site, "aws:cloudwatch/logGroup:LogGroup")}
    for each in servers:
        name = each.inputs.get("clusterIdentifier") or each.inputs["identifier"]
        group = groups[f"/aws/rds/{'cluster' if kind == 'aurora' else 'instance'}/{name}/postgresql"]
        assert each.inputs["enabledCloudwatchLogsExports"] == ["postgresql"]
        assert group["retentionInDays"] == 90
        assert group["kmsKeyId"] == LOGS


def test_readers_come_when_others_are_busy(planned: Planned, aurora: Site) -> None:
    (target,) = of(planned, aurora, "aws:appautoscaling/target:Target")
    (policy,) = of(planned, aurora, "aws:appautoscaling/policy:Policy")
    assert (target.inputs["minCapacity"], target.inputs["maxCapacity"]) == (2, 4)
    configuration = policy.inputs["targetTrackingScalingPolicyConfiguration"]
    assert configuration["predefinedMetricSpecification"]["predefinedMetricType"] == "RDSReaderAverageCPUUtilization"


def test_without_readers_there_is_one_server_and_nothing_scales(planned: Planned, at: Places) -> None:
    site = at(database={"readers": 0})
    assert len(of(planned, site, MEMBER)) == 1
    assert not of(planned, site, "aws:appautoscaling/target:Target")


def test_rds_has_a_standby_in_another_zone_and_a_disk_that_grows(planned: Planned, rds: Site) -> None:
    (server,) = of(planned, rds, INSTANCE)
    assert server.inputs["multiAz"] is True
    assert server.inputs["maxAllocatedStorage"] > server.inputs["allocatedStorage"]


def test_servers_of_aurora_come_one_after_the_other_and_readers_scale_once_all_are_there(
    planned: Planned, aurora: Site
) -> None:
    first, second, third = of(planned, aurora, MEMBER)
    assert not waits(first, "aws:rds/clusterInstance")
    assert waits(second, "aws:rds/clusterInstance") == {"database-1"}
    assert waits(third, "aws:rds/clusterInstance") == {"database-2"}
    (target,) = of(planned, aurora, "aws:appautoscaling/target:Target")
    assert waits(target, "aws:rds/clusterInstance") == {"database-1", "database-2", "database-3"}


@pytest.mark.parametrize(("version", "major"), [("17.6", "17"), ("18.1", "18")])
@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_an_upgrade_finds_its_parameters_beside_the_old_ones_and_is_let_in(
    planned: Planned, at: Places, kind: str, version: str, major: str
) -> None:
    site = at(database={"kind": kind, "version": version})
    (group,) = [each for each in planned(lambda: _make(site)) if each.type.endswith("ParameterGroup")]
    assert group.inputs["name"] == f"simplicity-test-database-{major}"
    assert group.inputs["family"].endswith(f"postgres{'ql' if kind == 'aurora' else ''}{major}")
    (first,) = of(planned, site, CLUSTER if kind == "aurora" else INSTANCE)
    assert first.inputs["allowMajorVersionUpgrade"] is True


def test_monitoring_can_be_used_by_rds_of_this_account_alone(planned: Planned, aurora: Site) -> None:
    (role,) = of(planned, aurora, "aws:iam/role:Role")
    assert '"monitoring.rds.amazonaws.com"' in role.inputs["assumeRolePolicy"]
    assert '"aws:SourceAccount": "123456789012"' in role.inputs["assumeRolePolicy"]


@pytest.mark.parametrize(("kind", "what"), [("aurora", MEMBER), ("rds", INSTANCE)])
def test_a_server_waits_until_its_monitoring_may_write(kind: str, what: str, planned: Planned, at: Places) -> None:
    for server in of(planned, at(database={"kind": kind}), what):
        assert any("RolePolicyAttachment::database-monitoring" in urn for urn in server.dependencies)


def test_patroni_has_three_hosts_with_a_disk_each_in_three_zones(planned: Planned, patroni: Site) -> None:
    hosts, volumes = of(planned, patroni, HOST), of(planned, patroni, VOLUME)
    assert [each.inputs["subnetId"] for each in hosts] == ["subnet-a", "subnet-b", "subnet-c"]
    assert {each.inputs["instanceType"] for each in hosts} == {"r7g.xlarge"}
    assert [each.inputs["availabilityZone"] for each in volumes] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert all(each.protect for each in volumes)


def test_a_host_of_patroni_comes_once_the_one_before_has_its_disk(planned: Planned, patroni: Site) -> None:
    first, second, third = of(planned, patroni, HOST)
    assert not waits(first, "aws:ec2/")
    assert waits(second, "aws:ec2/") == {"database-1", "database-1-data"}
    assert waits(third, "aws:ec2/") == {"database-2", "database-2-data"}


def test_hosts_of_patroni_are_closed_and_encrypted(planned: Planned, patroni: Site) -> None:
    for each in of(planned, patroni, HOST):
        assert each.inputs["metadataOptions"]["httpTokens"] == "required"
        assert each.inputs["metadataOptions"]["httpPutResponseHopLimit"] == 1
        assert each.inputs["associatePublicIpAddress"] is False
        assert each.inputs["rootBlockDevice"]["encrypted"] is True
        assert each.inputs["iamInstanceProfile"] == "simplicity-test-patroni"
    for each in of(planned, patroni, VOLUME):
        assert each.inputs["encrypted"] is True
        assert each.inputs["kmsKeyId"] == DATA


def test_patroni_without_an_image_is_refused(planned: Planned, patroni: Site) -> None:
    def program() -> None:
        Database("database", arguments(patroni, image=None))

    with pytest.raises(ValueError, match="needs an image and an instance profile"):
        planned(program)


@pytest.mark.parametrize("kind", ["aurora", "rds", "patroni"])
def test_all_that_can_be_tagged_says_who_pays(planned: Planned, at: Places, kind: str) -> None:
    site = at(database={"kind": kind})
    untagged = {"RolePolicyAttachment", "VolumeAttachment", "Policy"}
    for each in planned(lambda: _make(site)):
        if each.type.rpartition(":")[2] not in untagged:
            assert each.inputs["tags"]["cost-center"] == "indexer", each.name
