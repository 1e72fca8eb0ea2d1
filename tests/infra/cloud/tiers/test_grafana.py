from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from infra.cloud import program
from infra.cloud.tiers.grafana import Grafana, GrafanaArgs
from tests.infra.cloud.recording import recorded
from tests.infra.cloud.tiers.documents import of, statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

STORE, KEY = "arn:aws:aps:us-east-1:123456789012:workspace/ws-1", "arn:aws:kms:us-east-1:123456789012:key/data"
SAML: dict[str, Any] = {
    "kind": "managed",
    "metadata_url": "https://idp.example.com/metadata",
    "admins": ["operators"],
    "editors": ["developers"],
}
SSO: dict[str, Any] = {"kind": "managed", "sign_in": "sso", "admins": ["group-1"]}
WORKSPACE = "grafana/workspace:Workspace"


def site_of(at: Places, grafana: dict[str, Any]) -> Site:
    return at(monitoring={"kind": "managed"}, grafana=grafana)


def made(planned: Planned, site: Site) -> list[Registered]:
    return planned(lambda: (Grafana("grafana", GrafanaArgs(site=site, store=STORE, key=KEY)), None)[1])


def test_a_stack_has_amazons_grafana_only_where_it_is_chosen(at: Places) -> None:
    for grafana, number in (({}, 0), (SAML, 1)):
        assert len(of(recorded(partial(program.build, site_of(at, grafana).settings)), WORKSPACE)) == number


def test_it_asks_the_stacks_own_store_and_writes_nothing(planned: Planned, at: Places) -> None:
    found = made(planned, site_of(at, SAML))
    (asks,) = statements(of(found, "iam/rolePolicy:RolePolicy")["grafana"].inputs["policy"])
    assert asks["Resource"] == [STORE]
    assert set(asks["Action"]) == {"aps:QueryMetrics", "aps:GetSeries", "aps:GetLabels", "aps:GetMetricMetadata"}


def test_grafana_of_this_account_alone_takes_on_its_role(planned: Planned, at: Places) -> None:
    (trust,) = statements(of(made(planned, site_of(at, SAML)), "iam/role:Role")["grafana"].inputs["assumeRolePolicy"])
    assert trust["Principal"] == {"Service": "grafana.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    assert trust["Condition"]["ArnLike"] == {"aws:SourceArn": "arn:aws:grafana:us-east-1:123456789012:/workspaces/*"}


def test_a_workspace_has_our_role_our_key_and_takes_no_plugins(planned: Planned, at: Places) -> None:
    (workspace,) = of(made(planned, site_of(at, SAML)), WORKSPACE).values()
    assert workspace.inputs["permissionType"] == "CUSTOMER_MANAGED"
    assert workspace.inputs["accountAccessType"] == "CURRENT_ACCOUNT"
    assert workspace.inputs["kmsKeyId"] == KEY
    assert workspace.inputs["dataSources"] == ["PROMETHEUS"]
    assert json.loads(workspace.inputs["configuration"])["plugins"] == {"pluginAdminEnabled": False}
    assert workspace.protect


def test_people_of_a_directory_sign_in_by_what_it_says_of_them(planned: Planned, at: Places) -> None:
    found = made(planned, site_of(at, SAML))
    (workspace,) = of(found, WORKSPACE).values()
    assert workspace.inputs["authenticationProviders"] == ["SAML"]
    (saml,) = of(found, "grafana/workspaceSamlConfiguration:WorkspaceSamlConfiguration").values()
    assert saml.inputs["idpMetadataUrl"] == "https://idp.example.com/metadata"
    assert (saml.inputs["roleAssertion"], saml.inputs["adminRoleValues"]) == ("role", ["operators"])
    assert saml.inputs["editorRoleValues"] == ["developers"]


def test_groups_of_identity_center_get_their_roles(planned: Planned, at: Places) -> None:
    found = made(planned, site_of(at, SSO))
    (workspace,) = of(found, WORKSPACE).values()
    assert workspace.inputs["authenticationProviders"] == ["AWS_SSO"]
    (admins,) = of(found, "grafana/roleAssociation:RoleAssociation").values()
    assert (admins.inputs["role"], admins.inputs["groupIds"]) == ("ADMIN", ["group-1"])
    assert not of(found, "grafana/workspaceSamlConfiguration:WorkspaceSamlConfiguration")
