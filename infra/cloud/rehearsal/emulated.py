"""What moto lacks or gets wrong, and the rehearsal needs: mended in moto's manner, in the emulator's own process.

ElastiCache's parameter groups, members of a replication group, most changes and deletions: without them a cache can be
made there, but neither looked at nor deleted. A change of a database's subnets forgot them, and whether Performance
Insights are on was not told. A bucket whose policy refuses whoever does not speak TLS refused everybody. What AWS
Backup lacks is in `emulated_backup`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult, EmptyResult, PaginatedResult
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.ec2.utils import parse_user_data
from moto.elasticache.exceptions import CacheClusterNotFound, CacheSubnetGroupNotFound, ElastiCacheException
from moto.elasticache.models import CacheSubnetGroup
from moto.elasticache.responses import ElastiCacheResponse
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.rds.models import DBInstance, RDSBackend
from moto.s3.models import FakeBucket

from infra.cloud.rehearsal import emulated_backup

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.elasticache.models import ElastiCacheBackend, ReplicationGroup
    from moto.rds.models import DBSubnetGroup

# What a call changes of a replication group: its argument, and how moto's object calls it.
_CHANGES = {
    "ReplicationGroupDescription": "description",
    "CacheNodeType": "cache_node_type",
    "EngineVersion": "engine_version",
    "CacheParameterGroupName": "cache_parameter_group_name",
    "SecurityGroupIds": "security_group_ids",
    "PreferredMaintenanceWindow": "preferred_maintenance_window",
    "TransitEncryptionMode": "transit_encryption_mode",
}

# Without parameter groups, moto's own.
_TAGGED = re.compile(r"^arn:aws:elasticache:.*:[0-9]*:[a-z]+:.*$")


class _WrongTokenError(ElastiCacheException):
    code = "InvalidParameterValue"

    def __init__(self) -> None:
        super().__init__("The AUTH token to set is none that the group takes.")


class _NoParameterGroupError(ElastiCacheException):
    code = "CacheParameterGroupNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(f"CacheParameterGroup {name} not found.")


# --- parameter groups ------------------------------------------------------------------------------------------------
def _groups(backend: ElastiCacheBackend) -> dict[str, dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = vars(backend).setdefault("simplicity_parameter_groups", {})
    return groups


def _group(self: ElastiCacheResponse) -> dict[str, Any]:
    name = self._get_param("CacheParameterGroupName")
    groups = _groups(self.elasticache_backend)
    if name not in groups:
        raise _NoParameterGroupError(name)
    return groups[name]


def create_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    """Make a group without parameters of its own."""
    backend, name = self.elasticache_backend, self._get_param("CacheParameterGroupName")
    arn = f"arn:aws:elasticache:{backend.region_name}:{backend.account_id}:parametergroup:{name}"
    _groups(backend)[name] = group = {
        "CacheParameterGroupName": name,
        "CacheParameterGroupFamily": self._get_param("CacheParameterGroupFamily"),
        "Description": self._get_param("Description"),
        "ARN": arn,
        "parameters": {},
    }
    backend.arn_regex = _TAGGED
    backend.tagging_service.tag_resource(arn, self._get_param("Tags", []))
    return ActionResult({"CacheParameterGroup": group})


def describe_cache_parameter_groups(self: ElastiCacheResponse) -> ActionResult:
    """Tell of one group, or of all."""
    wanted = self._get_param("CacheParameterGroupName")
    groups = [_group(self)] if wanted else list(_groups(self.elasticache_backend).values())
    return PaginatedResult({"CacheParameterGroups": groups})


def modify_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    """Set parameters."""
    group = _group(self)
    for each in self._get_param("ParameterNameValues", []):
        group["parameters"][each["ParameterName"]] = each["ParameterValue"]
    return ActionResult({"CacheParameterGroupName": group["CacheParameterGroupName"]})


def reset_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    """Take parameters back."""
    group = _group(self)
    for each in self._get_param("ParameterNameValues", []):
        group["parameters"].pop(each["ParameterName"], None)
    return ActionResult({"CacheParameterGroupName": group["CacheParameterGroupName"]})


def describe_cache_parameters(self: ElastiCacheResponse) -> ActionResult:
    """Tell of the parameters that somebody set."""
    parameters = [
        {"ParameterName": name, "ParameterValue": value, "Source": "user"}
        for name, value in _group(self)["parameters"].items()
    ]
    return PaginatedResult({"Parameters": parameters})


def delete_cache_parameter_group(self: ElastiCacheResponse) -> ActionResult:
    """Delete a group."""
    _groups(self.elasticache_backend).pop(_group(self)["CacheParameterGroupName"])
    return EmptyResult()


# --- subnets ---------------------------------------------------------------------------------------------------------
def _subnets(self: ElastiCacheResponse) -> CacheSubnetGroup:
    name = self._get_param("CacheSubnetGroupName")
    groups = self.elasticache_backend.cache_subnet_groups
    if name not in groups:
        raise CacheSubnetGroupNotFound(name)
    return groups[name]


def modify_cache_subnet_group(self: ElastiCacheResponse) -> ActionResult:
    """Change subnets and description."""
    there, backend = _subnets(self), self.elasticache_backend
    changed = CacheSubnetGroup(
        account_id=backend.account_id,
        region_name=backend.region_name,
        cache_subnet_group_name=there.cache_subnet_group_name,
        cache_subnet_group_description=(
            self._get_param("CacheSubnetGroupDescription") or there.cache_subnet_group_description
        ),
        subnet_ids=self._get_param("SubnetIds") or there.subnet_ids,
        tags=there.tags,
    )
    backend.cache_subnet_groups[there.cache_subnet_group_name] = changed
    return ActionResult({"CacheSubnetGroup": changed})


def delete_cache_subnet_group(self: ElastiCacheResponse) -> ActionResult:
    """Delete a group of subnets."""
    self.elasticache_backend.cache_subnet_groups.pop(_subnets(self).cache_subnet_group_name)
    return EmptyResult()


# --- replication groups ----------------------------------------------------------------------------------------------
def _replication_group(self: ElastiCacheResponse) -> ReplicationGroup:
    name = self._get_param("ReplicationGroupId")
    return self.elasticache_backend.describe_replication_groups(name)[0]


def modify_replication_group(self: ElastiCacheResponse) -> ActionResult:
    """Change what AWS changes in place."""
    group = _replication_group(self)
    for argument, attribute in _CHANGES.items():
        value = self._get_param(argument)
        if value is not None:
            setattr(group, attribute, value)
    for argument, attribute in (("AutomaticFailoverEnabled", "automatic_failover"), ("MultiAZEnabled", "multi_az")):
        if self._get_param(argument) is not None:
            setattr(group, attribute, "enabled" if self._get_bool_param(argument) else "disabled")
    _learn_token(group, self._get_param("AuthToken"), self._get_param("AuthTokenUpdateStrategy"))
    if self._get_param("AutoMinorVersionUpgrade") is not None:
        group.auto_minor_version_upgrade = self._get_bool_param("AutoMinorVersionUpgrade")
    if self._get_param("SnapshotRetentionLimit") is not None:
        group.snapshot_retention_limit = self._get_int_param("SnapshotRetentionLimit")
    return ActionResult({"ReplicationGroup": group})


def _learn_token(group: ReplicationGroup, token: str | None, strategy: str | None) -> None:
    """Take one more password (ROTATE), or of those that it takes only one from now on (SET)."""
    if token is None:
        return
    tokens: list[str] = vars(group).setdefault("simplicity_tokens", [])
    if strategy == "SET" and token not in tokens:
        raise _WrongTokenError
    # Never more than two count.
    vars(group)["simplicity_tokens"] = [token] if strategy == "SET" else [*tokens[-1:], token]
    group.auth_token_enabled = True


def change_replica_count(self: ElastiCacheResponse) -> ActionResult:
    """Let replicas join or leave."""
    group, count = _replication_group(self), 1 + int(self._get_param("NewReplicaCount"))
    identity = group.replication_group_id
    group.member_clusters = [f"{identity}-{number:0>3}" for number in range(1, count + 1)]
    return ActionResult({"ReplicationGroup": group})


def delete_replication_group(self: ElastiCacheResponse) -> ActionResult:
    """Delete a group with its members."""
    group = _replication_group(self)
    del self.elasticache_backend.replication_groups[group.replication_group_id]
    return ActionResult({"ReplicationGroup": group})


def _member(group: ReplicationGroup, identity: str) -> dict[str, Any]:
    securities = [{"SecurityGroupId": each, "Status": "active"} for each in group.security_group_ids or ()]
    return {
        "CacheClusterId": identity,
        "ReplicationGroupId": group.replication_group_id,
        "CacheClusterStatus": "available",
        "CacheNodeType": group.cache_node_type,
        "Engine": group.engine,
        "EngineVersion": group.engine_version,
        "NumCacheNodes": 1,
        "PreferredMaintenanceWindow": group.preferred_maintenance_window,
        "CacheParameterGroup": {"CacheParameterGroupName": group.cache_parameter_group_name},
        "CacheSubnetGroupName": group.cache_subnet_group_name,
        "SecurityGroups": securities,
        "AutoMinorVersionUpgrade": group.auto_minor_version_upgrade,
        "SnapshotRetentionLimit": group.snapshot_retention_limit,
        "TransitEncryptionEnabled": group.transit_encryption_enabled,
        "AtRestEncryptionEnabled": group.at_rest_encryption_enabled,
    }


def describe_cache_clusters(self: ElastiCacheResponse) -> ActionResult:
    """Tell of the nodes, members of replication groups among them."""
    backend, wanted = self.elasticache_backend, self._get_param("CacheClusterId")
    groups = backend.replication_groups.values()
    nodes: dict[str, Any] = {name: _member(group, name) for group in groups for name in group.member_clusters}
    nodes |= backend.cache_clusters
    if wanted and wanted not in nodes:
        raise CacheClusterNotFound(wanted)
    return PaginatedResult({"CacheClusters": [nodes[wanted]] if wanted else list(nodes.values())})


# --- others ----------------------------------------------------------------------------------------------------------
def get_permission(self: FakeBucket, action: str, resource: str) -> PermissionResult:
    """Leave out what a policy says under a condition: moto knows no values to hold against it."""
    if self.policy is None:
        return PermissionResult.NEUTRAL
    document = json.loads(self.policy)
    document["Statement"] = [each for each in document["Statement"] if "Condition" not in each]
    return IAMPolicy(json.dumps(document)).is_action_permitted(action, resource)


def _looked_into(self: DBInstance) -> bool:
    return bool(vars(self).get("enable_performance_insights"))


def _remembering(change: Callable[..., DBSubnetGroup]) -> Callable[..., DBSubnetGroup]:
    def changed(self: RDSBackend, subnet_name: str, *what: Any) -> DBSubnetGroup:  # noqa: ANN401 - moto's own
        group = change(self, subnet_name, *what)
        self.subnet_groups[subnet_name] = group
        return group

    return changed


def _user_data(self: LaunchTemplateVersion) -> Any:  # noqa: ANN401 - moto's own type of text
    kept = self.data.get("UserData")
    return parse_user_data(kept) if isinstance(kept, str) else kept


def extend() -> None:
    """Add the calls to moto's."""
    setattr(FakeBucket, get_permission.__name__, get_permission)
    setattr(DBInstance, "performance_insights_enabled", property(_looked_into))  # noqa: B010 - types do not know it
    setattr(RDSBackend, "modify_db_subnet_group", _remembering(RDSBackend.modify_db_subnet_group))  # noqa: B010 - the same
    # A launch template's later versions keep user data as it came, and a group that starts hosts of one fails on it.
    setattr(LaunchTemplateVersion, "user_data", property(_user_data))  # noqa: B010 - the same
    calls = (
        create_cache_parameter_group,
        describe_cache_parameter_groups,
        modify_cache_parameter_group,
        reset_cache_parameter_group,
        describe_cache_parameters,
        delete_cache_parameter_group,
        modify_cache_subnet_group,
        delete_cache_subnet_group,
        modify_replication_group,
        delete_replication_group,
        describe_cache_clusters,
    )
    emulated_backup.extend()
    for call in calls:
        setattr(ElastiCacheResponse, call.__name__, call)
    for name in ("increase_replica_count", "decrease_replica_count"):
        setattr(ElastiCacheResponse, name, change_replica_count)
