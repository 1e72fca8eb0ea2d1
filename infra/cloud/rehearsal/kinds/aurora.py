"""Aurora's clusters and the servers in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, updates
from infra.cloud.rehearsal.kinds import rds
from infra.cloud.rehearsal.kinds.by_arn import retag_by_arn, tags_of
from infra.cloud.rehearsal.kinds.shared import found, given, pairs

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

_CLUSTER = {
    **rds.BOTH,
    "clusterIdentifier": "DBClusterIdentifier",
    "databaseName": "DatabaseName",
    "masterUsername": "MasterUsername",
    "port": "Port",
    "preferredBackupWindow": "PreferredBackupWindow",
    "preferredMaintenanceWindow": "PreferredMaintenanceWindow",
}
_MEMBER = {
    **rds.HOST,
    "identifier": "DBInstanceIdentifier",
    "clusterIdentifier": "DBClusterIdentifier",
    "engine": "Engine",
    "promotionTier": "PromotionTier",
    "copyTagsToSnapshot": "CopyTagsToSnapshot",
}


# --- clusters --------------------------------------------------------------------------------------------------------
def _create_cluster(aws: Aws, wanted: Props) -> str:
    more = given(
        wanted,
        DBSubnetGroupName="dbSubnetGroupName",
        DBClusterParameterGroupName="dbClusterParameterGroupName",
        VpcSecurityGroupIds="vpcSecurityGroupIds",
        EnableCloudwatchLogsExports="enabledCloudwatchLogsExports",
        ManageMasterUserPassword="manageMasterUserPassword",
        MasterUserSecretKmsKeyId="masterUserSecretKmsKeyId",
    )
    aws("rds").create_db_cluster(**rds.arguments_of(wanted, _CLUSTER), **more, Tags=pairs(wanted.get("tags")))
    return str(wanted["clusterIdentifier"])


def _cluster(aws: Aws, made: str) -> dict[str, Any]:
    return dict(aws("rds").describe_db_clusters(DBClusterIdentifier=made)["DBClusters"][0])


def _read_cluster(aws: Aws, made: str, _: Props) -> Props:
    there = _cluster(aws, made)
    return {
        **found(there, **_CLUSTER),
        **found(
            there,
            arn="DBClusterArn",
            clusterResourceId="DbClusterResourceId",
            hostedZoneId="HostedZoneId",
            endpoint="Endpoint",
            readerEndpoint="ReaderEndpoint",
            dbSubnetGroupName="DBSubnetGroup",
            dbClusterParameterGroupName="DBClusterParameterGroup",
            enabledCloudwatchLogsExports="EnabledCloudwatchLogsExports",
        ),
        **rds.secret_of(there),
        "vpcSecurityGroupIds": [each["VpcSecurityGroupId"] for each in there["VpcSecurityGroups"]],
        "tags": tags_of(aws, "rds", there["DBClusterArn"]),
    }


_CLUSTER_CHANGES = (
    "engineVersion",
    "copyTagsToSnapshot",
    "backupRetentionPeriod",
    "deletionProtection",
    "port",
    "preferredBackupWindow",
    "preferredMaintenanceWindow",
)


def _change_cluster(aws: Aws, made: str, wanted: Props) -> None:
    more = given(
        wanted,
        VpcSecurityGroupIds="vpcSecurityGroupIds",
        DBClusterParameterGroupName="dbClusterParameterGroupName",
        AllowMajorVersionUpgrade="allowMajorVersionUpgrade",
    )
    changes = rds.arguments_of(wanted, _CLUSTER, *_CLUSTER_CHANGES)
    aws("rds").modify_db_cluster(DBClusterIdentifier=made, ApplyImmediately=True, **changes, **more)


def _change_cluster_logs(aws: Aws, made: str, wanted: Props) -> None:
    logs = rds.exports(_cluster(aws, made), wanted)
    aws("rds").modify_db_cluster(
        DBClusterIdentifier=made, ApplyImmediately=True, CloudwatchLogsExportConfiguration=logs
    )


def _change_cluster_secret(aws: Aws, made: str, wanted: Props) -> None:
    key = given(wanted, MasterUserSecretKmsKeyId="masterUserSecretKmsKeyId")
    aws("rds").modify_db_cluster(DBClusterIdentifier=made, ApplyImmediately=True, ManageMasterUserPassword=True, **key)


def _delete_cluster(aws: Aws, made: str, known: Props) -> None:
    aws("rds").delete_db_cluster(DBClusterIdentifier=made, **rds.last_snapshot(known))
    # moto keeps the automated ones, which AWS deletes with their cluster.
    query = {"DBClusterIdentifier": made, "SnapshotType": "automated"}
    for each in aws("rds").describe_db_cluster_snapshots(**query)["DBClusterSnapshots"]:
        aws("rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=each["DBClusterSnapshotIdentifier"])


def _create_member(aws: Aws, wanted: Props) -> str:
    arguments = rds.arguments_of(wanted, _MEMBER)
    aws("rds").create_db_instance(**arguments, **rds.insights(wanted), Tags=pairs(wanted.get("tags")))
    return rds.looked_into(aws, str(wanted["identifier"]), wanted)


def _read_member(aws: Aws, made: str, _: Props) -> Props:
    there, props = rds.read_host(aws, made, _MEMBER)
    return {**props, "endpoint": there["Endpoint"]["Address"]}


_MEMBER_CHANGES = (
    "instanceClass",
    "promotionTier",
    "copyTagsToSnapshot",
    "publiclyAccessible",
    "autoMinorVersionUpgrade",
    "monitoringInterval",
    "monitoringRoleArn",
)


def _change_member(aws: Aws, made: str, wanted: Props) -> None:
    changes = rds.arguments_of(wanted, _MEMBER, *_MEMBER_CHANGES)
    aws("rds").modify_db_instance(DBInstanceIdentifier=made, ApplyImmediately=True, **changes)


def _delete_member(aws: Aws, made: str, _: Props) -> None:
    aws("rds").delete_db_instance(DBInstanceIdentifier=made, SkipFinalSnapshot=True)


KINDS = (
    Kind(
        type="aws:rds/cluster:Cluster",
        create=_create_cluster,
        read=_read_cluster,
        delete=_delete_cluster,
        updates={
            **updates(_change_cluster, *_CLUSTER_CHANGES, "vpcSecurityGroupIds", "dbClusterParameterGroupName"),
            **updates(rds.keep, *rds.OF_CALLS),
            # moto takes this and does nothing: no drill changes it.
            "enabledCloudwatchLogsExports": _change_cluster_logs,
            "masterUserSecretKmsKeyId": _change_cluster_secret,
            "tags": retag_by_arn("rds", "cluster"),
        },
        fixed=frozenset(
            {
                "clusterIdentifier",
                "engine",
                "databaseName",
                "masterUsername",
                "dbSubnetGroupName",
                "storageEncrypted",
                "kmsKeyId",
                # To give it up takes a password of ours, and there is none.
                "manageMasterUserPassword",
            }
        ),
        unread=frozenset(rds.OF_CALLS),
        drifts={
            **rds.DRIFTS,
            "dbClusterParameterGroupName": lambda _: "default.aurora-postgresql17",
            "preferredBackupWindow": lambda _: "01:00-01:30",
            "preferredMaintenanceWindow": lambda _: "mon:04:00-mon:05:00",
        },
    ),
    Kind(
        type="aws:rds/clusterInstance:ClusterInstance",
        create=_create_member,
        read=_read_member,
        delete=_delete_member,
        updates={
            **updates(_change_member, *_MEMBER_CHANGES),
            **updates(rds.change_insights, *rds.INSIGHTS, "performanceInsightsEnabled"),
            "applyImmediately": rds.keep,
            "tags": retag_by_arn("rds", "db"),
        },
        fixed=frozenset({"identifier", "clusterIdentifier", "engine", "availabilityZone"}),
        # How a change is made: AWS keeps nothing of it.
        unread=frozenset({"applyImmediately"}),
        drifts={**rds.DRIFTS, "performanceInsightsRetentionPeriod": lambda days: days + 24},
    ),
)
