"""Who may do what: roles, their policies, instance profiles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, pairs, retag

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props


def another(document: Any) -> str:  # noqa: ANN401 - JSON, as text or parsed
    """Return a policy that allows a little more: one more action in its first statement."""
    value = json.loads(document) if isinstance(document, str) else document
    first, *others = value["Statement"]
    first = {**first, "Action": [*first["Action"], "sts:TagSession"]}
    return json.dumps({**value, "Statement": [first, *others]})


def written(document: Any) -> str:  # noqa: ANN401 - boto3 has decoded it
    """Return a policy as a program writes it."""
    return document if isinstance(document, str) else json.dumps(document)


def _create_role(aws: Aws, wanted: Props) -> str:
    arguments = given(
        wanted,
        Description="description",
        MaxSessionDuration="maxSessionDuration",
        Path="path",
        PermissionsBoundary="permissionsBoundary",
    )
    answer = aws("iam").create_role(
        RoleName=wanted["name"],
        AssumeRolePolicyDocument=wanted["assumeRolePolicy"],
        Tags=pairs(wanted.get("tags")),
        **arguments,
    )
    return str(answer["Role"]["RoleName"])


def _read_role(aws: Aws, made: str, _: Props) -> Props | None:
    role = aws("iam").get_role(RoleName=made)["Role"]
    return {
        "name": role["RoleName"],
        "assumeRolePolicy": written(role["AssumeRolePolicyDocument"]),
        "description": role.get("Description") or None,
        "permissionsBoundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        "tags": mapping(role.get("Tags")),
        **found(
            role,
            arn="Arn",
            maxSessionDuration="MaxSessionDuration",
            path="Path",
            uniqueId="RoleId",
        ),
    }


def _change_trust(aws: Aws, made: str, wanted: Props) -> None:
    aws("iam").update_assume_role_policy(RoleName=made, PolicyDocument=wanted["assumeRolePolicy"])


def _change_role(aws: Aws, made: str, wanted: Props) -> None:
    duration = given(wanted, MaxSessionDuration="maxSessionDuration")
    aws("iam").update_role(RoleName=made, Description=wanted.get("description", ""), **duration)


def _change_boundary(aws: Aws, made: str, wanted: Props) -> None:
    if boundary := wanted.get("permissionsBoundary"):
        aws("iam").put_role_permissions_boundary(RoleName=made, PermissionsBoundary=boundary)
    else:
        aws("iam").delete_role_permissions_boundary(RoleName=made)


def _put_policy(aws: Aws, wanted: Props) -> str:
    role, name = wanted["role"], wanted["name"]
    aws("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=wanted["policy"])
    return f"{role}:{name}"


def _read_policy(aws: Aws, made: str, _: Props) -> Props | None:
    role, name = made.split(":", 1)
    policy = aws("iam").get_role_policy(RoleName=role, PolicyName=name)
    return {"role": policy["RoleName"], "name": policy["PolicyName"], "policy": written(policy["PolicyDocument"])}


def _delete_policy(aws: Aws, made: str, _: Props) -> None:
    role, name = made.split(":", 1)
    aws("iam").delete_role_policy(RoleName=role, PolicyName=name)


def _attach(aws: Aws, wanted: Props) -> str:
    aws("iam").attach_role_policy(RoleName=wanted["role"], PolicyArn=wanted["policyArn"])
    return f"{wanted['role']}/{wanted['policyArn']}"


def _read_attached(aws: Aws, made: str, _: Props) -> Props | None:
    role, arn = made.split("/", 1)
    pages = aws("iam").get_paginator("list_attached_role_policies").paginate(RoleName=role)
    there = any(each["PolicyArn"] == arn for page in pages for each in page["AttachedPolicies"])
    return {"role": role, "policyArn": arn} if there else None


def _detach(aws: Aws, made: str, _: Props) -> None:
    role, arn = made.split("/", 1)
    aws("iam").detach_role_policy(RoleName=role, PolicyArn=arn)


def _create_profile(aws: Aws, wanted: Props) -> str:
    name = wanted["name"]
    arguments = given(wanted, Path="path")
    aws("iam").create_instance_profile(InstanceProfileName=name, Tags=pairs(wanted.get("tags")), **arguments)
    with begun(str(name)):
        aws("iam").add_role_to_instance_profile(InstanceProfileName=name, RoleName=wanted["role"])
    return str(name)


def _profile(aws: Aws, made: str) -> Props:
    found_one: Props = aws("iam").get_instance_profile(InstanceProfileName=made)["InstanceProfile"]
    return found_one


def _read_profile(aws: Aws, made: str, _: Props) -> Props | None:
    profile = _profile(aws, made)
    roles = [each["RoleName"] for each in profile["Roles"]]
    return {
        "name": profile["InstanceProfileName"],
        "role": roles[0] if roles else None,
        "tags": mapping(profile.get("Tags")),
        **found(profile, arn="Arn", path="Path", uniqueId="InstanceProfileId"),
    }


def _empty_profile(aws: Aws, made: str) -> None:
    for role in _profile(aws, made)["Roles"]:
        aws("iam").remove_role_from_instance_profile(InstanceProfileName=made, RoleName=role["RoleName"])


def _change_profile(aws: Aws, made: str, wanted: Props) -> None:
    _empty_profile(aws, made)
    aws("iam").add_role_to_instance_profile(InstanceProfileName=made, RoleName=wanted["role"])


def _delete_profile(aws: Aws, made: str, _: Props) -> None:
    _empty_profile(aws, made)
    aws("iam").delete_instance_profile(InstanceProfileName=made)


_RETAG_ROLE = retag(
    lambda aws, made: mapping(aws("iam").list_role_tags(RoleName=made)["Tags"]),
    lambda aws, made, tags: aws("iam").tag_role(RoleName=made, Tags=tags),
    lambda aws, made, names: aws("iam").untag_role(RoleName=made, TagKeys=names),
)
_RETAG_PROFILE = retag(
    lambda aws, made: mapping(_profile(aws, made).get("Tags")),
    lambda aws, made, tags: aws("iam").tag_instance_profile(InstanceProfileName=made, Tags=tags),
    lambda aws, made, names: aws("iam").untag_instance_profile(InstanceProfileName=made, TagKeys=names),
)

KINDS = (
    Kind(
        type="aws:iam/role:Role",
        create=_create_role,
        read=_read_role,
        delete=lambda aws, made, _: aws("iam").delete_role(RoleName=made),
        updates={
            "assumeRolePolicy": _change_trust,
            **updates(_change_role, "description", "maxSessionDuration"),
            "permissionsBoundary": _change_boundary,
            "tags": _RETAG_ROLE,
        },
        fixed=frozenset({"name", "path"}),
        drifts={
            "assumeRolePolicy": another,
            "description": lambda value: f"{value} and more",
            "permissionsBoundary": lambda value: f"{value}-drifted",
        },
        defaults={"maxSessionDuration": 3_600, "path": "/"},
    ),
    Kind(
        type="aws:iam/rolePolicy:RolePolicy",
        create=_put_policy,
        read=_read_policy,
        delete=_delete_policy,
        updates={"policy": lambda aws, _, wanted: (_put_policy(aws, wanted), None)[1]},
        fixed=frozenset({"role", "name"}),
        drifts={"policy": another},
    ),
    Kind(
        type="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        create=_attach,
        read=_read_attached,
        delete=_detach,
        fixed=frozenset({"role", "policyArn"}),
    ),
    Kind(
        type="aws:iam/instanceProfile:InstanceProfile",
        create=_create_profile,
        read=_read_profile,
        delete=_delete_profile,
        updates={"role": _change_profile, "tags": _RETAG_PROFILE},
        fixed=frozenset({"name", "path"}),
    ),
)
