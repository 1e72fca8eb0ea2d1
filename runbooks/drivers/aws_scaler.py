"""How many hosts there are, and of which type: auto scaling groups. AWS makes them, and drains those that go.

A group's own scaling policies stay in force: they go on from the number that is set here, within the same bounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runbooks.drivers import aws_groups as groups
from runbooks.drivers import aws_templates as templates
from runbooks.drivers.aws import Aws, GoneError
from runbooks.drivers.aws_groups import Group, Move
from runbooks.drivers.aws_operating import SINCE, Seen, Way, go_on
from runbooks.drivers.aws_switch import live_colour
from runbooks.drivers.operations import own
from runbooks.drivers.protocols import Phase, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.environment import Environment
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Operation

NAME, SIZE, TYPE = "autoscaling", "scale", "retype"
API = "api"
GROUPS = ("api-blue", "api-green", "sync")
INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9]+", re.ASCII)
RESIZE_SECONDS, RETYPE_SECONDS = 1_200.0, 3_600.0
STOPPED = "its environment is stopped; `simplicity infrastructure start` first"
# While hosts are replaced nobody else may move the number that the replacement counts by.
_HELD = ("AlarmNotification", "AZRebalance", "ScheduledActions")
_ACTIVITIES = 20


@dataclass(frozen=True, slots=True)
class AutoscalingScaler:
    """Scaler of the cloud. `api` is the group of the colour that has the traffic; each group has its own name too."""

    environment: Environment
    store: OperationStore

    @property
    def aws(self) -> Aws:
        """Where it is asked."""
        return Aws.of(self.environment)

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: more hosts, fewer, and others."""
        return frozenset({"out", "in", "up"})

    def size(self, group: str) -> int:
        """Return how many hosts are wanted. Raises AwsError."""
        return self.group(group).desired

    def machines(self, group: str) -> tuple[str, ...]:
        """Return the ids of the hosts that there are."""
        return tuple(each.id for each in self.group(group).machines)

    def group(self, group: str) -> Group:
        """Return a group as it is. Raises AwsError, Refusal for a name that is none."""
        return groups.one(self.aws, self._name(self.which(group)))

    def which(self, group: str) -> str:
        """Return the group that is meant: of the API, that with the traffic. Raises Refusal."""
        if group == API:
            return f"{API}-{live_colour(self.environment, self.store)}"
        if group not in GROUPS:
            raise Refusal(f"{group[:60]!r} cannot be scaled; what can: {', '.join((API, *GROUPS))}")
        return group

    def scale(self, key: str, group: str, size: int) -> Operation:
        """Make it so many hosts; DONE when as many serve. Refused outside of the bounds that the stack sets."""
        target = self._target(key, group)
        if self.store.find(key) is None:
            found = self._running(target)
            if not found.minimum <= size <= found.maximum:
                raise Refusal(
                    f"{found.name} can have {found.minimum} to {found.maximum} hosts, not {size}; its bounds are the"
                    " stack's configuration (simplicity:api, simplicity:sync)"
                )
        self.store.begin(key, driver=NAME, action=SIZE, target=target, arguments={"size": size})
        return self.poll(key)

    def retype(self, key: str, group: str, instance_type: str) -> Operation:
        """Replace the hosts, one after the other, by those of another type; DONE when each serves.

        Not by AWS's instance refresh: this way holds wherever groups are, and a new process goes on where one died.
        """
        if not INSTANCE_TYPE.fullmatch(instance_type):
            raise Refusal(f"{instance_type[:60]!r} is no type of an instance, as c7g.large is")
        target = self._target(key, group)
        if self.store.find(key) is None:
            templates.check_type(self.aws, self._running(target), instance_type)
        self.store.begin(key, driver=NAME, action=TYPE, target=target, arguments={"instance_type": instance_type})
        return self.poll(key)

    def poll(self, key: str) -> Operation:
        """Look at the group, and make the next move."""
        action = own(self.store.get(key), NAME).action
        look, patience = (self._resized, RESIZE_SECONDS) if action == SIZE else (self._retyped, RETYPE_SECONDS)
        hint = "see the group's activity: `simplicity infrastructure status`"
        way = Way(look=look, patience=patience, hint=hint)
        done = go_on(self.store, NAME, key, way, pause=self.aws.pause)
        if action == TYPE and done.phase is Phase.FAILED and "let_go" not in done.result:
            return self._let_go(done)
        return done

    def _running(self, target: str) -> Group:
        """Return a group that is not stopped. Raises Refusal."""
        found = groups.one(self.aws, self._name(target))
        if found.stopped:
            raise Refusal(f"{found.name}: {STOPPED}")
        return found

    def _target(self, key: str, group: str) -> str:
        """Return which group; once begun it stays that one, whichever colour has the traffic by now."""
        found = self.store.find(key)
        return found.target if found is not None and group in {API, found.target} else self.which(group)

    def _name(self, group: str) -> str:
        driver = self.environment.drivers.get("scaler")
        return (driver.settings.get(group) if driver else None) or self.aws.name(group)

    def _resized(self, operation: Operation) -> Seen:
        wanted = int(str(operation.arguments["size"]))
        group = groups.one(self.aws, self._name(operation.target))
        before = operation.result.get("before", group.desired)
        noted = {"before": before, "hosts": [each.id for each in group.machines]}
        if group.stopped:
            return Seen(f"{group.name}: {STOPPED}", noted, failed=True)
        if group.desired != wanted and "reached" in operation.result:
            return Seen(
                f"{group.name} is to have {group.desired} hosts by now, not {wanted}: a scaling policy or somebody else"
                " has changed it meanwhile; its policies hold it to the load",
                noted,
                failed=True,
            )
        if group.desired != wanted:
            if groups.BASE in group.tags:
                groups.tag(self.aws, group.name, groups.BASE, str(wanted))
            self._want(group.name, wanted)
            return Seen(f"{group.name}: from {group.desired} to {wanted} hosts", noted)
        if group.settled:
            return Seen(f"{group.name}: {wanted} hosts serve", noted, over=True)
        return Seen(self._waits(group, operation), noted | {"reached": True})

    def _waits(self, group: Group, operation: Operation) -> str:
        """Say how far a group is, and why its last attempt at a new host failed: a quota, no capacity in a zone."""
        said = self.aws.call(
            "autoscaling", "describe_scaling_activities", AutoScalingGroupName=group.name, MaxRecords=_ACTIVITIES
        )
        since = float(str(operation.result[SINCE]))
        failed = [
            each
            for each in said["Activities"]
            if each["StatusCode"] in {"Failed", "Cancelled"} and each["StartTime"].timestamp() >= since
        ]
        why = " ".join(str(failed[0].get("StatusMessage", "")).split())[:200] if failed else ""
        return f"{group.sentence}; AWS: {why}" if why else group.sentence

    def _retyped(self, operation: Operation) -> Seen:
        wanted = str(operation.arguments["instance_type"])
        group = groups.one(self.aws, self._name(operation.target))
        if group.stopped:
            return Seen(f"{group.name}: {STOPPED}", failed=True)
        if "version" not in operation.result:
            version = self._prepared(group, wanted, operation)
            return Seen(f"{group.name}: version {version} of its template is {wanted}", {"version": version})
        base = int(str(operation.result["base"]))
        move, host = groups.next_move(group, wanted, base)
        if move is Move.DONE:
            self._renew_warm(group.name, wanted)
            self._processes("resume_processes", group.name)
            groups.untag(self.aws, group.name, groups.BASE)
            return Seen(
                f"{group.name}: {base} hosts of {wanted} serve",
                {"hosts": [each.id for each in group.machines]},
                over=True,
            )
        if move is Move.WAIT:
            return Seen(self._waits(group, operation))
        return Seen(self._moved(group, move, host))

    def _prepared(self, group: Group, wanted: str, operation: Operation) -> str:
        """Hold a group, and give it the template for its next hosts; return the template's version."""
        if "version_before" not in operation.result:
            # Before anything is moved: whoever goes on after a killed process finds how the group was.
            noted: dict[str, Any] = {
                "base": group.base,
                "before": sorted({each.type for each in group.machines}),
                "version_before": templates.version_of(self.aws, group),
            }
            operation = self.store.update(operation, detail=operation.detail, result=noted)
        groups.tag(self.aws, group.name, groups.BASE, str(operation.result["base"]))
        if not {*_HELD} <= group.suspended:
            self._processes("suspend_processes", group.name)
        return templates.renew(self.aws, group, wanted, operation.key)

    def _moved(self, group: Group, move: Move, host: str) -> str:
        if move is Move.GROW:
            self._want(group.name, group.desired + 1)
            return f"{group.name}: one host more is started"
        self._end(host, fewer=move is not Move.SWAP)
        return f"{group.name}: {host} goes"

    def _end(self, host: str, *, fewer: bool) -> None:
        self.aws.call(
            "autoscaling",
            "terminate_instance_in_auto_scaling_group",
            InstanceId=host,
            ShouldDecrementDesiredCapacity=fewer,
        )

    def _renew_warm(self, name: str, wanted: str) -> None:
        """End hosts that wait, stopped, as what they were: the group makes others by its new template."""
        try:
            said = self.aws.call("autoscaling", "describe_warm_pool", AutoScalingGroupName=name)
        except GoneError:
            return
        for each in said.get("Instances") or ():
            if each.get("InstanceType", wanted) != wanted:
                self._end(each["InstanceId"], fewer=False)

    def _let_go(self, operation: Operation) -> Operation:
        """Give a group back after a replacement has failed; what AWS refuses now the next poll does.

        The host more that it has started goes, its next hosts are what they were, and its policies act again.
        """
        try:
            if "version_before" in operation.result:
                self._give_back(operation)
        except GoneError:
            pass  # there is no group any more
        except Refusal as error:
            return replace(operation, detail=f"{operation.detail}; the group is still held ({error}): poll it again")
        return self.store.update(operation, detail=operation.detail, result={"let_go": True})

    def _give_back(self, operation: Operation) -> None:
        noted = operation.result
        group = groups.one(self.aws, self._name(operation.target))
        if not templates.give_back(self.aws, group, operation.key, str(noted["version_before"])):
            return  # somebody else replaces its hosts by now
        if not group.stopped:
            # Else whoever starts the environment gives it its number.
            self._want(group.name, int(str(noted["base"])))
        held = [each for each in _HELD if not group.stopped or each not in groups.STOPS]
        self._processes("resume_processes", group.name, held)
        groups.untag(self.aws, group.name, groups.BASE)

    def _want(self, name: str, size: int) -> None:
        self.aws.call(
            "autoscaling", "set_desired_capacity", AutoScalingGroupName=name, DesiredCapacity=size, HonorCooldown=False
        )

    def _processes(self, operation: str, name: str, which: Sequence[str] = _HELD) -> None:
        self.aws.call("autoscaling", operation, AutoScalingGroupName=name, ScalingProcesses=[*which])
