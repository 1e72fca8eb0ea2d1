"""What hosts may do: a role and an instance profile for each kind of host, with exactly what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.cloud.site import Tier
from infra.cloud.tiers.policy import Statement, allow, document, trust

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.cloud.site import Site

METRICS_NAMESPACE = "Simplicity"
# Which secrets a role's processes and exporters use; whoever takes over one kind of host gets these and no other.
READS: Mapping[str, tuple[str, ...]] = {
    "api": ("database_reader_password", "cache_password", "auth_pepper", "node_rpc_password"),
    "sync": ("database_writer_password", "cache_password", "node_rpc_password"),
    "node": ("node_rpc_password",),
    # The cache has one password in the cloud, which would let its exporter do everything: CloudWatch has its figures.
    "monitoring": ("database_monitoring_password", "operations_token"),
    "patroni": (
        "database_superuser_password",
        "database_replication_password",
        "database_rewind_password",
        "database_writer_password",
        "database_reader_password",
        "database_backup_password",
        "database_monitoring_password",
        "database_pooler_password",
        "backup_cipher",
    ),
}


@dataclass(frozen=True, kw_only=True)
class AccessArgs:
    """`secrets` are ARNs by name, the others ARNs of the secrets' key, of the backups' bucket and of its key."""

    site: Site
    secrets: Mapping[str, pulumi.Input[str]]
    secrets_key: pulumi.Input[str]
    backups: pulumi.Input[str]
    backups_key: pulumi.Input[str]


class Access(Tier):
    """`profiles` are the names of instance profiles, `roles` those of roles, both by the role of a host."""

    def __init__(self, name: str, args: AccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.profiles: dict[str, pulumi.Output[str]] = {}
        self.roles: dict[str, pulumi.Output[str]] = {}
        for role in roles(args.site):
            self._role(role, args)
        self.register_outputs({"profiles": self.profiles, "roles": self.roles})

    def _role(self, role: str, args: AccessArgs) -> None:
        site = args.site
        made = aws.iam.Role(
            role,
            name=site.name(role),
            description=f"What {role} hosts of {site.settings.environment} may do",
            assume_role_policy=trust("ec2.amazonaws.com"),
            permissions_boundary=site.boundary,
            tags=site.tags(role),
            opts=self.child(),
        )
        aws.iam.RolePolicy(
            role, name=site.name(role), role=made.name, policy=document(_statements(role, args)), opts=self.child()
        )
        profile = aws.iam.InstanceProfile(
            role, name=site.name(role), role=made.name, tags=site.tags(role), opts=self.child()
        )
        self.roles[role], self.profiles[role] = made.name, profile.name


def roles(site: Site) -> tuple[str, ...]:
    """Return the roles that there are hosts of."""
    there = {
        "api": True,
        "sync": True,
        "node": site.settings.node.kind == "host",
        "monitoring": True,
        "patroni": site.settings.database.kind == "patroni",
    }
    return tuple(role for role, used in there.items() if used)


def _statements(role: str, args: AccessArgs) -> list[Statement]:
    site = args.site
    made = [*_session(site), *_secrets(role, args)]
    if role == "sync":
        # A metric has no ARN; its namespace is what can be named.
        only_ours = {"StringEquals": {"cloudwatch:namespace": METRICS_NAMESPACE}}
        made.append(allow(["cloudwatch:PutMetricData"], ["*"], only_ours))
    if role == "monitoring":
        # How Prometheus finds its targets; what describes hosts cannot be narrowed to some of them.
        here = {"StringEquals": {"aws:RequestedRegion": site.region}}
        made.append(allow(["ec2:DescribeInstances", "ec2:DescribeAvailabilityZones"], ["*"], here))
    if role == "patroni":
        made += _backups(args)
    return made


def _session(site: Site) -> list[Statement]:
    """Sessions instead of an open port of SSH. AWS's own policy for it would also let a host read every parameter."""
    channels = ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")
    return [
        allow(["ssm:UpdateInstanceInformation"], [site.arn("ec2", "instance/*")]),
        # Channels are made by the agent and have no ARN.
        allow([f"ssmmessages:{each}" for each in channels], ["*"]),
    ]


def _secrets(role: str, args: AccessArgs) -> list[Statement]:
    through = {"StringEquals": {"kms:ViaService": f"secretsmanager.{args.site.region}.amazonaws.com"}}
    return [
        allow(["secretsmanager:GetSecretValue"], [args.secrets[each] for each in READS[role]]),
        allow(["kms:Decrypt"], [args.secrets_key], through),
    ]


def _backups(args: AccessArgs) -> list[Statement]:
    """Write and expire backups. The lock keeps every version that is deleted here."""
    through = {"StringEquals": {"kms:ViaService": f"s3.{args.site.region}.amazonaws.com"}}
    return [
        allow(["s3:ListBucket", "s3:GetBucketLocation"], [args.backups]),
        allow(
            ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            [pulumi.Output.concat(args.backups, "/*")],
        ),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [args.backups_key], through),
    ]
