from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pulumi_aws as aws

from tests.infra.cloud.conftest import ACCOUNT, REGION
from tests.infra.cloud.kinds.ground import ground, whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab


def workspace(key: str, sign_in: str) -> aws.grafana.Workspace:
    return aws.grafana.Workspace(
        "grafana",
        name="grafana",
        description="dashboards",
        account_access_type="CURRENT_ACCOUNT",
        permission_type="CUSTOMER_MANAGED",
        authentication_providers=[sign_in],
        configuration='{"plugins": {"pluginAdminEnabled": false}}',
        data_sources=["PROMETHEUS"],
        grafana_version="10.4",
        kms_key_id=key,
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/grafana",
        tags={"Name": "grafana"},
    )


def with_saml(key: str) -> None:
    aws.grafana.WorkspaceSamlConfiguration(
        "grafana",
        workspace_id=workspace(key, "SAML").id,
        idp_metadata_url="https://idp.example.com/metadata",
        role_assertion="role",
        admin_role_values=["admin"],
        editor_role_values=["editor"],
    )


def with_sso(key: str) -> None:
    made = workspace(key, "AWS_SSO")
    for role, groups in (("ADMIN", ["a-1", "a-2"]), ("EDITOR", ["e-1"])):
        aws.grafana.RoleAssociation(role, workspace_id=made.id, role=role, group_ids=groups)


def test_a_workspace_and_its_sign_in_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    assert whole_life(lab, partial(with_saml, ground(lab).key)) == {
        *(f"Workspace.{each}" for each in ("accountAccessType", "permissionType")),
        *(f"Workspace.{each}" for each in ("authenticationProviders", "configuration", "dataSources")),
        *(f"Workspace.{each}" for each in ("description", "name", "roleArn", "tags")),
        *(f"WorkspaceSamlConfiguration.{each}" for each in ("adminRoleValues", "editorRoleValues")),
        *(f"WorkspaceSamlConfiguration.{each}" for each in ("idpMetadataUrl", "roleAssertion")),
    }


def test_groups_that_somebody_let_in_are_named_and_taken_out_again(lab: Lab) -> None:
    found = whole_life(lab, partial(with_sso, ground(lab).key))
    assert {each for each in found if each.startswith("Role")} == {"RoleAssociation.groupIds"}


def test_a_workspace_says_where_people_go(lab: Lab) -> None:
    lab.up(partial(with_saml, ground(lab).key))
    (there,) = [each for each in lab.state.managed() if each.type.endswith(":Workspace")]
    assert there.outputs["endpoint"] == f"{there.id}.grafana-workspace.{REGION}.amazonaws.com"
