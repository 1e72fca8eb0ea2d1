"""Amazon's Grafana before Amazon's store: dashboards without a host, and people who sign in by their own identity."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.cloud.site import Site, Tier
from infra.cloud.tiers.policy import allow, document

if TYPE_CHECKING:
    from infra.cloud.choices import GrafanaSettings

PART, VERSION = "grafana", "10.4"
# What a dashboard asks of the store: questions, and nothing that writes.
ASKS = ("QueryMetrics", "GetSeries", "GetLabels", "GetMetricMetadata")
_PROVIDERS = {"saml": "SAML", "sso": "AWS_SSO"}
# A plugin is somebody's code beside our data; alerts are Prometheus' and Alertmanager's alone.
_CONFIGURATION = {"plugins": {"pluginAdminEnabled": False}, "unifiedAlerting": {"enabled": False}}


@dataclass(frozen=True, kw_only=True)
class GrafanaArgs:
    """`store` is the ARN of the workspace of Managed Prometheus that it asks, `key` the ARN of the data's key."""

    site: Site
    store: pulumi.Input[str]
    key: pulumi.Input[str]


class Grafana(Tier):
    """`url` is where people go. Everyone can reach it, and only who signs in sees anything: as AWS offers it."""

    def __init__(self, name: str, args: GrafanaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site, settings = args.site, args.site.settings.grafana
        workspace = aws.grafana.Workspace(
            PART,
            name=site.name(PART),
            description=f"Dashboards of {site.settings.environment}",
            account_access_type="CURRENT_ACCOUNT",
            authentication_providers=[_PROVIDERS[settings.sign_in]],
            # A role of ours: one that AWS makes could ask every store of the account.
            permission_type="CUSTOMER_MANAGED",
            role_arn=self._role(args),
            data_sources=["PROMETHEUS"],
            configuration=json.dumps(_CONFIGURATION),
            grafana_version=VERSION,
            kms_key_id=args.key,
            tags=site.tags(PART),
            opts=self.child(protect=site.settings.database.protect),
        )
        if settings.sign_in == "saml":
            self._saml(workspace, settings)
        else:
            self._sso(workspace, settings)
        self.url = pulumi.Output.concat("https://", workspace.endpoint)
        self.register_outputs({"url": self.url})

    def _role(self, args: GrafanaArgs) -> pulumi.Output[str]:
        site = args.site
        own = {
            "StringEquals": {"aws:SourceAccount": site.account},
            "ArnLike": {"aws:SourceArn": site.arn("grafana", "/workspaces/*")},
        }
        trusted = {
            "Effect": "Allow",
            "Principal": {"Service": "grafana.amazonaws.com"},
            "Action": ["sts:AssumeRole"],
            "Condition": own,
        }
        role = aws.iam.Role(
            PART,
            name=site.name(PART),
            description="Grafana asks the metrics of this stack",
            assume_role_policy=document([trusted]),
            permissions_boundary=site.boundary,
            tags=site.tags(PART),
            opts=self.child(),
        )
        asks = allow([f"aps:{each}" for each in ASKS], [args.store])
        aws.iam.RolePolicy(PART, name=site.name(PART), role=role.name, policy=document([asks]), opts=self.child())
        return role.arn

    def _saml(self, workspace: aws.grafana.Workspace, settings: GrafanaSettings) -> None:
        aws.grafana.WorkspaceSamlConfiguration(
            PART,
            workspace_id=workspace.id,
            idp_metadata_url=settings.metadata_url,
            # Whoever has another value there, or none, only looks.
            role_assertion=settings.role_attribute,
            admin_role_values=list(settings.admins),
            editor_role_values=list(settings.editors),
            opts=self.child(),
        )

    def _sso(self, workspace: aws.grafana.Workspace, settings: GrafanaSettings) -> None:
        for role, groups in (("ADMIN", settings.admins), ("EDITOR", settings.editors)):
            if groups:
                aws.grafana.RoleAssociation(
                    f"{PART}-{role.lower()}",
                    workspace_id=workspace.id,
                    role=role,
                    group_ids=list(groups),
                    opts=self.child(),
                )
