from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pulumi_aws as aws

from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab

_TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": ["sts:AssumeRole"]}
_READ = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::backups/*"]}


def document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def program() -> None:
    role = aws.iam.Role(
        "api", name="api", description="hosts", assume_role_policy=document(_TRUST), tags={"role": "api"}
    )
    aws.iam.RolePolicy("api", name="read", role=role.name, policy=document(_READ))
    aws.iam.RolePolicyAttachment("api", role=role.name, policy_arn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    aws.iam.InstanceProfile("api", name="api", role=role.name, tags={"role": "api"})


def test_a_role_its_policies_and_its_profile_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    assert whole_life(lab, program) == {
        "Role.assumeRolePolicy",
        "Role.description",
        "Role.maxSessionDuration",
        "Role.tags",
        "RolePolicy.policy",
        "InstanceProfile.tags",
    }


def test_a_policy_that_somebody_detached_is_told_and_attached_again(lab: Lab) -> None:
    lab.up(program)
    lab.reach("us-east-1")("iam").detach_role_policy(RoleName="api", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert [each.line for each in lab.drifts()] == ["aws:iam/rolePolicyAttachment:RolePolicyAttachment api is gone"]
    lab.refresh()
    assert [step.op for step in lab.up(program)] == ["create"]
    assert lab.drifts() == []


def test_a_profile_gets_its_own_role_back(lab: Lab) -> None:
    lab.up(program)
    iam = lab.reach("us-east-1")("iam")
    iam.remove_role_from_instance_profile(InstanceProfileName="api", RoleName="api")
    (found,) = lab.drifts()
    assert "role was 'api', is None" in found.line
    lab.refresh()
    lab.up(program)
    assert iam.get_instance_profile(InstanceProfileName="api")["InstanceProfile"]["Roles"][0]["RoleName"] == "api"
