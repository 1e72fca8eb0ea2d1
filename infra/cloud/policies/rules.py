"""The rules: each is a pure function from a resource's type and inputs to what is wrong with it.

Inputs are as the wire has them, in camelCase: mappings, lists, text, numbers. A value that is not known before it is
created, `LATER` or the wire's own word for it, is taken to be right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.cloud.policies.nameless import NAMELESS
from infra.cloud.policies.values import (
    Props,
    at,
    each_of,
    is_,
    is_below,
    is_later,
    is_on,
    is_production,
    many,
    statements,
    tags_are_known,
    tags_of,
)
from infra.cloud.policies.vaults import PLAN, VAULT, plan_faults, vault_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

REQUIRED_TAGS = ("project", "environment", "owner", "cost-center")
# Arm's: about a fifth cheaper for the same work, and one image fits all; what is old or oversized is a mistake.
FAMILIES = frozenset({"c7g", "c8g", "m7g", "m8g", "r7g", "r8g", "t4g", "x2g"})
# In production, and elsewhere: long enough for an incident that is found after a week-end.
LOG_DAYS, BACKUP_DAYS = {True: 30, False: 7}, {True: 7, False: 1}
WINDOW_DAYS, HOPS = 7, 1
# A bucket's tag `contents` where nothing stays.
PASSING = "passing"
_VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
_EVERYONE = frozenset({"0.0.0.0/0", "::/0"})
_PUBLIC_PORTS = frozenset({80, 443})
# Rules outside of the group that they are of.
_RULES_ALONE = frozenset(
    {"aws:ec2/securityGroupRule:SecurityGroupRule", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"}
)
# What must be true, or set, of each type: the property's path, and what it does.
_ENCRYPTED: Mapping[str, tuple[str, ...]] = {
    "aws:rds/cluster:Cluster": ("storageEncrypted", "kmsKeyId"),
    "aws:rds/instance:Instance": ("storageEncrypted", "kmsKeyId"),
    "aws:ebs/volume:Volume": ("encrypted", "kmsKeyId"),
    "aws:ec2/instance:Instance": ("rootBlockDevice.encrypted", "rootBlockDevice.kmsKeyId"),
    "aws:elasticache/replicationGroup:ReplicationGroup": (
        "atRestEncryptionEnabled",
        "transitEncryptionEnabled",
        "kmsKeyId",
    ),
    "aws:sns/topic:Topic": ("kmsMasterKeyId",),
    "aws:cloudwatch/logGroup:LogGroup": ("kmsKeyId",),
    "aws:secretsmanager/secret:Secret": ("kmsKeyId",),
    VAULT: ("kmsKeyArn",),
    "aws:cloudtrail/trail:Trail": ("kmsKeyId",),
    "aws:grafana/workspace:Workspace": ("kmsKeyId",),
}
_TAGGED = frozenset(
    {
        "aws:ec2/vpc:Vpc",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/launchTemplate:LaunchTemplate",
        "aws:ec2/instance:Instance",
        "aws:ec2/natGateway:NatGateway",
        "aws:ec2/eip:Eip",
        "aws:ebs/volume:Volume",
        "aws:kms/key:Key",
        "aws:secretsmanager/secret:Secret",
        "aws:rds/cluster:Cluster",
        "aws:rds/clusterInstance:ClusterInstance",
        "aws:rds/instance:Instance",
        "aws:elasticache/replicationGroup:ReplicationGroup",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:lb/targetGroup:TargetGroup",
        "aws:wafv2/webAcl:WebAcl",
        "aws:s3/bucket:Bucket",
        "aws:iam/role:Role",
        "aws:iam/policy:Policy",
        "aws:cloudtrail/trail:Trail",
        "aws:grafana/workspace:Workspace",
        "aws:sns/topic:Topic",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:autoscaling/group:Group",
        VAULT,
        PLAN,
    }
)
# In a key's own policy the only resource is the key; an endpoint's policy only narrows what others allow.
_NARROW = frozenset({"aws:kms/key:Key", "aws:ec2/vpcEndpoint:VpcEndpoint"})


@dataclass(frozen=True)
class Rule:
    """A rule: its name, why it is there, and what finds a resource's faults."""

    name: str
    reason: str
    faults: Callable[[str, Props], Iterable[str]]


def encryption(kind: str, inputs: Props) -> Iterator[str]:
    """Ask that what lies on a disk is encrypted by a key of ours."""
    for path in _ENCRYPTED.get(kind, ()):
        if not at(inputs, path):
            yield f"{path} has to be set"
    for device in each_of(inputs, "blockDeviceMappings") if kind == "aws:ec2/launchTemplate:LaunchTemplate" else ():
        if not at(device, "ebs.encrypted") or not at(device, "ebs.kmsKeyId"):
            yield f"the volume {device.get('deviceName')} has to be encrypted by a key of ours"


def exposure(kind: str, inputs: Props) -> Iterator[str]:
    """Ask that only the balancer is open to everyone, on its two ports."""
    for path in ("publiclyAccessible", "associatePublicIpAddress", "mapPublicIpOnLaunch"):
        if is_on(inputs, path):
            yield f"{path} has to be off"
    if kind == "aws:ec2/securityGroup:SecurityGroup":
        yield from _open_ports(inputs)
    if kind in _RULES_ALONE:
        yield from _open_rule(inputs)
    if kind == "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock":
        for path in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
            if not inputs.get(path):
                yield f"{path} has to be on"
    for each in each_of(inputs, "networkInterfaces"):
        if str(each.get("associatePublicIpAddress", "")).lower() == "true":
            yield "hosts must not get a public address"


def _open_ports(group: Props) -> Iterator[str]:
    name = group.get("name", "")
    balancer = is_later(name) or str(name).endswith("-balancer")
    for rule in each_of(group, "ingress"):
        everyone = _EVERYONE & {*many(rule.get("cidrBlocks")), *many(rule.get("ipv6CidrBlocks"))}
        ports = {port for port in (rule.get("fromPort"), rule.get("toPort")) if not is_later(port)}
        if everyone and not (balancer and ports <= _PUBLIC_PORTS):
            yield f"ports {rule.get('fromPort')} to {rule.get('toPort')} are open to everyone"


def _open_rule(rule: Props) -> Iterator[str]:
    """Refuse whatever is open to everyone: it does not say whose it is, and the balancer's rules stand in its group."""
    sources = {*many(rule.get("cidrBlocks")), *many(rule.get("ipv6CidrBlocks"))}
    sources |= {*many(rule.get("cidrIpv4")), *many(rule.get("cidrIpv6"))}
    if rule.get("type", "ingress") == "ingress" and _EVERYONE & sources:
        yield f"ports {rule.get('fromPort')} to {rule.get('toPort')} are open to everyone"


def tags(kind: str, inputs: Props) -> Iterator[str]:
    """Ask who pays for it and what it belongs to."""
    missing = [name for name in REQUIRED_TAGS if not tags_of(inputs).get(name)]
    if kind in _TAGGED and missing and tags_are_known(inputs):
        yield f"lacks the tags {', '.join(missing)}"


def deletion(kind: str, inputs: Props) -> Iterator[str]:
    """Ask that what holds data, or what clients reach, is not deleted by a slip."""
    if is_production(inputs):
        if kind in {"aws:rds/cluster:Cluster", "aws:rds/instance:Instance"} and not inputs.get("deletionProtection"):
            yield "deletionProtection has to be on"
        if kind == "aws:lb/loadBalancer:LoadBalancer" and not inputs.get("enableDeletionProtection"):
            yield "enableDeletionProtection has to be on"
        if is_on(inputs, "forceDestroy"):
            yield "forceDestroy has to be off"
    # A secret of what is made and taken down often gives its name free at once; what clients use waits for a mistake.
    days = inputs.get("recoveryWindowInDays") if is_production(inputs) else None
    if kind == "aws:kms/key:Key":
        days = inputs.get("deletionWindowInDays")
    if isinstance(days, int) and days < WINDOW_DAYS:
        yield f"has to be recoverable for at least {WINDOW_DAYS} days"


def backups(kind: str, inputs: Props) -> Iterator[str]:
    """Ask that a database can be brought back, and a bucket's object as it was before."""
    if kind in {"aws:rds/cluster:Cluster", "aws:rds/instance:Instance"}:
        least = BACKUP_DAYS[is_production(inputs)]
        replica = "replicateSourceDb" in inputs  # backed up by its source
        if not replica and is_below(inputs, "backupRetentionPeriod", least):
            yield f"backupRetentionPeriod has to be at least {least}"
        if is_on(inputs, "skipFinalSnapshot") and is_production(inputs) and not replica:
            yield "skipFinalSnapshot has to be off"
    if kind == _VERSIONING and not is_(at(inputs, "versioningConfiguration.status"), "Enabled"):
        yield "versioning has to be on"
    yield from plan_faults(kind, inputs)


def metadata(kind: str, inputs: Props) -> Iterator[str]:
    """Ask that a host's credentials are had by IMDSv2 alone, from the host itself."""
    if kind in {"aws:ec2/instance:Instance", "aws:ec2/launchTemplate:LaunchTemplate"}:
        if not is_(at(inputs, "metadataOptions.httpTokens"), "required"):
            yield "metadataOptions.httpTokens has to be required (IMDSv2)"
        if not is_(at(inputs, "metadataOptions.httpPutResponseHopLimit"), HOPS):
            yield "metadataOptions.httpPutResponseHopLimit has to be 1"


def wildcards(kind: str, inputs: Props) -> Iterator[str]:
    """Ask that nobody may do everything, nor anything to everything that has a name."""
    for name in ("policy", "assumeRolePolicy"):
        for statement in statements(inputs.get(name)):
            if statement.get("Effect") == "Allow":
                for fault in _allowed(kind, statement):
                    yield f"{name} allows {fault}"


def _allowed(kind: str, statement: Props) -> Iterator[str]:
    actions, resources = many(statement.get("Action")), many(statement.get("Resource"))
    for action in actions:
        # An account's own rights to its key are all there are: without them nobody may change it any more.
        if "*" in action and not (kind == "aws:kms/key:Key" and action == "kms:*"):
            yield action
    # What is left out grows with each new service of AWS's.
    yield from (
        f"all but what {word} names" for word in ("NotAction", "NotResource", "NotPrincipal") if word in statement
    )
    nameless = all(action.startswith(NAMELESS) for action in actions)
    if "*" in resources and not nameless and kind not in _NARROW:
        yield f"{', '.join(actions)} on everything"
    principal = statement.get("Principal")
    everyone = "*" in many(principal.get("AWS") if isinstance(principal, dict) else principal)
    if everyone and not statement.get("Condition") and kind not in _NARROW:
        yield "everyone"


def families(kind: str, inputs: Props) -> Iterator[str]:
    """Ask for families that images and prices were looked at for."""
    del kind
    for path in ("instanceType", "instanceClass", "nodeType"):
        value = inputs.get(path)
        if isinstance(value, str) and "." in value and value != "db.serverless":
            family = value.removeprefix("db.").removeprefix("cache.").partition(".")[0]
            if family not in FAMILIES:
                yield f"{path} {value} is of a family that is not allowed: {', '.join(sorted(FAMILIES))}"


def retention(kind: str, inputs: Props) -> Iterator[str]:
    """Ask that logs are kept long enough to look into an incident, and not for ever."""
    if kind == "aws:cloudwatch/logGroup:LogGroup":
        days, least = inputs.get("retentionInDays"), LOG_DAYS[is_production(inputs)]
        if not days:
            yield "retentionInDays has to be set: without it logs are kept, and paid, for ever"
        elif isinstance(days, int) and days < least:
            yield f"retentionInDays has to be at least {least}"


RULES = (
    Rule("encryption", "what lies on a disk is encrypted by a key of ours", encryption),
    Rule("public-exposure", "only the balancer is open to everyone", exposure),
    Rule("tags", "who pays for it can be told", tags),
    Rule("deletion-protection", "what holds data is not deleted by a slip", deletion),
    Rule("backups", "what is lost can be brought back", backups),
    Rule("imdsv2", "a host's credentials are had by IMDSv2 alone", metadata),
    Rule("iam-wildcards", "nobody may do everything", wildcards),
    Rule("instance-families", "only families that were looked at", families),
    Rule("log-retention", "logs are kept long enough, and not for ever", retention),
)


def faults(kind: str, inputs: Props) -> list[str]:
    """Return what every rule finds, each with the rule's name."""
    return [f"{rule.name}: {fault}" for rule in RULES for fault in rule.faults(kind, inputs)]


def stack_faults(resources: Iterable[tuple[str, Props]]) -> list[str]:
    """Return what is missing beside others: each bucket is closed, versioned, encrypted and tidied up.

    In production each vault is locked, and each database that AWS runs has a plan of backups.
    One that says by its tag `contents` that all only passes through it needs no versions.
    """
    resources = list(resources)
    of_buckets = [inputs for kind, inputs in resources if kind == "aws:s3/bucket:Bucket"]
    passing = sum(tags_of(each).get("contents") == PASSING for each in of_buckets)
    found = []
    for needed, what in (
        ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "blocks public access"),
        (
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "says how it is encrypted",
        ),
        (_VERSIONING, "keeps what was there before"),
        ("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "says when its objects go"),
    ):
        having = sum(kind == needed for kind, _ in resources)
        buckets = len(of_buckets) - (passing if needed == _VERSIONING else 0)
        if having < buckets:
            found.append(f"buckets: of {buckets} only {having} have a resource that {what}")
    return found + vault_faults(resources)
