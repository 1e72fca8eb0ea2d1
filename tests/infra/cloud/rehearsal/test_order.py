"""In which order resources go."""

from __future__ import annotations

import random

from infra.cloud.rehearsal.order import doomed, endings
from infra.cloud.rehearsal.state import Resource
from infra.cloud.rehearsal.values import UNKNOWN


def resource(name: str, *needs: str, parent: str = "", **made_of: str) -> Resource:
    return Resource(
        urn=name,
        type="t",
        name=name,
        custom=True,
        parent=parent,
        inputs=dict.fromkeys(made_of, "known"),
        dependencies=needs,
        made_of={name: (urn,) for name, urn in made_of.items()},
    )


# As after a replacement: what others depend on was made last.
THOSE = [
    resource("subnet", "vpc"),
    resource("host", "subnet", "group", parent="tier"),
    resource("tier"),
    resource("group", "vpc"),
    resource("vpc"),
]


def test_nothing_goes_before_what_depends_on_it_or_lies_in_it_and_the_rest_is_left_to_chance() -> None:
    orders = set()
    for seed in range(50):
        order = [each.urn for each in endings(THOSE, random.Random(seed))]
        assert sorted(order) == sorted(each.urn for each in THOSE)
        for each in THOSE:
            assert all(order.index(each.urn) < order.index(urn) for urn in (*each.dependencies, each.parent) if urn)
        orders.add(tuple(order))
    assert len(orders) > 3
    assert len({tuple(each.urn for each in endings(THOSE, random.Random(7))) for _ in range(5)}) == 1


def test_what_hangs_on_a_replaced_one_by_a_property_that_cannot_change_goes_with_it_and_what_hangs_on_that() -> None:
    vpc, other = resource("vpc"), resource("other", "vpc")
    subnet, host = resource("subnet", "vpc", vpcId="vpc"), resource("host", "subnet", subnetId="subnet")
    alarm = resource("alarm", "host", dimensions="host")

    def replaces(_: Resource, wanted: Resource) -> bool:
        return UNKNOWN in (wanted.inputs.get("vpcId"), wanted.inputs.get("subnetId"))

    found = doomed(vpc, [alarm, host, other, subnet, vpc], replaces)
    assert sorted(each.urn for each in found) == ["host", "subnet"]
