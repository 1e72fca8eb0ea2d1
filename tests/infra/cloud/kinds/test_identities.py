from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pulumi_aws as aws

from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.lab import Lab

GITHUB = "token.actions.githubusercontent.com"


def document(*actions: str) -> str:
    allowed = {"Effect": "Allow", "Action": list(actions), "Resource": ["arn:aws:s3:::backups/*"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


def program(*actions: str) -> Callable[[], None]:
    def declared() -> None:
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": ["sts:AssumeRole"]}
        policy = aws.iam.Policy(
            "boundary", name="boundary", description="the most", policy=document(*actions), tags={"Name": "boundary"}
        )
        aws.iam.OpenIdConnectProvider(
            "github",
            url=f"https://{GITHUB}",
            client_id_lists=["sts.amazonaws.com"],
            thumbprint_lists=["f" * 40],
            tags={"Name": "github"},
        )
        aws.iam.Role(
            "api",
            name="bounded",
            assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            permissions_boundary=policy.arn,
        )

    return declared


def test_policies_providers_and_boundaries_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    found = whole_life(lab, program("s3:GetObject"))
    assert found >= {"Policy.policy", "Policy.tags", "Role.permissionsBoundary"}
    provider = {each for each in found if each.startswith("OpenIdConnectProvider.")}
    assert provider == {f"OpenIdConnectProvider.{each}" for each in ("clientIdLists", "thumbprintLists", "tags")}


def test_a_policy_is_changed_more_often_than_aws_keeps_versions_of_it(lab: Lab) -> None:
    for action in ("GetObject", "PutObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging", "GetObjectAcl"):
        lab.up(program(f"s3:{action}"))
        assert lab.plan(program(f"s3:{action}")) == []
    (made,) = [each for each in lab.state.managed() if each.type.endswith(":Policy")]
    assert "s3:GetObjectAcl" in made.outputs["policy"]


def test_a_boundary_that_somebody_took_off_is_told_and_put_back(lab: Lab) -> None:
    lab.up(program("s3:GetObject"))
    iam = lab.reach("us-east-1")("iam")
    iam.delete_role_permissions_boundary(RoleName="bounded")
    (found,) = lab.drifts()
    assert found.line.endswith("is None")
    lab.refresh()
    lab.up(program("s3:GetObject"))
    assert iam.get_role(RoleName="bounded")["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith(
        "boundary"
    )
