from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.cloud.tiers.access import READS, Access, AccessArgs, roles
from tests.infra.cloud.tiers.documents import actions, of, statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

BUCKET = "arn:aws:s3:::simplicity-test-backups"
# These calls have no resource that could be named; each has a condition, or opens a session and no more.
NAMELESS = {
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "cloudwatch:PutMetricData",
    "ec2:DescribeInstances",
    "ec2:DescribeAvailabilityZones",
}


def made(planned: Planned, site: Site) -> list[Registered]:
    names = {each for reads in READS.values() for each in reads}
    secrets = {each: f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{each}" for each in names}
    key = "arn:aws:kms:us-east-1:123456789012:key"

    def program() -> None:
        Access(
            "access",
            AccessArgs(
                site=site,
                secrets=secrets,
                secrets_key=f"{key}/secrets",
                backups=BUCKET,
                backups_key=f"{key}/backups",
            ),
        )

    return planned(program)


def test_the_cache_has_one_password_and_only_who_serves_clients_reads_it() -> None:
    readers = {role for role, reads in READS.items() if any(each.startswith("cache_") for each in reads)}
    assert readers == {"api", "sync"}
    assert "cache_monitoring_password" not in {each for reads in READS.values() for each in reads}


def test_no_role_may_do_everything_of_a_service_or_anything_on_what_can_be_named(planned: Planned, at: Places) -> None:
    for policy in of(made(planned, at(database={"kind": "patroni"})), "iam/rolePolicy:RolePolicy").values():
        for each in statements(policy.inputs["policy"]):
            assert not any("*" in action for action in each["Action"])
            if "*" in each["Resource"]:
                assert set(each["Action"]) <= NAMELESS


@pytest.mark.parametrize("role", READS)
def test_a_role_reads_its_own_secrets_and_no_other(role: str, planned: Planned, at: Places) -> None:
    policy = of(made(planned, at(database={"kind": "patroni"})), "iam/rolePolicy:RolePolicy")[role]
    (reads,) = [
        each for each in statements(policy.inputs["policy"]) if "secretsmanager:GetSecretValue" in each["Action"]
    ]
    assert {each.rpartition(":")[2] for each in reads["Resource"]} == set(READS[role])


def test_the_api_never_reads_the_writers_password() -> None:
    assert "database_writer_password" not in READS["api"]
    assert "database_superuser_password" not in {*READS["api"], *READS["sync"], *READS["monitoring"]}


def test_a_key_opens_only_through_the_service_that_it_is_for(planned: Planned, at: Places) -> None:
    for policy in of(made(planned, at(database={"kind": "patroni"})), "iam/rolePolicy:RolePolicy").values():
        for each in statements(policy.inputs["policy"]):
            if any(action.startswith("kms:") for action in each["Action"]):
                assert each["Condition"]["StringEquals"]["kms:ViaService"].endswith(".us-east-1.amazonaws.com")


def test_only_database_hosts_of_ours_write_backups(planned: Planned, at: Places) -> None:
    policies = of(made(planned, at(database={"kind": "patroni"})), "iam/rolePolicy:RolePolicy")
    writers = {role for role, each in policies.items() if "s3:PutObject" in actions(statements(each.inputs["policy"]))}
    assert writers == {"patroni"}
    for each in statements(policies["patroni"].inputs["policy"]):
        if any(action.startswith("s3:") for action in each["Action"]):
            assert all(resource.startswith(BUCKET) for resource in each["Resource"])
            assert "s3:DeleteObjectVersion" not in each["Action"]


def test_sync_may_put_metrics_into_our_namespace_alone(planned: Planned, site: Site) -> None:
    policies = of(made(planned, site), "iam/rolePolicy:RolePolicy")
    (put,) = [
        each for each in statements(policies["sync"].inputs["policy"]) if "cloudwatch:PutMetricData" in each["Action"]
    ]
    assert put["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Simplicity"}}
    assert "cloudwatch:PutMetricData" not in actions(statements(policies["api"].inputs["policy"]))


def test_hosts_alone_take_on_the_roles(planned: Planned, site: Site) -> None:
    for role in of(made(planned, site), "iam/role:Role").values():
        (trust,) = statements(role.inputs["assumeRolePolicy"])
        assert trust["Principal"] == {"Service": "ec2.amazonaws.com"}


def test_sessions_need_no_policy_that_reads_every_parameter(planned: Planned, site: Site) -> None:
    found = made(planned, site)
    assert not of(found, "iam/rolePolicyAttachment:RolePolicyAttachment")
    for policy in of(found, "iam/rolePolicy:RolePolicy").values():
        assert "ssm:UpdateInstanceInformation" in actions(statements(policy.inputs["policy"]))
        assert not any(action.startswith("ssm:Get") for action in actions(statements(policy.inputs["policy"])))


def test_there_are_roles_of_those_hosts_alone_that_there_are(at: Places) -> None:
    external = {"kind": "external", "url": "https://node.example.com"}
    assert roles(at()) == ("api", "sync", "node", "monitoring")
    assert roles(at(node=external)) == ("api", "sync", "monitoring")
    assert roles(at(database={"kind": "patroni"}))[-1] == "patroni"


def test_roles_and_profiles_are_tagged_and_named_for_their_environment(planned: Planned, site: Site) -> None:
    found = made(planned, site)
    for each in (*of(found, "iam/role:Role").values(), *of(found, "iam/instanceProfile:InstanceProfile").values()):
        assert each.inputs["name"].startswith("simplicity-test-")
        assert each.inputs["tags"]["cost-center"] == "indexer"
