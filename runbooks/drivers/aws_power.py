"""Stop an environment overnight and start it again: its hosts and its database, which cost most. Never production."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbooks.drivers import aws_groups as groups
from runbooks.drivers.aws import Aws
from runbooks.drivers.aws_database import AURORA, AVAILABLE, KINDS, RDS, ManagedDatabase
from runbooks.drivers.aws_operating import Seen, Way, go_on
from runbooks.drivers.operations import own
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from infra.environment import Environment
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Operation

NAME, DRIVER, STOP, START = "power", "power", "stop", "start"
SECONDS = 2_700.0
PRODUCTION = "production"
GROUPS = ("api-blue", "api-green", "sync")
LEFT = (
    "cache, balancer, gateways and volumes stay and cost on; AWS starts a stopped database by itself after seven days;"
    " `pulumi up` would start its groups"
)


@dataclass(frozen=True, slots=True)
class Power:
    """Start and stop of an environment whose document has the driver `power`; that of production has none."""

    environment: Environment
    store: OperationStore

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: nothing to production."""
        return frozenset() if self._refused() else frozenset({START, STOP})

    @property
    def aws(self) -> Aws:
        """Where it is asked."""
        return Aws.of(self.environment)

    def stop(self, key: str) -> Operation:
        """Stop what serves, then the hosts and the database; DONE when nothing of them runs."""
        return self._begin(key, STOP)

    def start(self, key: str) -> Operation:
        """Start the database and the hosts, then what serves, as many as there were; DONE when they serve."""
        return self._begin(key, START)

    def poll(self, key: str) -> Operation:
        """Make the next move."""
        look = self._stopped if own(self.store.get(key), NAME).action == STOP else self._started
        way = Way(look=look, patience=SECONDS, hint="`simplicity infrastructure status` shows what is where")
        return go_on(self.store, NAME, key, way, pause=self.aws.pause)

    def _refused(self) -> str:
        name = self.environment.name
        if name.startswith(PRODUCTION) or PRODUCTION in self.environment.metrics.labels.values():
            return f"{name} is production: it is never stopped"
        return "" if DRIVER in self.environment.drivers else f"the document of {name} does not allow to stop it"

    def _begin(self, key: str, action: str) -> Operation:
        refused = self._refused()
        if refused:
            raise Refusal(refused)
        if action == STOP and self.store.find(key) is None:
            self._check_database()
        self.store.begin(key, driver=NAME, action=action, target=self.environment.name)
        return self.poll(key)

    def _check_database(self) -> None:
        """Refuse what AWS would refuse at the end, when the hosts are gone already."""
        driver = self.environment.drivers.get("failover")
        if driver is not None and driver.kind == RDS:
            replicas = ManagedDatabase(self.environment).described().get("ReadReplicaDBInstanceIdentifiers")
            if replicas:
                # Somebody's own: the program makes none.
                raise Refusal(f"AWS stops no instance that has replicas: delete {', '.join(replicas)} before")

    def _stopped(self, _: Operation) -> Seen:
        for group in self._groups():
            if group.desired or group.minimum:
                self._put_down(group)
                return Seen(f"{group.name}: its {len(group.machines)} hosts end")
        left = [each.name for each in self._groups() if each.machines]
        if left:
            return Seen(f"{', '.join(left)}: hosts end")
        # Nobody is left that reads or writes.
        hosts = self._hosts()
        running = [name for name, (state, _) in hosts.items() if state == "running"]
        if running:
            self.aws.call("ec2", "stop_instances", InstanceIds=running)
            return Seen(f"{len(running)} hosts stop")
        # AWS stops no host that is only just started: it would refuse the others with it.
        coming = [name for name, (state, _) in hosts.items() if state == "pending"]
        if coming:
            return Seen(f"{', '.join(coming)}: pending, stopped when it runs")
        going = [name for name, (state, _) in hosts.items() if state == "stopping"]
        waits = self._database(STOP)
        if going or waits:
            return Seen(waits or f"{', '.join(going)}: stopping")
        return Seen(f"{self.environment.name} is stopped; {LEFT}", over=True)

    def _started(self, _: Operation) -> Seen:
        waits = self._database(START)
        hosts = self._hosts()
        stopped = [name for name, (state, _) in hosts.items() if state == "stopped"]
        if stopped:
            self.aws.call("ec2", "start_instances", InstanceIds=stopped)
            return Seen(f"{len(stopped)} hosts start")
        pending = [name for name, (state, _) in hosts.items() if state != "running"]
        if waits or pending:
            return Seen(waits or f"{', '.join(pending)}: not running yet")
        found = self._groups()
        for group in found:
            if group.stopped:
                self._put_up(group)
                return Seen(f"{group.name}: its hosts start")
        unsettled = [each.sentence for each in found if not each.settled]
        if unsettled:
            return Seen(unsettled[0])
        return Seen(f"{self.environment.name} runs: {'; '.join(each.sentence for each in found)}", over=True)

    def _groups(self) -> list[groups.Group]:
        found = groups.read(self.aws, [self.aws.name(each) for each in GROUPS])
        return [found[name] for name in sorted(found)]

    def _put_down(self, group: groups.Group) -> None:
        if not group.stopped:
            groups.tag(self.aws, group.name, groups.SIZES, json.dumps([group.minimum, group.maximum, group.base]))
        self._alarms("suspend_processes", group.name)
        self._size(group.name, 0, group.maximum, 0)

    def _put_up(self, group: groups.Group) -> None:
        minimum, maximum, desired = json.loads(group.tags[groups.SIZES])
        self._size(group.name, minimum, maximum, desired)
        self._alarms("resume_processes", group.name)
        groups.untag(self.aws, group.name, groups.SIZES)

    def _alarms(self, operation: str, name: str) -> None:
        self.aws.call("autoscaling", operation, AutoScalingGroupName=name, ScalingProcesses=[*groups.STOPS])

    def _size(self, name: str, minimum: int, maximum: int, desired: int) -> None:
        self.aws.call(
            "autoscaling",
            "update_auto_scaling_group",
            AutoScalingGroupName=name,
            MinSize=minimum,
            MaxSize=maximum,
            DesiredCapacity=desired,
        )

    def _hosts(self) -> dict[str, tuple[str, str]]:
        """Return the state and the name of each host that is in no group: node, monitoring, Patroni's."""
        return {each["InstanceId"]: (each["State"]["Name"], tags.get("Name", "")) for each, tags in alone(self.aws)}

    def _database(self, action: str) -> str:
        """Stop or start a database of Amazon's; return what it still waits for, or ""."""
        driver = self.environment.drivers.get("failover")
        if driver is None or driver.kind not in KINDS:
            return ""
        database = ManagedDatabase(self.environment)
        said = database.described()
        is_cluster = database.kind == AURORA
        state = said["Status"] if is_cluster else said["DBInstanceStatus"]
        if state == (AVAILABLE if action == START else "stopped"):
            return ""
        if state == ("stopped" if action == START else AVAILABLE):
            of = "DBClusterIdentifier" if is_cluster else "DBInstanceIdentifier"
            self.aws.call("rds", f"{action}_db_{'cluster' if is_cluster else 'instance'}", **{of: database.identifier})
        return f"{database.identifier}: {state}"


def alone(aws: Aws) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Return the environment's hosts that are in no group, each with its tags."""
    filters = [
        {"Name": "tag:project", "Values": ["simplicity"]},
        {"Name": "tag:environment", "Values": [aws.environment]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    found = []
    for reservation in aws.all("ec2", "describe_instances", "Reservations", Filters=filters):
        for each in reservation["Instances"]:
            tags = {tag["Key"]: tag["Value"] for tag in each.get("Tags") or ()}
            if "aws:autoscaling:groupName" not in tags:
                found.append((each, tags))
    return found
