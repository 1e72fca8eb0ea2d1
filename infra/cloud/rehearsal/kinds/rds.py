"""RDS's servers, and what Aurora's have in common with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds.by_arn import retag_by_arn, tags_of
from infra.cloud.rehearsal.kinds.shared import camel, found, given, pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

# Property: argument, where AWS asks and answers alike.
BOTH = {
    "engine": "Engine",
    "engineVersion": "EngineVersion",
    "storageEncrypted": "StorageEncrypted",
    "kmsKeyId": "KmsKeyId",
    "copyTagsToSnapshot": "CopyTagsToSnapshot",
    "backupRetentionPeriod": "BackupRetentionPeriod",
    "deletionProtection": "DeletionProtection",
}
HOST = {
    "instanceClass": "DBInstanceClass",
    "availabilityZone": "AvailabilityZone",
    "publiclyAccessible": "PubliclyAccessible",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "monitoringInterval": "MonitoringInterval",
    "monitoringRoleArn": "MonitoringRoleArn",
}
_SERVER = {
    **BOTH,
    **HOST,
    "identifier": "DBInstanceIdentifier",
    "allocatedStorage": "AllocatedStorage",
    "maxAllocatedStorage": "MaxAllocatedStorage",
    "storageType": "StorageType",
    "dbName": "DBName",
    "username": "MasterUsername",
    "multiAz": "MultiAZ",
    "backupWindow": "PreferredBackupWindow",
    "maintenanceWindow": "PreferredMaintenanceWindow",
}
INSIGHTS = {
    "performanceInsightsKmsKeyId": "PerformanceInsightsKMSKeyId",
    "performanceInsightsRetentionPeriod": "PerformanceInsightsRetentionPeriod",
}
# What only says how a call is made: AWS keeps nothing of it.
OF_CALLS = (
    "applyImmediately",
    "allowMajorVersionUpgrade",
    "skipFinalSnapshot",
    "finalSnapshotIdentifier",
    "deleteAutomatedBackups",
)


def arguments_of(wanted: Props, table: Mapping[str, str], *names: str) -> dict[str, Any]:
    """Return the arguments of a call for those properties of a table that are set, or for the named ones of them."""
    return given(wanted, **{table[name]: name for name in names or table})


def keep(aws: Aws, made: str, wanted: Props) -> None:
    """Change nothing: it counts at the next call."""


def secret_of(there: Mapping[str, Any]) -> Props:
    """Return what is told of the administrator's password, which RDS made itself."""
    secret = there.get("MasterUserSecret")
    if not secret:
        return {}
    return {
        "manageMasterUserPassword": True,
        "masterUserSecretKmsKeyId": secret.get("KmsKeyId"),
        "masterUserSecrets": [camel(secret)],
    }


def exports(there: Mapping[str, Any], wanted: Props) -> dict[str, Any]:
    """Return which logs begin and end to be written to CloudWatch."""
    now, then = set(there.get("EnabledCloudwatchLogsExports") or ()), set(wanted["enabledCloudwatchLogsExports"] or ())
    return {"EnableLogTypes": sorted(then - now), "DisableLogTypes": sorted(now - then)}


def last_snapshot(known: Props) -> dict[str, Any]:
    """Return whether a deletion leaves a snapshot behind, and its name."""
    if known.get("skipFinalSnapshot"):
        return {"SkipFinalSnapshot": True}
    return {"SkipFinalSnapshot": False, **given(known, FinalDBSnapshotIdentifier="finalSnapshotIdentifier")}


def insights(wanted: Props) -> dict[str, Any]:
    """Return how Performance Insights are kept."""
    return given(wanted, EnablePerformanceInsights="performanceInsightsEnabled") | arguments_of(wanted, INSIGHTS)


def looked_into(aws: Aws, made: str, wanted: Props) -> str:
    """Turn Performance Insights on for a server that was just made, and return its id."""
    # moto forgets at the creation how Performance Insights are kept; a change it keeps.
    with begun(made):
        change_insights(aws, made, wanted)
    return made


def change_insights(aws: Aws, made: str, wanted: Props) -> None:
    """Change how Performance Insights are kept."""
    if arguments := insights(wanted):
        aws("rds").modify_db_instance(DBInstanceIdentifier=made, ApplyImmediately=True, **arguments)


def server(aws: Aws, made: str) -> dict[str, Any]:
    """Return what AWS tells of a server."""
    return dict(aws("rds").describe_db_instances(DBInstanceIdentifier=made)["DBInstances"][0])


def read_host(aws: Aws, made: str, table: Mapping[str, str]) -> tuple[dict[str, Any], Props]:
    """Return what AWS tells of a server, and the properties that RDS and Aurora have in common."""
    there = server(aws, made)
    endpoint = there.get("Endpoint") or {}
    return there, {
        **found(there, **table),
        **found(
            there,
            arn="DBInstanceArn",
            dbiResourceId="DbiResourceId",
            resourceId="DbiResourceId",
            performanceInsightsEnabled="PerformanceInsightsEnabled",
            performanceInsightsKmsKeyId="PerformanceInsightsKMSKeyId",
            performanceInsightsRetentionPeriod="PerformanceInsightsRetentionPeriod",
        ),
        **found(endpoint, port="Port"),
        "tags": tags_of(aws, "rds", there["DBInstanceArn"]),
    }


def _create_server(aws: Aws, wanted: Props) -> str:
    more = given(
        wanted,
        Port="port",
        DBSubnetGroupName="dbSubnetGroupName",
        DBParameterGroupName="parameterGroupName",
        VpcSecurityGroupIds="vpcSecurityGroupIds",
        EnableCloudwatchLogsExports="enabledCloudwatchLogsExports",
        ManageMasterUserPassword="manageMasterUserPassword",
        MasterUserSecretKmsKeyId="masterUserSecretKmsKeyId",
    )
    arguments = {**arguments_of(wanted, _SERVER), **more, **insights(wanted), "Tags": pairs(wanted.get("tags"))}
    aws("rds").create_db_instance(**arguments)
    return looked_into(aws, str(wanted["identifier"]), wanted)


def _read_server(aws: Aws, made: str, _: Props) -> Props:
    there, props = read_host(aws, made, _SERVER)
    address = there["Endpoint"]["Address"]
    return {
        **props,
        **secret_of(there),
        **found(there, enabledCloudwatchLogsExports="EnabledCloudwatchLogsExports"),
        "address": address,
        "endpoint": f"{address}:{props['port']}",
        "dbSubnetGroupName": (there.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
        "parameterGroupName": there["DBParameterGroups"][0]["DBParameterGroupName"],
        "vpcSecurityGroupIds": [each["VpcSecurityGroupId"] for each in there["VpcSecurityGroups"]],
    }


_SERVER_CHANGES = (
    "instanceClass",
    "engineVersion",
    "allocatedStorage",
    "maxAllocatedStorage",
    "storageType",
    "multiAz",
    "backupRetentionPeriod",
    "backupWindow",
    "maintenanceWindow",
    "copyTagsToSnapshot",
    "deletionProtection",
    "publiclyAccessible",
    "autoMinorVersionUpgrade",
    "monitoringInterval",
    "monitoringRoleArn",
)


def _change_server(aws: Aws, made: str, wanted: Props) -> None:
    more = given(
        wanted,
        VpcSecurityGroupIds="vpcSecurityGroupIds",
        DBParameterGroupName="parameterGroupName",
        AllowMajorVersionUpgrade="allowMajorVersionUpgrade",
    )
    changes = arguments_of(wanted, _SERVER, *_SERVER_CHANGES)
    aws("rds").modify_db_instance(DBInstanceIdentifier=made, ApplyImmediately=True, **changes, **more)


def _change_logs(aws: Aws, made: str, wanted: Props) -> None:
    logs = exports(server(aws, made), wanted)
    aws("rds").modify_db_instance(
        DBInstanceIdentifier=made, ApplyImmediately=True, CloudwatchLogsExportConfiguration=logs
    )


def _change_secret(aws: Aws, made: str, wanted: Props) -> None:
    key = given(wanted, MasterUserSecretKmsKeyId="masterUserSecretKmsKeyId")
    aws("rds").modify_db_instance(
        DBInstanceIdentifier=made, ApplyImmediately=True, ManageMasterUserPassword=True, **key
    )


def _delete_server(aws: Aws, made: str, known: Props) -> None:
    automated = given(known, DeleteAutomatedBackups="deleteAutomatedBackups")
    aws("rds").delete_db_instance(DBInstanceIdentifier=made, **last_snapshot(known), **automated)


# Other values that AWS takes, for what servers and clusters have in common.
DRIFTS = {
    "engineVersion": lambda version: f"{version.split('.')[0]}.{int(version.split('.')[1]) + 1}",
    "instanceClass": lambda kind: f"{kind.rsplit('.', 1)[0]}.{'large' if kind.endswith('.xlarge') else 'xlarge'}",
    "backupRetentionPeriod": lambda days: days - 1 if days > 1 else days + 1,
    "vpcSecurityGroupIds": lambda groups: [*groups, "sg-0123456789abcdef0"],
    # Only some are allowed.
    "monitoringInterval": lambda seconds: 30 if seconds == 60 else 60,  # noqa: PLR2004 - the usual one
    "monitoringRoleArn": "{}-other".format,
}

KINDS = (
    Kind(
        # The real provider's id is the resource id; moto gives all servers the same one.
        type="aws:rds/instance:Instance",
        create=_create_server,
        read=_read_server,
        delete=_delete_server,
        updates={
            **updates(_change_server, *_SERVER_CHANGES, "vpcSecurityGroupIds", "parameterGroupName"),
            **updates(change_insights, *INSIGHTS, "performanceInsightsEnabled"),
            **updates(keep, *OF_CALLS),
            "enabledCloudwatchLogsExports": _change_logs,
            "masterUserSecretKmsKeyId": _change_secret,
            "tags": retag_by_arn("rds", "db"),
        },
        fixed=frozenset(
            {
                "identifier",
                "engine",
                "dbName",
                "username",
                "port",
                "storageEncrypted",
                "kmsKeyId",
                "dbSubnetGroupName",
                "availabilityZone",
                # To give it up takes a password of ours, and there is none.
                "manageMasterUserPassword",
            }
        ),
        unread=frozenset(OF_CALLS),
        drifts={
            **DRIFTS,
            "storageType": lambda kind: "gp2" if kind == "gp3" else "gp3",
            "backupWindow": lambda _: "01:00-01:30",
            "maintenanceWindow": lambda _: "mon:04:00-mon:05:00",
            "performanceInsightsRetentionPeriod": lambda days: days + 24,
        },
    ),
)
