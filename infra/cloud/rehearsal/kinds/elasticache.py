"""Caches: a replication group, its parameters and its subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds.by_arn import retag_by_arn, tags_of
from infra.cloud.rehearsal.kinds.shared import found, given, pairs

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props


# --- subnets ---------------------------------------------------------------------------------------------------------
def _create_subnets(aws: Aws, wanted: Props) -> str:
    aws("elasticache").create_cache_subnet_group(
        CacheSubnetGroupName=wanted["name"],
        CacheSubnetGroupDescription=wanted["description"],
        SubnetIds=wanted["subnetIds"],
        Tags=pairs(wanted.get("tags")),
    )
    return str(wanted["name"])


def _read_subnets(aws: Aws, made: str, _: Props) -> Props:
    (there,) = aws("elasticache").describe_cache_subnet_groups(CacheSubnetGroupName=made)["CacheSubnetGroups"]
    return {
        **found(there, name="CacheSubnetGroupName", description="CacheSubnetGroupDescription", vpcId="VpcId"),
        "arn": there["ARN"],
        "subnetIds": [each["SubnetIdentifier"] for each in there["Subnets"]],
        "tags": tags_of(aws, "elasticache", there["ARN"]),
    }


def _change_subnets(aws: Aws, made: str, wanted: Props) -> None:
    aws("elasticache").modify_cache_subnet_group(
        CacheSubnetGroupName=made, CacheSubnetGroupDescription=wanted["description"], SubnetIds=wanted["subnetIds"]
    )


# --- parameters ------------------------------------------------------------------------------------------------------
def _create_parameters(aws: Aws, wanted: Props) -> str:
    aws("elasticache").create_cache_parameter_group(
        CacheParameterGroupName=wanted["name"],
        CacheParameterGroupFamily=wanted["family"],
        Description=wanted["description"],
        Tags=pairs(wanted.get("tags")),
    )
    with begun(str(wanted["name"])):
        _set(aws, wanted["name"], wanted.get("parameters") or [])
    return str(wanted["name"])


def _set(aws: Aws, made: str, parameters: list[dict[str, str]]) -> None:
    asked = [{"ParameterName": each["name"], "ParameterValue": each["value"]} for each in parameters]
    if asked:
        aws("elasticache").modify_cache_parameter_group(CacheParameterGroupName=made, ParameterNameValues=asked)


def _parameters(aws: Aws, made: str) -> list[dict[str, str]]:
    """Return those that somebody set; the family's own are not asked for."""
    pages = aws("elasticache").get_paginator("describe_cache_parameters")
    return [
        {"name": each["ParameterName"], "value": each["ParameterValue"]}
        for page in pages.paginate(CacheParameterGroupName=made, Source="user")
        for each in page["Parameters"]
    ]


def _read_parameters(aws: Aws, made: str, _: Props) -> Props:
    (there,) = aws("elasticache").describe_cache_parameter_groups(CacheParameterGroupName=made)["CacheParameterGroups"]
    told = found(there, name="CacheParameterGroupName", family="CacheParameterGroupFamily", description="Description")
    return {
        **told,
        "arn": there["ARN"],
        "parameters": _parameters(aws, made),
        "tags": tags_of(aws, "elasticache", there["ARN"]),
    }


def _change_parameters(aws: Aws, made: str, wanted: Props) -> None:
    asked = wanted.get("parameters") or []
    names = {each["name"] for each in asked}
    surplus = [
        {"ParameterName": each["name"], "ParameterValue": each["value"]}
        for each in _parameters(aws, made)
        if each["name"] not in names
    ]
    if surplus:
        aws("elasticache").reset_cache_parameter_group(CacheParameterGroupName=made, ParameterNameValues=surplus)
    _set(aws, made, asked)


def _other_parameters(parameters: list[dict[str, str]]) -> list[dict[str, str]]:
    """Change one number, and forget another parameter."""
    number = next(each for each in parameters if each["value"].isdigit())
    return [{**number, "value": str(int(number["value"]) + 1)}, *(each for each in parameters if each is not number)][
        :2
    ]


# --- replication groups ----------------------------------------------------------------------------------------------
_GROUP = {
    "replicationGroupId": "ReplicationGroupId",
    "description": "ReplicationGroupDescription",
    "engine": "Engine",
    "engineVersion": "EngineVersion",
    "nodeType": "CacheNodeType",
    "automaticFailoverEnabled": "AutomaticFailoverEnabled",
    "multiAzEnabled": "MultiAZEnabled",
    "port": "Port",
    "parameterGroupName": "CacheParameterGroupName",
    "subnetGroupName": "CacheSubnetGroupName",
    "securityGroupIds": "SecurityGroupIds",
    "transitEncryptionEnabled": "TransitEncryptionEnabled",
    "transitEncryptionMode": "TransitEncryptionMode",
    "atRestEncryptionEnabled": "AtRestEncryptionEnabled",
    "kmsKeyId": "KmsKeyId",
    "snapshotRetentionLimit": "SnapshotRetentionLimit",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
}
_CHANGES = (
    "description",
    "engineVersion",
    "nodeType",
    "automaticFailoverEnabled",
    "multiAzEnabled",
    "parameterGroupName",
    "securityGroupIds",
    "transitEncryptionMode",
    "snapshotRetentionLimit",
    "maintenanceWindow",
    "autoMinorVersionUpgrade",
)


def _create_group(aws: Aws, wanted: Props) -> str:
    arguments = given(wanted, **{argument: name for name, argument in _GROUP.items()})
    # AWS takes the number of nodes as well; moto counts the replicas alone.
    replicas = wanted["numCacheClusters"] - 1
    aws("elasticache").create_replication_group(
        **arguments, ReplicasPerNodeGroup=replicas, Tags=pairs(wanted.get("tags"))
    )
    return str(wanted["replicationGroupId"])


def _read_group(aws: Aws, made: str, _: Props) -> Props:
    cache = aws("elasticache")
    (there,) = cache.describe_replication_groups(ReplicationGroupId=made)["ReplicationGroups"]
    (shard,) = there["NodeGroups"]
    # What all nodes have in common is told of each of them alone.
    (node,) = cache.describe_cache_clusters(CacheClusterId=there["MemberClusters"][0])["CacheClusters"]
    return {
        **found(
            there,
            arn="ARN",
            replicationGroupId="ReplicationGroupId",
            description="Description",
            nodeType="CacheNodeType",
            transitEncryptionEnabled="TransitEncryptionEnabled",
            transitEncryptionMode="TransitEncryptionMode",
            atRestEncryptionEnabled="AtRestEncryptionEnabled",
            kmsKeyId="KmsKeyId",
            snapshotRetentionLimit="SnapshotRetentionLimit",
        ),
        **found(
            node,
            engine="Engine",
            engineVersion="EngineVersion",
            subnetGroupName="CacheSubnetGroupName",
            maintenanceWindow="PreferredMaintenanceWindow",
            autoMinorVersionUpgrade="AutoMinorVersionUpgrade",
        ),
        **_endpoints(shard),
        "numCacheClusters": len(there["MemberClusters"]),
        "memberClusters": there["MemberClusters"],
        "automaticFailoverEnabled": there["AutomaticFailover"] == "enabled",
        "multiAzEnabled": there["MultiAZ"] == "enabled",
        "parameterGroupName": node["CacheParameterGroup"]["CacheParameterGroupName"],
        "securityGroupIds": [each["SecurityGroupId"] for each in node["SecurityGroups"]],
        "tags": tags_of(aws, "elasticache", there["ARN"]),
    }


def _endpoints(shard: dict[str, Any]) -> Props:
    primary, reader = shard["PrimaryEndpoint"], shard.get("ReaderEndpoint") or {}
    return {
        "primaryEndpointAddress": primary["Address"],
        "port": primary["Port"],
        **found(reader, readerEndpointAddress="Address"),
    }


def _change_group(aws: Aws, made: str, wanted: Props) -> None:
    changes = given(wanted, **{_GROUP[name]: name for name in _CHANGES})
    aws("elasticache").modify_replication_group(ReplicationGroupId=made, ApplyImmediately=True, **changes)


def _change_nodes(aws: Aws, made: str, wanted: Props) -> None:
    cache = aws("elasticache")
    (there,) = cache.describe_replication_groups(ReplicationGroupId=made)["ReplicationGroups"]
    more = wanted["numCacheClusters"] > len(there["MemberClusters"])
    change = cache.increase_replica_count if more else cache.decrease_replica_count
    change(ReplicationGroupId=made, NewReplicaCount=wanted["numCacheClusters"] - 1, ApplyImmediately=True)


KINDS = (
    Kind(
        type="aws:elasticache/subnetGroup:SubnetGroup",
        create=_create_subnets,
        read=_read_subnets,
        delete=lambda aws, made, _: aws("elasticache").delete_cache_subnet_group(CacheSubnetGroupName=made),
        updates={
            **updates(_change_subnets, "description", "subnetIds"),
            "tags": retag_by_arn("elasticache", "subnetgroup"),
        },
        fixed=frozenset({"name"}),
        drifts={"description": "{} (by hand)".format, "subnetIds": lambda subnets: subnets[:-1]},
    ),
    Kind(
        type="aws:elasticache/parameterGroup:ParameterGroup",
        create=_create_parameters,
        read=_read_parameters,
        delete=lambda aws, made, _: aws("elasticache").delete_cache_parameter_group(CacheParameterGroupName=made),
        updates={"parameters": _change_parameters, "tags": retag_by_arn("elasticache", "parametergroup")},
        fixed=frozenset({"name", "family", "description"}),
        drifts={"parameters": _other_parameters},
    ),
    Kind(
        type="aws:elasticache/replicationGroup:ReplicationGroup",
        create=_create_group,
        read=_read_group,
        delete=lambda aws, made, _: aws("elasticache").delete_replication_group(ReplicationGroupId=made),
        updates={
            **updates(_change_group, *_CHANGES),
            "numCacheClusters": _change_nodes,
            "applyImmediately": lambda *_: None,
            "tags": retag_by_arn("elasticache", "replicationgroup"),
        },
        fixed=frozenset(
            {
                "replicationGroupId",
                "engine",
                "port",
                "subnetGroupName",
                "transitEncryptionEnabled",
                "atRestEncryptionEnabled",
                "kmsKeyId",
            }
        ),
        # How a change is made: AWS keeps nothing of it.
        unread=frozenset({"applyImmediately"}),
        drifts={
            "description": "{} (by hand)".format,
            "engineVersion": lambda _: "8.2",
            "nodeType": lambda _: "cache.t4g.medium",
            "parameterGroupName": lambda _: "default.valkey8",
            "securityGroupIds": lambda groups: [*groups, "sg-0123456789abcdef0"],
            "transitEncryptionMode": lambda _: "preferred",
            "maintenanceWindow": lambda _: "mon:05:30-mon:06:30",
        },
    ),
)
