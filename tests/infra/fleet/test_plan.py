from __future__ import annotations

import pytest

from infra.fleet.plan import Machine, Plan


def test_every_host_has_an_address_of_its_own_in_the_network() -> None:
    plan = Plan()
    addresses = [plan.address(host.number) for host in plan.hosts]
    assert len({*addresses, plan.control, plan.virtual}) == len(plan.hosts) + 2


def test_the_shape_of_production_is_there_small() -> None:
    plan = Plan()
    assert {role: len(plan.of(role)) for role in ("database", "application", "monitoring", "balancer")} == {
        "database": 2, "application": 2, "monitoring": 1, "balancer": 2,
    }  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "Lab", "toolong", "la-b", "1ab", "la/b"])
def test_a_prefix_that_the_kernel_would_not_take_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Plan(prefix=prefix)


@pytest.mark.parametrize(
    "hosts",
    [
        (Machine("db1", "database", 11), Machine("db1", "database", 12)),
        (Machine("db1", "database", 11), Machine("db2", "database", 11)),
        (Machine("db1", "database", 1),),
        (Machine("Db1", "database", 11),),
    ],
)
def test_hosts_that_would_be_one_another_are_refused(hosts: tuple[Machine, ...]) -> None:
    with pytest.raises(ValueError, match=r"host|address"):
        Plan(hosts=hosts)


def test_a_host_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(KeyError, match="db1, db2, app1"):
        Plan().named("db9")
