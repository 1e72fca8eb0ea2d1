"""The policies of the pipelines' roles, as statements, and the boundary of every role that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.tiers.policy import Statement, allow
from infra.cloud.tiers.rights import MAKES, SERVICES, arns, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from infra.cloud.site import Site

PLAN, UP, BOUNDARY = "plan", "up", "boundary"
# By policy, since one holds 6,144 characters: the services whose things the role `up` changes.
CHANGES: Mapping[str, tuple[str, ...]] = {
    "up-network": ("ec2",),
    "up-data": ("backup", "backup-storage", "elasticache", "rds", "s3"),
    "up-keys": ("aps", "grafana", "kms", "secretsmanager"),
    "up-front": ("acm", "application-autoscaling", "autoscaling", "elasticloadbalancing", "route53", "wafv2"),
    "up-watch": ("budgets", "cloudtrail", "cloudwatch", "logs", "sns"),
}
_READ_ROLES = (
    "GetInstanceProfile GetOpenIDConnectProvider GetPolicy GetPolicyVersion GetRole GetRolePolicy"
    " ListAttachedRolePolicies ListInstanceProfilesForRole ListPolicyVersions ListRolePolicies ListRoleTags"
)
# Of a role that has the boundary, and of no other.
_BOUNDED = "AttachRolePolicy CreateRole DeleteRolePolicy DetachRolePolicy PutRolePermissionsBoundary PutRolePolicy"
_ROLES = "DeleteRole TagRole UntagRole UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription"
_PROFILES = (
    "AddRoleToInstanceProfile CreateInstanceProfile DeleteInstanceProfile RemoveRoleFromInstanceProfile"
    " TagInstanceProfile UntagInstanceProfile"
)
# Whom roles are handed to, and for whom AWS makes one of its own with the first thing of a kind.
_PASSED = ("cloudtrail", "ec2", "grafana", "monitoring.rds", "s3", "vpc-flow-logs", "backup")
_LINKED = (
    "autoscaling",
    "backup",
    "elasticache",
    "elasticloadbalancing",
    "rds",
    "rds.application-autoscaling",
    "wafv2",
)
# What hosts and services of a stack may at most do, by what it is done to.
_NAMELESS = "cloudwatch:PutMetricData ec2:DescribeAvailabilityZones ec2:DescribeInstances tag:GetResources"
_CHANNELS = "CreateControlChannel CreateDataChannel OpenControlChannel OpenDataChannel"
_OBJECTS = (
    "AbortMultipartUpload DeleteObject GetBucketLocation GetObject GetObjectLegalHold GetObjectRetention"
    " GetObjectTagging GetObjectVersionAcl GetObjectVersionForReplication GetObjectVersionTagging"
    " GetReplicationConfiguration ListBucket ListMultipartUploadParts PutObject PutObjectTagging ReplicateObject"
    " ReplicateTags"
)
_KEYS = (
    "CreateGrant Decrypt DescribeKey Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext ReEncryptFrom ReEncryptTo"
)
_LOGS = (
    "CreateLogGroup CreateLogStream DescribeLogGroups DescribeLogStreams GetLogEvents PutLogEvents PutRetentionPolicy"
)
# As AWS' own policy for its service of backups has them, of databases.
_SNAPSHOTS = (
    "AddTagsToResource CopyDBClusterSnapshot CopyDBSnapshot CreateDBClusterSnapshot CreateDBSnapshot"
    " DeleteDBClusterSnapshot DeleteDBSnapshot DescribeDBClusterAutomatedBackups DescribeDBClusterSnapshots"
    " DescribeDBClusters DescribeDBInstanceAutomatedBackups DescribeDBInstances DescribeDBSnapshots"
    " ListTagsForResource ModifyDBCluster ModifyDBInstance"
)
_VAULTS = "CopyFromBackupVault CopyIntoBackupVault DescribeBackupVault"
_STORE = "GetLabels GetMetricMetadata GetSeries QueryMetrics RemoteWrite"


def regions(site: Site) -> list[str]:
    """Return where a stack has anything: its own region, that of its copies, and that of what has none."""
    return sorted({site.region, site.settings.backups.replica_region, "us-east-1"})


def looks(site: Site) -> list[Statement]:
    """Return what shows how a stack is, and changes nothing: no object, no secret's value, no row."""
    reads = [each for service, of in SERVICES.items() for each in named(service, of.reads)]
    lists = [each for service, of in SERVICES.items() for each in named(service, of.lists)]
    # Of the account's, since a plan has to find what somebody made by hand; of buckets and secrets, the stack's own.
    own = ("s3", "secretsmanager")
    where = [each for service in own for each in arns(site, service, SERVICES[service].named)]
    where += [
        f"arn:aws:{service}:*:{site.account}:*"
        for service, of in SERVICES.items()
        if of.reads and service not in (*own, "route53")
    ]
    kinds = ("instance-profile", "oidc-provider", "policy", "role")
    roles = [*(f"arn:aws:iam::{site.account}:{each}/*" for each in kinds), "arn:aws:iam::aws:policy/*"]
    return [
        _within(site, allow(reads, [*where, "arn:aws:route53:::*"])),
        _within(site, allow(lists, ["*"])),
        allow(list(named("iam", _READ_ROLES)), roles),
    ]


def changes(site: Site, part: str) -> list[Statement]:
    """Return what changes the things of a stack, of one policy of CHANGES."""
    made = [each for service in CHANGES[part] for each in _changes(site, service)]
    more = {"ec2": _hosts, "route53": _records}
    return [*made, *(each for service in CHANGES[part] if service in more for each in more[service](site))]


def _changes(site: Site, service: str) -> Iterator[Statement]:
    of = SERVICES[service]
    anywhere = list(arns(site, service, of.anywhere))
    if of.writes:
        yield _within(site, allow(list(named(service, of.writes)), list(arns(site, service, of.named))))
    if of.tagged:
        yield _within(site, allow(list(named(service, of.tagged)), anywhere), _tag(site, "Resource"))
    if of.makes:
        yield _within(site, allow(list(named(service, of.makes)), anywhere), _tag(site, "Request"))
    if of.makes_nameless:
        told = _tag(site, "Request") if of.can_tell else {}
        yield _within(site, allow(list(named(service, of.makes_nameless)), ["*"]), told)


def _hosts(site: Site) -> Iterator[Statement]:
    """Give tags only to what is made at this moment; start hosts of any image, with parts that are not tagged yet."""
    at_once: dict[str, str | list[str]] = {**_tag(site, "Request"), "ec2:CreateAction": MAKES.split()}
    yield _within(site, allow(["ec2:CreateTags"], [f"arn:aws:ec2:*:{site.account}:*"]), at_once)
    parts = [f"arn:aws:ec2:*:{site.account}:{each}/*" for each in ("network-interface", "volume")]
    yield _within(site, allow(["ec2:RunInstances"], ["arn:aws:ec2:*::image/*", *parts]))


def _records(site: Site) -> Iterator[Statement]:
    """Change records of the stack's domain alone, whoever else's the zone is."""
    names = site.settings.names
    zone = f"arn:aws:route53:::hostedzone/{names.zone_id or '*'}"
    own = {"route53:ChangeResourceRecordSetsNormalizedRecordNames": [names.domain, f"*.{names.domain}"]}
    within = _within(site, allow(["route53:ChangeResourceRecordSets"], [zone]))
    yield {**within, "Condition": {**within["Condition"], "ForAllValues:StringLike": own}}


def identities(site: Site, boundary: str) -> list[Statement]:
    """Return what makes the stack's roles: each within the boundary, and never those of the pipelines themselves."""
    roles = f"arn:aws:iam::{site.account}:role/{site.prefix}-*"
    ours = [f"arn:aws:iam::{site.account}:role/{site.name(each)}" for each in (PLAN, UP)]
    linked = f"arn:aws:iam::{site.account}:role/aws-service-role/*"
    profiles = f"arn:aws:iam::{site.account}:instance-profile/{site.prefix}-*"

    def services(names: Sequence[str]) -> list[str]:
        return [f"{each}.amazonaws.com" for each in names]

    return [
        _when(allow(list(named("iam", _BOUNDED)), [roles]), {"iam:PermissionsBoundary": boundary}),
        allow(list(named("iam", _ROLES)), [roles]),
        allow(list(named("iam", _PROFILES)), [profiles]),
        _when(allow(["iam:PassRole"], [roles]), {"iam:PassedToService": services(_PASSED)}),
        _when(allow(["iam:CreateServiceLinkedRole"], [linked]), {"iam:AWSServiceName": services(_LINKED)}),
        # Who may change what a role may do must not be that role. A person changes these.
        {"Effect": "Deny", "Action": list(named("iam", f"{_BOUNDED} {_ROLES} PassRole")), "Resource": ours},
    ]


def state(site: Site, *, writes: bool) -> list[Statement]:
    """Return what reaches a stack's state in its bucket, and no other stack's, and opens its secrets."""
    of, name = site.settings.pipelines, site.settings.environment
    bucket = f"arn:aws:s3:::{of.state}"
    # A stack's file, and its history, backups and locks.
    own = [f"{bucket}/.pulumi/*/simplicity/{name}{each}" for each in (".*", "/*")]
    calls = ["s3:GetObject", *(["s3:DeleteObject", "s3:PutObject"] if writes else [])]
    keys = ["kms:Decrypt", *(["kms:Encrypt", "kms:GenerateDataKey"] if writes else [])]
    return [
        allow(["s3:ListBucket", "s3:GetBucketLocation"], [bucket]),
        allow(["s3:GetObject"], [f"{bucket}/.pulumi/meta.yaml"]),
        allow(calls, own),
        allow(keys, [str(of.state_key)]),
    ]


def bounds(site: Site) -> list[Statement]:
    """Return what any role of a stack may at most do, whatever else is written into it: nothing to roles, above all."""
    account = f"arn:aws:{{}}:*:{site.account}:{{}}"
    channels = named("ssmmessages", _CHANNELS)
    return [
        allow([*_NAMELESS.split(), *channels], ["*"]),
        allow(["ssm:UpdateInstanceInformation"], [account.format("ec2", "instance/*")]),
        allow(list(named("s3", _OBJECTS)), [f"arn:aws:s3:::{site.prefix}-*"]),
        allow(
            ["secretsmanager:GetSecretValue"],
            [account.format("secretsmanager", f"secret:simplicity/{site.settings.environment}/*")],
        ),
        _when(allow(list(named("kms", _KEYS)), [account.format("kms", "key/*")]), _tag(site, "Resource")),
        allow(list(named("logs", _LOGS)), [account.format("logs", "*")]),
        allow(list(named("aps", _STORE)), [account.format("aps", "workspace/*")]),
        allow(list(named("rds", _SNAPSHOTS)), [account.format("rds", "*")]),
        # A copy is asked for of the snapshot, which is RDS'.
        allow(
            list(named("backup", _VAULTS)),
            [account.format("backup", f"backup-vault:{site.prefix}-*"), account.format("rds", "*")],
        ),
    ]


def _tag(site: Site, whose: str) -> dict[str, str]:
    return {f"aws:{whose}Tag/environment": site.settings.environment}


def _within(site: Site, statement: Statement, equals: Mapping[str, str | list[str]] | None = None) -> Statement:
    """Hold a statement to the stack's regions, and to what else has to be so."""
    return _when(statement, {"aws:RequestedRegion": regions(site), **(equals or {})})


def _when(statement: Statement, equals: Mapping[str, str | list[str]]) -> Statement:
    return {**statement, "Condition": {"StringEquals": dict(equals)}}
