"""Auto scaling groups as they are, and what to do next to change one: the second part is pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from runbooks.drivers.aws import GoneError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbooks.drivers.aws import Aws

_IN_SERVICE, _HEALTHY, _WARM = "InService", "Healthy", "Warmed"
# On a stopped group: what it had, so that whoever starts it, from whichever machine, gives it that again.
SIZES = "simplicity-sizes"
# On a group whose hosts are replaced: how many it had, which one that is started first does not count among.
BASE = "simplicity-base"
# A load balancer that rises while all hosts are meant to be gone would start some: while it is stopped alarms stay
# without effect.
STOPS = ("AlarmNotification", "ScheduledActions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One host of a group: `well` where it is in service, and each target group that it belongs to finds it healthy."""

    id: str
    type: str
    zone: str
    state: str
    well: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group: `template` and `version` are those of its launch template, as the group names them."""

    name: str
    minimum: int
    maximum: int
    desired: int
    machines: tuple[Machine, ...]
    template: str
    version: str
    target_groups: tuple[str, ...] = ()
    suspended: frozenset[str] = frozenset()
    tags: Mapping[str, str]

    @property
    def well(self) -> tuple[Machine, ...]:
        """The hosts that serve."""
        return tuple(each for each in self.machines if each.well)

    @property
    def settled(self) -> bool:
        """Whether as many serve as are wanted, and no other one comes or goes."""
        return len(self.well) == len(self.machines) == self.desired

    @property
    def stopped(self) -> bool:
        """Whether its environment is stopped, or is being stopped or started."""
        return SIZES in self.tags

    @property
    def base(self) -> int:
        """How many hosts it is to have, whether or not one is being replaced."""
        return int(self.tags.get(BASE, self.desired))

    @property
    def sentence(self) -> str:
        """How many serve of how many, and what is with the first of the others."""
        waits = next((f"; {each.id}: {each.detail or each.state}" for each in self.machines if not each.well), "")
        return f"{self.name}: {len(self.well)} of {self.desired} hosts serve{waits}"


def read(aws: Aws, names: Sequence[str]) -> dict[str, Group]:
    """Return groups by name; those that are not there are left out. Raises AwsError."""
    found = aws.all(
        "autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", AutoScalingGroupNames=list(names)
    )
    return {each["AutoScalingGroupName"]: _group(aws, each) for each in found}


def one(aws: Aws, name: str) -> Group:
    """Return a group. Raises AwsError; GoneError where there is none of that name."""
    found = read(aws, [name])
    if name not in found:
        raise GoneError(f"there is no auto scaling group {name} in {aws.region}; `pulumi up` makes it")
    return found[name]


def tag(aws: Aws, name: str, key: str, value: str) -> None:
    """Write a tag on a group, which its hosts do not get."""
    told = {"Key": key, "Value": value, "PropagateAtLaunch": False}
    named = {"ResourceId": name, "ResourceType": "auto-scaling-group"}
    aws.call("autoscaling", "create_or_update_tags", Tags=[told | named])


def untag(aws: Aws, name: str, key: str) -> None:
    """Take a tag from a group; one that is not there is no matter."""
    named = {"Key": key, "ResourceId": name, "ResourceType": "auto-scaling-group"}
    aws.call("autoscaling", "delete_tags", Tags=[named])


def _group(aws: Aws, said: Mapping[str, Any]) -> Group:
    template = said.get("LaunchTemplate") or {}
    targets = tuple(said.get("TargetGroupARNs") or ())
    # A host that waits in the warm pool is none of those that serve.
    there = [each for each in said["Instances"] if not each["LifecycleState"].startswith(_WARM)]
    health = [_health(aws, each) for each in targets] if there else []
    return Group(
        name=said["AutoScalingGroupName"],
        minimum=said["MinSize"],
        maximum=said["MaxSize"],
        desired=said["DesiredCapacity"],
        machines=tuple(_machine(each, health) for each in there),
        template=str(template.get("LaunchTemplateId", "")),
        version=str(template.get("Version", "")),
        target_groups=targets,
        suspended=frozenset(each["ProcessName"] for each in said.get("SuspendedProcesses") or ()),
        tags={each["Key"]: each.get("Value", "") for each in said.get("Tags") or ()},
    )


def _health(aws: Aws, target_group: str) -> dict[str, tuple[str, str]]:
    """Return what a target group says of its targets: the state and why, by instance."""
    said = aws.call("elbv2", "describe_target_health", TargetGroupArn=target_group)["TargetHealthDescriptions"]
    return {
        each["Target"]["Id"]: (each["TargetHealth"]["State"], each["TargetHealth"].get("Reason", "")) for each in said
    }


def _machine(said: Mapping[str, Any], health: Sequence[Mapping[str, tuple[str, str]]]) -> Machine:
    states = [each.get(said["InstanceId"], ("not registered", "")) for each in health]
    detail = "; ".join(f"{state} {why}".strip() for state, why in states if state != "healthy")
    serves = said["LifecycleState"] == _IN_SERVICE and said["HealthStatus"] == _HEALTHY
    return Machine(
        id=said["InstanceId"],
        type=said.get("InstanceType", ""),
        zone=said["AvailabilityZone"],
        state=said["LifecycleState"] if serves else f"{said['LifecycleState']}, {said['HealthStatus']}",
        well=serves and not detail,
        detail=detail,
    )


class Move(StrEnum):
    """What is done next with a group whose hosts are replaced."""

    WAIT = "wait"
    GROW = "grow"
    DROP = "drop"
    SWAP = "swap"
    SHRINK = "shrink"
    DONE = "done"


def next_move(group: Group, wanted: str, base: int) -> tuple[Move, str]:
    """Return the next move of a replacement by hosts of the type `wanted`, and the host that it is for, or "".

    One host more is started first, and an old one ends when that one serves: never do fewer than `base` serve. Where
    the group is at its maximum an old one ends first (SWAP), and one fewer serves until its successor does.
    """
    if not group.settled:
        return Move.WAIT, ""
    old = [each.id for each in group.machines if each.type != wanted]
    if not old:
        return (Move.SHRINK, group.machines[-1].id) if group.desired > base else (Move.DONE, "")
    if group.desired > base:
        return Move.DROP, old[0]
    return (Move.GROW, "") if group.desired < group.maximum else (Move.SWAP, old[0])
