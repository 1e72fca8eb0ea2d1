"""Each rule refuses what it is there to refuse, and takes what is right."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from infra.cloud.policies.pack import plain, resource_policy, stack_policy
from infra.cloud.policies.rules import RULES, faults, stack_faults
from infra.cloud.policies.values import LATER
from infra.cloud.policies.vaults import LOCK, PLAN, SELECTION, VAULT
from infra.cloud.rehearsal.values import UNKNOWN

TAGS = {"project": "simplicity", "environment": "production", "owner": "platform", "cost-center": "indexer"}
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
IMDS = {"httpTokens": "required", "httpPutResponseHopLimit": 1}
CLUSTER = {
    "storageEncrypted": True,
    "kmsKeyId": KEY,
    "deletionProtection": True,
    "backupRetentionPeriod": 35,
    "skipFinalSnapshot": False,
    "tags": TAGS,
}
TEMPLATE = {
    "instanceType": "c7g.large",
    "metadataOptions": IMDS,
    "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"encrypted": "true", "kmsKeyId": KEY}}],
    "tags": TAGS,
}
GROUP = {"name": "simplicity-production-api", "tags": TAGS}
LOGS = {"kmsKeyId": KEY, "retentionInDays": 90, "tags": TAGS}
HOST = {
    "instanceType": "c7g.large",
    "metadataOptions": IMDS,
    "rootBlockDevice": {"encrypted": True, "kmsKeyId": KEY},
    "tags": TAGS,
}
SECRET, RULE, INGRESS, VERSIONING = (
    "aws:secretsmanager/secret:Secret",
    "aws:ec2/securityGroupRule:SecurityGroupRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "aws:s3/bucketVersioning:BucketVersioning",
)
BLOCKED = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)


def allow(**statement: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"policy": json.dumps({"Statement": {"Effect": "Allow", **statement}})}


def plan(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    kept = {"deleteAfter": 7}
    rule = {"ruleName": "daily", "lifecycle": kept, "copyActions": [{"lifecycle": kept}]}
    return {"rules": [{**rule, **changes}], "tags": TAGS}


def opened(port: int, name: str = "simplicity-production-api") -> dict[str, Any]:
    return {**GROUP, "name": name, "ingress": [{"cidrBlocks": ["0.0.0.0/0"], "fromPort": port, "toPort": port}]}


@pytest.mark.parametrize(
    ("rule", "kind", "inputs"),
    [
        ("encryption", "aws:rds/cluster:Cluster", CLUSTER | {"storageEncrypted": False}),
        ("encryption", "aws:rds/cluster:Cluster", CLUSTER | {"kmsKeyId": None}),
        ("encryption", "aws:ebs/volume:Volume", {"encrypted": False, "kmsKeyId": KEY, "tags": TAGS}),
        ("encryption", "aws:ec2/launchTemplate:LaunchTemplate", TEMPLATE | {"blockDeviceMappings": [{"ebs": {}}]}),
        ("encryption", "aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 90, "tags": TAGS}),
        ("public-exposure", "aws:ec2/securityGroup:SecurityGroup", opened(22)),
        ("public-exposure", "aws:ec2/securityGroup:SecurityGroup", opened(443)),
        ("public-exposure", "aws:ec2/securityGroup:SecurityGroup", opened(5432, "simplicity-production-balancer")),
        ("public-exposure", "aws:rds/instance:Instance", CLUSTER | {"publiclyAccessible": True}),
        ("public-exposure", "aws:ec2/subnet:Subnet", {"mapPublicIpOnLaunch": True, "tags": TAGS}),
        (
            "public-exposure",
            "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
            BLOCKED | {"blockPublicAcls": False},
        ),
        (
            "public-exposure",
            "aws:ec2/launchTemplate:LaunchTemplate",
            TEMPLATE | {"networkInterfaces": [{"associatePublicIpAddress": "true"}]},
        ),
        ("tags", "aws:ec2/vpc:Vpc", {"tags": TAGS | {"owner": ""}}),
        ("tags", "aws:kms/key:Key", {}),
        ("deletion-protection", "aws:rds/cluster:Cluster", CLUSTER | {"deletionProtection": False}),
        ("deletion-protection", "aws:lb/loadBalancer:LoadBalancer", {"tags": TAGS}),
        ("deletion-protection", "aws:s3/bucket:Bucket", {"forceDestroy": True, "tags": TAGS}),
        ("deletion-protection", "aws:kms/key:Key", {"deletionWindowInDays": 1, "tags": TAGS}),
        ("deletion-protection", SECRET, {"kmsKeyId": KEY, "recoveryWindowInDays": 0, "tags": TAGS}),
        ("public-exposure", RULE, {"type": "ingress", "cidrBlocks": ["0.0.0.0/0"], "fromPort": 22, "toPort": 22}),
        ("public-exposure", RULE, {"type": "ingress", "ipv6CidrBlocks": ["::/0"], "fromPort": 443, "toPort": 443}),
        ("public-exposure", INGRESS, {"cidrIpv4": "0.0.0.0/0", "ipProtocol": "-1"}),
        ("public-exposure", INGRESS, {"cidrIpv6": "::/0", "ipProtocol": "-1"}),
        ("backups", "aws:rds/cluster:Cluster", CLUSTER | {"backupRetentionPeriod": 1}),
        ("backups", "aws:rds/cluster:Cluster", {k: v for k, v in CLUSTER.items() if k != "backupRetentionPeriod"}),
        ("backups", "aws:rds/cluster:Cluster", CLUSTER | {"skipFinalSnapshot": True}),
        (
            "backups",
            "aws:s3/bucketVersioning:BucketVersioning",
            {"versioningConfiguration": {"status": "Suspended"}},
        ),
        ("imdsv2", "aws:ec2/launchTemplate:LaunchTemplate", TEMPLATE | {"metadataOptions": None}),
        (
            "imdsv2",
            "aws:ec2/launchTemplate:LaunchTemplate",
            TEMPLATE | {"metadataOptions": IMDS | {"httpPutResponseHopLimit": 2}},
        ),
        ("iam-wildcards", "aws:iam/rolePolicy:RolePolicy", allow(Action="*", Resource=KEY)),
        ("iam-wildcards", "aws:iam/rolePolicy:RolePolicy", allow(Action=["s3:*"], Resource="arn:aws:s3:::b/*")),
        ("iam-wildcards", "aws:iam/rolePolicy:RolePolicy", allow(Action=["s3:GetObject"], Resource="*")),
        (
            "iam-wildcards",
            "aws:s3/bucketPolicy:BucketPolicy",
            allow(Action="s3:GetObject", Resource="arn:aws:s3:::b/*", Principal="*"),
        ),
        ("iam-wildcards", "aws:iam/rolePolicy:RolePolicy", allow(Action=["s3:Get*"], Resource="arn:aws:s3:::b/*")),
        ("iam-wildcards", "aws:iam/policy:Policy", {**allow(Action=["kms:Decrypt"], Resource="*"), "tags": TAGS}),
        ("iam-wildcards", "aws:iam/policy:Policy", {**allow(Action=["iam:CreateRole"], Resource="*"), "tags": TAGS}),
        ("encryption", "aws:cloudtrail/trail:Trail", {"tags": TAGS}),
        ("encryption", "aws:grafana/workspace:Workspace", {"tags": TAGS}),
        ("tags", "aws:cloudtrail/trail:Trail", {"kmsKeyId": KEY}),
        ("iam-wildcards", "aws:kms/key:Key", {**allow(Action="kms:Put*", Resource="*"), "tags": TAGS}),
        ("iam-wildcards", "aws:iam/rolePolicy:RolePolicy", allow(NotAction="iam:CreateUser", Resource=KEY)),
        ("iam-wildcards", "aws:iam/rolePolicy:RolePolicy", allow(Action="s3:GetObject", NotResource=KEY)),
        (
            "iam-wildcards",
            "aws:s3/bucketPolicy:BucketPolicy",
            allow(Action="s3:GetObject", Resource="arn:aws:s3:::b/*", Principal={"AWS": ["*"]}),
        ),
        ("instance-families", "aws:ec2/launchTemplate:LaunchTemplate", TEMPLATE | {"instanceType": "p5.48xlarge"}),
        (
            "instance-families",
            "aws:rds/clusterInstance:ClusterInstance",
            {"instanceClass": "db.m3.large", "tags": TAGS},
        ),
        ("encryption", VAULT, {"tags": TAGS}),
        ("tags", VAULT, {"kmsKeyArn": KEY}),
        ("deletion-protection", VAULT, {"kmsKeyArn": KEY, "forceDestroy": True, "tags": TAGS}),
        ("backups", PLAN, plan(lifecycle=None)),
        ("backups", PLAN, plan(copyActions=[])),
        ("backups", PLAN, plan(copyActions=[{"destinationVaultArn": "arn:aws:backup:us-west-2:1:backup-vault:v"}])),
        ("log-retention", "aws:cloudwatch/logGroup:LogGroup", LOGS | {"retentionInDays": None}),
        ("log-retention", "aws:cloudwatch/logGroup:LogGroup", LOGS | {"retentionInDays": 7}),
    ],
)
def test_a_rule_refuses_what_it_is_there_for(rule: str, kind: str, inputs: dict[str, Any]) -> None:
    found = faults(kind, inputs)
    assert {each.split(":")[0] for each in found} == {rule}, found


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("aws:rds/cluster:Cluster", CLUSTER),
        ("aws:rds/cluster:Cluster", CLUSTER | {"kmsKeyId": UNKNOWN, "backupRetentionPeriod": UNKNOWN}),
        ("aws:rds/cluster:Cluster", CLUSTER | {"deletionProtection": False, "tags": TAGS | {"environment": "staging"}}),
        ("aws:ec2/launchTemplate:LaunchTemplate", TEMPLATE),
        ("aws:ec2/securityGroup:SecurityGroup", opened(443, "simplicity-production-balancer")),
        ("aws:cloudwatch/logGroup:LogGroup", LOGS),
        ("aws:iam/rolePolicy:RolePolicy", allow(Action=["cloudwatch:PutMetricData"], Resource="*")),
        (
            "aws:iam/policy:Policy",
            {**allow(Action=["kms:CreateKey", "route53:CreateHostedZone"], Resource="*"), "tags": TAGS},
        ),
        ("aws:iam/rolePolicy:RolePolicy", allow(Action=["s3:GetObject"], Resource="arn:aws:s3:::b/*")),
        ("aws:iam/rolePolicy:RolePolicy", {"policy": UNKNOWN}),
        (
            "aws:s3/bucketPolicy:BucketPolicy",
            {"policy": json.dumps({"Statement": [{"Effect": "Deny", "Action": "*"}]})},
        ),
        ("aws:kms/key:Key", {**allow(Action="kms:*", Resource="*", Principal={"AWS": KEY}), "tags": TAGS}),
        ("aws:rds/clusterInstance:ClusterInstance", {"instanceClass": "db.r7g.xlarge", "tags": TAGS}),
        (SECRET, {"kmsKeyId": KEY, "recoveryWindowInDays": 0, "tags": TAGS | {"environment": "rehearsal"}}),
        (RULE, {"type": "egress", "cidrBlocks": ["0.0.0.0/0"], "fromPort": 443, "toPort": 443}),
        (INGRESS, {"cidrIpv4": "10.20.0.0/16", "ipProtocol": "tcp"}),
        (VERSIONING, {"versioningConfiguration": {"status": "Enabled"}}),
        (VAULT, {"kmsKeyArn": UNKNOWN, "forceDestroy": False, "tags": TAGS}),
        (PLAN, plan()),
        (PLAN, plan(copyActions=UNKNOWN)),
        (PLAN, plan(copyActions=[]) | {"tags": TAGS | {"environment": "staging"}}),
    ],
)
def test_what_is_right_is_taken(kind: str, inputs: dict[str, Any]) -> None:
    assert faults(kind, inputs) == []


def test_every_bucket_is_closed_encrypted_and_tidied_up() -> None:
    bucket = ("aws:s3/bucket:Bucket", {"tags": TAGS})
    closed = ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", BLOCKED)
    assert stack_faults([]) == []
    assert len(stack_faults([bucket])) == 4
    assert stack_faults([bucket, bucket, closed])[0] == "buckets: of 2 only 1 have a resource that blocks public access"


def test_in_production_every_vault_is_locked_and_every_database_is_in_a_plan() -> None:
    nothing: dict[str, Any] = {}
    vault, lock, chosen = (VAULT, {"tags": TAGS}), (LOCK, nothing), (SELECTION, nothing)
    database, copy = ("aws:rds/cluster:Cluster", CLUSTER), ("aws:rds/instance:Instance", {"replicateSourceDb": "other"})
    assert stack_faults([vault, vault, lock]) == ["vaults: of 2 only 1 have a lock"]
    assert stack_faults([database, copy]) == ["databases: of 1 only 0 are in a plan of backups"]
    assert stack_faults([vault, lock, database, copy, chosen]) == []
    staging = {"tags": TAGS | {"environment": "staging"}}
    assert stack_faults([(VAULT, staging), ("aws:rds/cluster:Cluster", staging)]) == []


def test_a_bucket_that_all_only_passes_through_needs_no_versions_and_any_other_does() -> None:
    passing = ("aws:s3/bucket:Bucket", {"tags": {**TAGS, "contents": "passing"}})
    assert not [fault for fault in stack_faults([passing]) if "keeps what was there before" in fault]
    other = ("aws:s3/bucket:Bucket", {"tags": {**TAGS, "contents": "backups"}})
    (fault,) = [each for each in stack_faults([passing, other]) if "keeps what was there before" in each]
    assert fault.startswith("buckets: of 1 only 0")


def test_the_pack_refuses_by_the_same_rules() -> None:
    told: list[str] = []
    for rule in RULES:
        given: Any = SimpleNamespace(resource_type="aws:kms/key:Key", props={"deletionWindowInDays": 1, "tags": TAGS})
        policy = resource_policy(rule)
        assert policy.enforcement_level is not None
        policy.validate(given, lambda fault, _urn: told.append(fault))
    assert told == ["has to be recoverable for at least 7 days"]
    whole: Any = SimpleNamespace(resources=[SimpleNamespace(resource_type="aws:s3/bucket:Bucket", props={})])
    stack_policy().validate(whole, lambda fault, _urn: told.append(fault))
    assert len(told) == 5


def told_by_the_pack(kind: str, props: dict[str, Any]) -> list[str]:
    """Give what the pack tells of a resource that comes as the engine hands it over."""
    told: list[str] = []
    given: Any = SimpleNamespace(resource_type=kind, props=unknown_checking_proxy(props))
    for rule in RULES:
        resource_policy(rule).validate(given, lambda fault, _urn: told.append(fault))
    return told


ENGINES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("aws:ec2/securityGroup:SecurityGroup", opened(443, "simplicity-production-balancer")),
    ("aws:ec2/instance:Instance", HOST),
    ("aws:ec2/launchTemplate:LaunchTemplate", TEMPLATE),
    ("aws:rds/cluster:Cluster", CLUSTER),
    (VERSIONING, {"versioningConfiguration": {"status": "Enabled"}}),
    (
        "aws:autoscaling/group:Group",
        {"tags": [{"key": name, "value": value, "propagateAtLaunch": True} for name, value in TAGS.items()]},
    ),
    ("aws:cloudwatch/logGroup:LogGroup", LOGS),
    ("aws:iam/rolePolicy:RolePolicy", allow(Action=["s3:GetObject"], Resource="arn:aws:s3:::b/*")),
)


@pytest.mark.parametrize(("kind", "props"), ENGINES)
def test_the_pack_takes_what_is_right_as_the_engine_hands_it_over(kind: str, props: dict[str, Any]) -> None:
    assert told_by_the_pack(kind, props) == []


@pytest.mark.parametrize(
    ("kind", "props", "fault"),
    [
        ("aws:ec2/securityGroup:SecurityGroup", opened(22), "ports 22 to 22 are open to everyone"),
        (
            "aws:ec2/instance:Instance",
            HOST | {"rootBlockDevice": {"encrypted": False, "kmsKeyId": KEY}},
            "rootBlockDevice.encrypted has to be set",
        ),
        (
            "aws:ec2/instance:Instance",
            HOST | {"metadataOptions": IMDS | {"httpTokens": "optional"}},
            "metadataOptions.httpTokens has to be required (IMDSv2)",
        ),
        (VERSIONING, {"versioningConfiguration": {"status": "Suspended"}}, "versioning has to be on"),
        ("aws:autoscaling/group:Group", {"tags": []}, "lacks the tags project, environment, owner, cost-center"),
        ("aws:kms/key:Key", {"deletionWindowInDays": 1.0, "tags": TAGS}, "has to be recoverable for at least 7 days"),
    ],
)
def test_the_pack_refuses_what_the_engine_hands_over(kind: str, props: dict[str, Any], fault: str) -> None:
    assert told_by_the_pack(kind, props) == [fault]


@pytest.mark.parametrize(("kind", "props"), ENGINES)
def test_what_is_not_known_yet_is_taken_to_be_right_wherever_it_stands(kind: str, props: dict[str, Any]) -> None:
    for unknown in _with_one_unknown(props):
        assert told_by_the_pack(kind, unknown) == [], unknown


def _with_one_unknown(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    """Give a value with each of its parts, in turn, not known yet."""
    made = []
    for place in list(value) if isinstance(value, dict) else range(len(value)):
        inner = _with_one_unknown(value[place]) if isinstance(value[place], dict | list) else []
        for each in (UNKNOWN_STRING_VALUE, *inner):
            copy = dict(value) if isinstance(value, dict) else list(value)
            copy[place] = each
            made.append(copy)
    return made


def test_what_the_engine_hands_over_becomes_plain_values() -> None:
    given = {"a": [{"b": UNKNOWN_STRING_VALUE}, 1.0, 0.5], "c": {"d": "text", "e": None, "f": True}}
    assert plain(unknown_checking_proxy(given)) == {
        "a": [{"b": LATER}, 1, 0.5],
        "c": {"d": "text", "e": None, "f": True},
    }
