"""Amazon's Grafana: workspaces, how one signs in, and who may do what in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, updates
from infra.cloud.rehearsal.kinds.others import fewer, text
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, retag

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

# The arguments that a creation and a change have in common.
_PLAIN = {
    "accountAccessType": "accountAccessType",
    "workspaceDataSources": "dataSources",
    "workspaceDescription": "description",
    "workspaceName": "name",
    "permissionType": "permissionType",
    "workspaceRoleArn": "roleArn",
}
_TOLD = {**{name: name for name in _PLAIN.values() if name != "roleArn"}, "roleArn": "workspaceRoleArn"}


# --- workspaces ------------------------------------------------------------------------------------------------------
def _create(aws: Aws, wanted: Props) -> str:
    more = given(
        wanted, configuration="configuration", grafanaVersion="grafanaVersion", kmsKeyId="kmsKeyId", tags="tags"
    )
    answer = aws("grafana").create_workspace(
        authenticationProviders=wanted["authenticationProviders"], **given(wanted, **_PLAIN), **more
    )
    return str(answer["workspace"]["id"])


def _arn(aws: Aws, made: str) -> str:
    account = aws("sts").get_caller_identity()["Account"]
    return f"arn:aws:grafana:{aws('grafana').meta.region_name}:{account}:/workspaces/{made}"


def _read(aws: Aws, made: str, _: Props) -> Props | None:
    there = aws("grafana").describe_workspace(workspaceId=made)["workspace"]
    return {
        "arn": _arn(aws, made),
        "authenticationProviders": there["authentication"]["providers"],
        "configuration": aws("grafana").describe_workspace_configuration(workspaceId=made)["configuration"],
        **found(there, **_TOLD),
        **found(there, endpoint="endpoint", grafanaVersion="grafanaVersion", kmsKeyId="kmsKeyId", tags="tags"),
    }


def _change(aws: Aws, made: str, wanted: Props) -> None:
    aws("grafana").update_workspace(workspaceId=made, **given(wanted, **_PLAIN))


def _change_configuration(aws: Aws, made: str, wanted: Props) -> None:
    aws("grafana").update_workspace_configuration(
        workspaceId=made, configuration=wanted["configuration"], **given(wanted, grafanaVersion="grafanaVersion")
    )


def _change_providers(aws: Aws, made: str, wanted: Props) -> None:
    aws("grafana").update_workspace_authentication(
        workspaceId=made, authenticationProviders=wanted["authenticationProviders"]
    )


_RETAG = retag(
    lambda aws, made: aws("grafana").list_tags_for_resource(resourceArn=_arn(aws, made))["tags"],
    lambda aws, made, tags: aws("grafana").tag_resource(resourceArn=_arn(aws, made), tags=mapping(tags)),
    lambda aws, made, names: aws("grafana").untag_resource(resourceArn=_arn(aws, made), tagKeys=names),
)


# --- how one signs in ------------------------------------------------------------------------------------------------
def _saml(wanted: Props) -> dict[str, Any]:
    roles = given(wanted, admin="adminRoleValues", editor="editorRoleValues")
    asserted = given(wanted, role="roleAssertion", name="nameAssertion", login="loginAssertion", email="emailAssertion")
    return {
        "idpMetadata": {"url": wanted["idpMetadataUrl"]},
        "roleValues": roles,
        "assertionAttributes": asserted,
        **given(wanted, loginValidityDuration="loginValidityDuration"),
    }


def _put_saml(aws: Aws, made: str, wanted: Props) -> None:
    aws("grafana").update_workspace_authentication(
        workspaceId=made, authenticationProviders=["SAML"], samlConfiguration=_saml(wanted)
    )


def _create_saml(aws: Aws, wanted: Props) -> str:
    made = str(wanted["workspaceId"])
    _put_saml(aws, made, wanted)
    return made


def _read_saml(aws: Aws, made: str, _: Props) -> Props | None:
    saml = aws("grafana").describe_workspace_authentication(workspaceId=made)["authentication"].get("saml", {})
    there = saml.get("configuration")
    if there is None:
        return None
    asserted = there.get("assertionAttributes", {})
    return {
        "workspaceId": made,
        "idpMetadataUrl": there["idpMetadata"].get("url"),
        **found(there.get("roleValues", {}), adminRoleValues="admin", editorRoleValues="editor"),
        **found(asserted, roleAssertion="role", nameAssertion="name", loginAssertion="login", emailAssertion="email"),
        **found(there, loginValidityDuration="loginValidityDuration"),
    }


def _stays(_: Aws, __: str, ___: Props) -> None:
    """Leave it: AWS takes no way of signing in back, it goes with its workspace."""


# --- who may do what -------------------------------------------------------------------------------------------------
def _instruct(aws: Aws, workspace: str, action: str, role: str, groups: list[str]) -> None:
    if groups:
        users = [{"id": each, "type": "SSO_GROUP"} for each in groups]
        batch = [{"action": action, "role": role, "users": users}]
        aws("grafana").update_permissions(workspaceId=workspace, updateInstructionBatch=batch)


def _groups(aws: Aws, workspace: str, role: str) -> list[str]:
    pages = aws("grafana").get_paginator("list_permissions").paginate(workspaceId=workspace)
    entries = [each for page in pages for each in page["permissions"] if each["role"] == role]
    return [str(each["user"]["id"]) for each in entries if each["user"]["type"] == "SSO_GROUP"]


def _associate(aws: Aws, wanted: Props) -> str:
    workspace, role = str(wanted["workspaceId"]), str(wanted["role"])
    _instruct(aws, workspace, "ADD", role, wanted["groupIds"])
    return f"{workspace}/{role}"


def _read_association(aws: Aws, made: str, _: Props) -> Props | None:
    workspace, role = made.split("/")
    groups = _groups(aws, workspace, role)
    return {"workspaceId": workspace, "role": role, "groupIds": groups} if groups else None


def _change_association(aws: Aws, made: str, wanted: Props) -> None:
    workspace, role = made.split("/")
    there, groups = set(_groups(aws, workspace, role)), set(wanted["groupIds"])
    _instruct(aws, workspace, "REVOKE", role, sorted(there - groups))
    _instruct(aws, workspace, "ADD", role, sorted(groups - there))


def _dissociate(aws: Aws, made: str, _: Props) -> None:
    workspace, role = made.split("/")
    _instruct(aws, workspace, "REVOKE", role, _groups(aws, workspace, role))


KINDS = (
    Kind(
        type="aws:grafana/workspace:Workspace",
        create=_create,
        read=_read,
        delete=lambda aws, made, _: aws("grafana").delete_workspace(workspaceId=made),
        updates={
            **updates(_change, *(name for name in _PLAIN.values())),
            "authenticationProviders": _change_providers,
            "configuration": _change_configuration,
            "tags": _RETAG,
        },
        fixed=frozenset({"grafanaVersion", "kmsKeyId"}),
        imitated=True,
        drifts={
            "accountAccessType": lambda _: "ORGANIZATION",
            "permissionType": lambda _: "SERVICE_MANAGED",
            "configuration": lambda _: '{"plugins": {"pluginAdminEnabled": true}}',
            "dataSources": lambda value: [*value, "CLOUDWATCH"],
            "description": text,
            "name": lambda value: f"{value}-drifted",
            "roleArn": lambda value: f"{value}-drifted",
            "authenticationProviders": lambda value: ["AWS_SSO"] if value == ["SAML"] else ["SAML"],
        },
    ),
    Kind(
        type="aws:grafana/workspaceSamlConfiguration:WorkspaceSamlConfiguration",
        create=_create_saml,
        read=_read_saml,
        delete=_stays,
        updates=updates(
            _put_saml,
            "adminRoleValues",
            "editorRoleValues",
            "idpMetadataUrl",
            "loginValidityDuration",
            "roleAssertion",
            "nameAssertion",
            "loginAssertion",
            "emailAssertion",
        ),
        fixed=frozenset({"workspaceId"}),
        imitated=True,
        drifts={
            "adminRoleValues": lambda value: [*value, "drifted"],
            "editorRoleValues": lambda value: [*value, "drifted"],
            "idpMetadataUrl": lambda _: "https://drifted.example.com/metadata",
            "roleAssertion": text,
            "nameAssertion": text,
            "loginAssertion": text,
            "emailAssertion": text,
        },
    ),
    Kind(
        type="aws:grafana/roleAssociation:RoleAssociation",
        create=_associate,
        read=_read_association,
        delete=_dissociate,
        updates={"groupIds": _change_association},
        fixed=frozenset({"workspaceId", "role"}),
        imitated=True,
        drifts={"groupIds": lambda value: fewer(value) or ["drifted"]},
    ),
)
