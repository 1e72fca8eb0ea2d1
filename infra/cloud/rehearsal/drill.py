"""The drill of drift: what somebody changes behind the program's back, and what no drill can change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.compare import same
from infra.cloud.rehearsal.drift import changeable, inject_one, region_of
from infra.cloud.rehearsal.kinds import KINDS

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from infra.cloud.rehearsal.drift import Drift
    from infra.cloud.rehearsal.lab import Lab
    from infra.cloud.rehearsal.state import Resource

    # A resource's URN and one of its properties; no property: all of it.
    Place = tuple[str, str]

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
# What people do to a network and to a database when something does not work, in every drill.
_ALWAYS = {
    "aws:ec2/securityGroup:SecurityGroup": "ingress",
    "aws:rds/parameterGroup:ParameterGroup": "parameters",
    "aws:rds/clusterParameterGroup:ClusterParameterGroup": "parameters",
    "aws:elasticache/parameterGroup:ParameterGroup": "parameters",
}


def injected(lab: Lab, seed: random.Random) -> set[Place]:
    """Change one random property of each type, open a security group, change parameters, delete an alarm."""
    done = {(each.urn, each.property) for each in lab.inject(seed)}
    for token, name in _ALWAYS.items():
        choices = [each for each in _of(lab, token) if name in changeable(KINDS[token], each)]
        if choices and not any((each.urn, name) in done for each in choices):
            there = seed.choice(choices)
            inject_one(there, name, lab.reach, lab.region)
            done.add((there.urn, name))
    taken = {urn for urn, _ in done}
    alarms = [each for each in _of(lab, ALARM) if each.urn not in taken]
    for each in alarms[:1]:
        KINDS[ALARM].delete(lab.reach(region_of(each, lab.region)), each.id, each.outputs)
        done.add((each.urn, ""))
    return done


def named(drifts: list[Drift]) -> set[Place]:
    """Return the places of drifts."""
    return {(each.urn, name) for each in drifts for name in (each.was if each.now is not None else [""])}


def told(places: set[Place]) -> str:
    """Say which they are, in one line."""
    return "; ".join(sorted(f"{urn.rpartition('::')[2]}.{name or 'all of it'}" for urn, name in places))


def values(lab: Lab) -> dict[Place, Any]:
    """Return all that a program may set of what is there; each change of a template is one more version of it."""
    return {
        (there.urn, name): _without_version(there.outputs.get(name))
        for there in lab.state.managed()
        for name in sorted(KINDS[there.type].properties)
    }


def others(before: Mapping[Place, Any], now: Mapping[Place, Any]) -> set[Place]:
    """Return where values are others than before, whatever a plan makes of it."""
    return {
        place
        for place in {*before, *now}
        if not same(before.get(place), now.get(place)) or not same(now.get(place), before.get(place))
    }


def untouched(lab: Lab) -> list[str]:
    """Return what no drill changes, of what a program sets and could change in place; each type in a line."""
    there: dict[str, set[str]] = {}
    done: dict[str, set[str]] = {}
    for each in lab.state.managed():
        kind = KINDS[each.type]
        there.setdefault(each.type, set()).update(set(kind.updates) & set(each.inputs) - kind.unread)
        done.setdefault(each.type, set()).update(changeable(kind, each))
    lines = []
    for token, names in sorted(there.items()):
        if not done[token]:
            lines.append(f"{token}: all of it")
        elif names - done[token]:
            lines.append(f"{token}: {', '.join(sorted(names - done[token]))}")
    return lines


def _of(lab: Lab, token: str) -> list[Resource]:
    return [each for each in lab.state.managed() if each.type == token]


def _without_version(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict) and set(value) == {"id", "version"}:
        return {"id": value["id"]}
    return value
