"""A restore of a managed database step by step: the new one, then its server; as closed as the one that it is of."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from runbooks.drivers.aws import GoneError, ThereError
from runbooks.drivers.aws_database import AVAILABLE, instance
from runbooks.drivers.aws_operating import Seen
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.drivers.aws_database import ManagedDatabase
    from runbooks.drivers.aws_snapshot_calls import Calls
    from runbooks.drivers.protocols import Operation

# The tag that says which operation has made something: a new process finds what a killed one has begun.
OPERATION = "simplicity-operation"
_BROKEN = frozenset(
    {
        "failed",
        "restore-error",
        "incompatible-restore",
        "incompatible-parameters",
        "inaccessible-encryption-credentials",
    }
)


def tags_of(said: Mapping[str, Any], key: str, name: str = "") -> list[dict[str, str]]:
    """Return the tags of what comes from a database: its own, by which it is paid for, and the operation."""
    tags = {
        each["Key"]: each.get("Value", "") for each in said.get("TagList") or () if not each["Key"].startswith("aws:")
    }
    tags |= {OPERATION: key} | ({"Name": name} if name else {})
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def begun_of(calls: Calls, name: str) -> str:
    """Return the key of the operation that has made a database, "" where none has."""
    return _key(calls.database(name) or {})


def _key(said: Mapping[str, Any]) -> str:
    return next((each.get("Value", "") for each in said.get("TagList") or () if each["Key"] == OPERATION), "")


def look(database: ManagedDatabase, calls: Calls, operation: Operation) -> Seen:
    """Make the next move of a restore."""
    there = calls.database(operation.target)
    if there is None:
        with suppress(ThereError):  # of a call whose answer was lost, or not ours: its tag tells the next look
            _begin(database, calls, operation)
        return Seen(f"{operation.target} is begun", {"begun": True})
    if _key(there) != operation.key:
        raise Refusal(f"there is a database {operation.target} by now that is not of this operation; take another name")
    state = there.get("Status") or there.get("DBInstanceStatus", "")
    if state in _BROKEN:
        return Seen(f"{operation.target} is {state}; see its events in AWS", failed=True)
    if state != AVAILABLE:
        return Seen(f"{operation.target}: {state}")
    if calls.is_cluster:
        waits = _server(database, operation, there)
        if waits:
            return Seen(waits)
    endpoint = there["Endpoint"] if calls.is_cluster else there["Endpoint"]["Address"]
    return Seen(
        f"{operation.target} is restored beside {database.identifier}, at {endpoint}; remove it when it is not needed",
        {"identifier": operation.target, "host": endpoint},
        over=True,
    )


def _server(database: ManagedDatabase, operation: Operation, there: Mapping[str, Any]) -> str:
    """Make the server of a restored cluster, which comes without; return what it still waits for, or ""."""
    name = f"{operation.target}-1"
    members = [each["DBInstanceIdentifier"] for each in there["DBClusterMembers"]]
    if not members:
        _check_server(database, operation, name)
        writer = database.servers()[0]
        with suppress(ThereError):
            database.aws.call(
                "rds",
                "create_db_instance",
                DBInstanceIdentifier=name,
                DBClusterIdentifier=operation.target,
                DBInstanceClass=writer.kind,
                Engine=there["Engine"],
                PubliclyAccessible=False,
                Tags=tags_of(there, operation.key, name),
            )
        return f"{name} is begun"
    said = database.aws.call("rds", "describe_db_instances", DBInstanceIdentifier=members[0])["DBInstances"]
    state = said[0]["DBInstanceStatus"] if said else "creating"
    return "" if state == AVAILABLE else f"{members[0]}: {state}"


def _check_server(database: ManagedDatabase, operation: Operation, name: str) -> None:
    """Raise Refusal where a server has this name already that is of something else."""
    try:
        there = instance(database.aws, name)
    except GoneError:
        return
    if _key(there) != operation.key:
        raise Refusal(f"there is a server {name} already that is not of this operation; take another name")


def _begin(database: ManagedDatabase, calls: Calls, operation: Operation) -> None:
    said = database.described()
    backup, moment = str(operation.arguments["backup"]), str(operation.arguments["moment"])
    common: dict[str, Any] = {
        "VpcSecurityGroupIds": [each["VpcSecurityGroupId"] for each in said.get("VpcSecurityGroups") or ()],
        "Tags": tags_of(said, operation.key, operation.target),
        "CopyTagsToSnapshot": True,
        # It is there to be looked at, and to be removed.
        "DeletionProtection": False,
    }
    if calls.is_cluster:
        _begin_cluster(database, operation.target, said, common, backup, moment)
    else:
        _begin_instance(database, operation.target, said, common, backup, moment)


def _begin_cluster(  # noqa: PLR0913, PLR0917 - what AWS wants to know
    database: ManagedDatabase, name: str, said: Mapping[str, Any], common: dict[str, Any], backup: str, moment: str
) -> None:
    common |= {
        "DBClusterIdentifier": name,
        "DBSubnetGroupName": said["DBSubnetGroup"],
        # Its parameters, too, force TLS.
        "DBClusterParameterGroupName": said["DBClusterParameterGroup"],
    }
    if backup:
        database.aws.call(
            "rds", "restore_db_cluster_from_snapshot", SnapshotIdentifier=backup, Engine=said["Engine"], **common
        )
        return
    when = {"RestoreToTime": datetime.fromisoformat(moment)} if moment else {"UseLatestRestorableTime": True}
    database.aws.call(
        "rds",
        "restore_db_cluster_to_point_in_time",
        SourceDBClusterIdentifier=database.identifier,
        **when,
        **common,
    )


def _begin_instance(  # noqa: PLR0913, PLR0917 - as above
    database: ManagedDatabase, name: str, said: Mapping[str, Any], common: dict[str, Any], backup: str, moment: str
) -> None:
    common |= {
        "DBInstanceClass": said["DBInstanceClass"],
        "DBParameterGroupName": said["DBParameterGroups"][0]["DBParameterGroupName"],
        "PubliclyAccessible": False,
        "MultiAZ": False,
    }
    if "DBSubnetGroup" in said:
        common["DBSubnetGroupName"] = said["DBSubnetGroup"]["DBSubnetGroupName"]
    if backup:
        database.aws.call(
            "rds",
            "restore_db_instance_from_db_snapshot",
            DBInstanceIdentifier=name,
            DBSnapshotIdentifier=backup,
            **common,
        )
        return
    when = {"RestoreTime": datetime.fromisoformat(moment)} if moment else {"UseLatestRestorableTime": True}
    database.aws.call(
        "rds",
        "restore_db_instance_to_point_in_time",
        SourceDBInstanceIdentifier=database.identifier,
        TargetDBInstanceIdentifier=name,
        **when,
        **common,
    )
