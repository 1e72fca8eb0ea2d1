"""The estimate: against sums made by hand, against the program, and against each setting."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from infra.cloud import stacks
from infra.cloud.cost import running, storing
from infra.cloud.cost.estimate import Estimate, estimate
from infra.cloud.cost.meaning import MEANINGS, effect, paths
from infra.cloud.cost.prices import PriceError, Prices, table
from infra.cloud.cost.usage import PUBLIC, TESTING, Usage, usual
from infra.cloud.program import build
from infra.cloud.settings import Settings, check
from infra.cloud.tiers import (
    aurora,
    backups,
    endpoints,
    hosts,
    indexers,
    keys,
    monitoring,
    names,
    patroni,
    secrets,
    shield,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.cloud.recording import Registered

HOURS = 730
SMALL: dict[str, Any] = {
    "environment": "small",
    "region": "us-east-1",
    "owner": "me",
    "cost_center": "ours",
    "network": {"nat": "one", "flow_log_days": 7},
    "database": {"instance_class": "db.t4g.medium", "readers": 1, "storage_gb": 100, "backup_days": 5},
    "cache": {"node_type": "cache.t4g.micro", "replicas": 1},
    "api": {"instance_type": "t4g.small", "minimum": 2, "maximum": 5, "warm": 3},
    "sync": {"instance_type": "t4g.small", "hosts": 2},
    "node": {"instance_type": "t4g.small", "volume_gb": 80},
    "balancer": {"log_days": 30},
    "monitoring": {"instance_type": "t4g.small", "volume_gb": 40, "email": "me@example.com", "budget_usd": 1},
    "backups": {"replica_region": "us-west-2", "lock_days": 10},
    "names": {"domain": "small.example.com"},
}
# A second is asked once, and an answer is one kilobyte: 2,628,000 requests and 2.628 GB a month.
USE = Usage(
    asked=1, answer_bytes=1_000, index_gb=100, rows_millions=7, changed_gb=2, out_gb=50, flow_gb=1, log_gb=3, packed=0.5
)


def settings(**changes: dict[str, Any]) -> Settings:
    return check({**SMALL, **{name: {**SMALL[name], **change} for name, change in changes.items()}})


def lines(of: Estimate, tier: str) -> dict[str, float]:
    return {line.what: line.usd for line in of.lines if line.tier == tier}


def test_the_network_is_its_gateways_its_endpoints_and_its_logs(prices: Prices) -> None:
    assert lines(estimate(settings(), prices, USE), "network") == {
        "1 x NAT gateway": HOURS,
        "through the gateways": 50,
        "addresses of the gateways": HOURS,
        "5 endpoints in 3 zones": 15 * HOURS,
        "flow logs, taken in": pytest.approx(30.4),
        "flow logs, kept": pytest.approx(1.05),
    }


def test_aurora_is_all_its_servers_and_what_it_stores_reads_and_keeps(prices: Prices) -> None:
    found = estimate(settings(), prices, USE)
    assert lines(found, "database") == {
        "2 x Aurora, db.t4g.medium": 2 * HOURS,
        "storage": 100,
        "requests to the storage": 7,
        "point-in-time recovery": 10,
    }


def test_rds_has_a_standby_where_the_data_is_protected_and_a_disk_for_each(prices: Prices) -> None:
    found = estimate(settings(database={"kind": "rds", "readers": 0}), prices, USE)
    assert lines(found, "database") == {
        "2 x RDS, db.t4g.medium": 2 * HOURS,
        "storage": 200,
        "point-in-time recovery": 10,
    }
    found = estimate(settings(database={"kind": "rds", "readers": 0, "protect": False}), prices, USE)
    assert lines(found, "database")["storage"] == 100


def test_patroni_is_three_hosts_of_the_classs_own_type(prices: Prices) -> None:
    found = estimate(settings(database={"kind": "patroni"}), prices, USE)
    assert lines(found, "database") == {
        "3 x PostgreSQL, t4g.medium": 3 * HOURS,
        "disks of PostgreSQL": 3 * (20 + 100),
    }


def test_the_balancer_is_paid_by_the_hour_by_request_and_by_what_goes_out(prices: Prices) -> None:
    found = lines(estimate(settings(), prices, USE), "balancer")
    assert found["load balancer"] == HOURS
    assert found["capacity units"] == HOURS  # never less than one
    assert found["web firewall"] + found["its rules"] == 5
    assert found["requests that it looks at"] == pytest.approx(2.628)
    assert found["to clients"] == pytest.approx(2.628)
    assert found["between zones"] == pytest.approx(4 * 2.628)
    assert found["access logs"] == pytest.approx(2_628_000 * 80 / 1e9 / 30.4 * 30)


def test_a_balancer_with_more_than_a_gigabyte_an_hour_needs_more_units(prices: Prices) -> None:
    many = Usage(**{**vars(USE), "asked": 1_000})
    assert lines(estimate(settings(), prices, many), "balancer")["capacity units"] == pytest.approx(2_628)


def test_indexers_are_the_live_colours_hosts_sync_and_the_disks_of_those_that_stand_by(prices: Prices) -> None:
    hosts_of_it = {
        "2 x API, t4g.small": 2 * HOURS,
        "disks of API": 60,
        "2 x sync, t4g.small": 2 * HOURS,
        "disks of sync": 60,
    }
    with_image = check({**SMALL, "image": "ami-0123456789abcdef0"})
    assert lines(estimate(with_image, prices, USE), "indexers") == {**hosts_of_it, "disks of stopped hosts": 90}
    # Without an image of theirs none stands by.
    assert lines(estimate(settings(), prices, USE), "indexers") == hosts_of_it


def test_at_most_is_every_host_and_every_reader_that_scaling_allows(prices: Prices) -> None:
    found = estimate(settings(), prices, USE)
    assert found.most - found.total == pytest.approx(3 * (HOURS + 30) + 2 * HOURS)
    found = estimate(settings(database={"readers": 0}, api={"maximum": 2}), prices, USE)
    assert found.most == found.total


def test_snapshots_of_aurora_are_whole_and_free_here_as_far_as_point_in_time_recovery_reaches(prices: Prices) -> None:
    found = lines(estimate(settings(), prices, USE), "backups")
    # Five days back: of seven daily ones two are charged, and all weekly, monthly and yearly ones.
    assert found["snapshots"] == (2 + 4 + 12 + 3) * 100
    assert found["copies in us-west-2"] == 2 * (7 + 4 + 12 + 3) * 100
    assert found["to us-west-2"] == pytest.approx(30.4 * 100)
    found = lines(estimate(settings(database={"backup_days": 35}), prices, USE), "backups")
    assert found["snapshots"] == (11 + 3) * 100


def test_snapshots_of_rds_hold_what_changed_and_their_copies_the_whole_once(prices: Prices) -> None:
    found = lines(estimate(settings(database={"kind": "rds", "readers": 0}), prices, USE), "backups")
    # Two gigabytes change in a day, and never more than all there is.
    changes = 7 * 2 + 4 * 14 + 12 * 60.8 + 3 * 100
    assert found["snapshots"] == pytest.approx(changes)
    assert found["copies in us-west-2"] == pytest.approx(2 * (100 + changes))
    assert found["to us-west-2"] == pytest.approx(30.4 * 2)


def test_backups_are_whole_copies_and_locked_days_here_and_at_the_other_regions_price(prices: Prices) -> None:
    found = lines(estimate(settings(database={"kind": "patroni"}), prices, USE), "backups")
    recent, cold = 4 * 50 + 10 * 1, 15 * 50
    assert found["recent"] == recent
    assert found["monthly and yearly"] == cold
    assert found["copy in us-west-2"] == 2 * (recent + cold)
    assert found["to us-west-2"] == pytest.approx(30.4 / 7 * 50 + 30.4)


def test_daily_backups_stay_seven_days_however_short_the_lock(prices: Prices) -> None:
    of = settings(database={"kind": "patroni"}, backups={"lock_days": 1})
    found = lines(estimate(of, prices, USE), "backups")
    assert found["recent"] == 4 * 50 + 7


def test_managed_monitoring_pays_for_samples_at_two_prices(raw: dict[str, Any]) -> None:
    from infra.cloud.cost.prices import parsed  # noqa: PLC0415 - only here

    raw["prices"]["prometheus.samples-more"]["usd"]["us-east-1"] = 0.5
    found = lines(estimate(settings(monitoring={"kind": "managed"}), parsed(raw), USE), "monitoring")
    # Six hosts with 1,500 series each, every 15 seconds: 1,576.8 million samples, all at the first price.
    assert found["samples"] == pytest.approx(157.68)
    assert "samples beyond" not in found
    assert found["disks of monitoring"] == 20 + 20
    many = settings(monitoring={"kind": "managed"}, api={"minimum": 5})
    found = lines(estimate(many, parsed(raw), USE), "monitoring")
    assert found["samples"] == pytest.approx(200)
    assert found["samples beyond"] == pytest.approx((9 * 1_500 * 2_628_000 / 15 - 2e9) / 1e7 * 0.5)


def test_a_stack_whose_clients_are_few_named_addresses_has_no_health_check(prices: Prices) -> None:
    everyone = estimate(settings(), prices, USE)
    few = estimate(settings(balancer={"allowed": ["198.51.100.0/24"]}), prices, USE)
    assert lines(everyone, "names") == {"hosted zone": 1, "health check": 1, "its options": 2}
    assert lines(few, "names") == {"hosted zone": 1}
    assert lines(few, "keys") == {"encryption keys": 5}


def test_a_region_that_stands_by_is_asked_nothing(prices: Prices) -> None:
    found = lines(estimate(settings(names={"failover": "secondary"}), prices, USE), "balancer")
    assert "to clients" not in found
    assert "requests that it looks at" not in found


def test_somebody_elses_node_costs_no_host_and_fewer_gigabytes(prices: Prices) -> None:
    found = estimate(settings(node={"kind": "external", "url": "https://node.example.com"}), prices, USE)
    assert not lines(found, "node")
    assert lines(found, "network")["through the gateways"] == 10


def test_the_total_is_the_sum_of_the_tiers_and_of_the_lines(prices: Prices) -> None:
    found = estimate(settings(), prices, USE)
    assert found.total == pytest.approx(sum(found.tiers.values()))
    assert found.total == pytest.approx(sum(line.quantity * line.price for line in found.lines))
    assert all(line.usd > 0 for line in found.lines)


@pytest.mark.parametrize(
    "changes",
    [
        {"api": {"instance_type": "c9g.large"}},
        {"database": {"instance_class": "db.x9g.large"}},
        {"cache": {"node_type": "cache.m9g.large"}},
        {"backups": {"replica_region": "eu-north-1"}},
    ],
)
def test_what_has_no_price_is_an_error_and_never_nothing(prices: Prices, changes: dict[str, Any]) -> None:
    with pytest.raises(PriceError, match="has no price in"):
        estimate(settings(**changes), prices, USE)


def test_what_only_scaling_would_need_has_to_have_a_price_too(raw: dict[str, Any]) -> None:
    from infra.cloud.cost.prices import parsed  # noqa: PLC0415 - only here

    del raw["prices"]["ec2.t4g.small"]
    with pytest.raises(PriceError, match=r"^ec2.t4g.small: has no price"):
        estimate(settings(), parsed(raw), USE)


@pytest.mark.parametrize("name", stacks.names())
def test_every_stack_has_an_estimate_within_its_budget(name: str) -> None:
    of = stacks.load(name)
    found = estimate(of, table())
    assert 100 < found.total < of.monitoring.budget_usd < 1.5 * found.total
    assert found.total <= found.most


@pytest.mark.parametrize("name", stacks.names())
def test_every_tier_of_every_stack_costs_something(name: str) -> None:
    assert list(estimate(stacks.load(name), table()).tiers) == [
        "keys", "network", "secrets", "backups", "database", "cache", "balancer", "names", "node", "indexers",
        "monitoring", "alarms",
    ]  # fmt: skip


def test_production_in_the_first_region_stands_on_published_prices_alone() -> None:
    assert estimate(stacks.load("production"), table()).derived == 0
    assert estimate(stacks.load("production-eu"), table()).derived > 0


def test_every_setting_is_explained_and_nothing_else_is() -> None:
    assert MEANINGS.keys() == set(paths())


@pytest.mark.parametrize("path", [path for path, meaning in MEANINGS.items() if meaning.other is not None])
def test_every_setting_that_costs_changes_the_estimate(path: str) -> None:
    now, most = effect(path, table())
    assert abs(now) > 0.1 or abs(most) > 0.1


def test_use_is_that_of_the_public_only_on_the_public_chain() -> None:
    assert usual(stacks.load("production")) is PUBLIC
    assert usual(stacks.load("staging")) is TESTING


def test_numbers_that_the_estimate_counts_are_those_of_the_program() -> None:
    of = settings()
    assert len(keys.PURPOSES) == running.KEYS
    assert len(endpoints._ACTIONS) == running.ENDPOINTS  # noqa: SLF001 - what it makes
    assert len(secrets.names(of)) == running.SECRETS
    with_patroni = secrets.names(settings(database={"kind": "patroni"}))
    assert len(with_patroni) == running.SECRETS + running.SECRETS_OF_PATRONI
    assert 1 + len(shield.MANAGED) == running.RULES
    assert running.checked(of) == names.checked(of)
    assert (running.ROOT_GB, running.INDEXER_ROOT_GB) == (hosts.ROOT_GB, indexers.ROOT_GB)
    assert running.SHORT_GB == monitoring.SHORT_GB
    assert (storing.PATRONI_HOSTS, storing.MORE_READERS) == (patroni.HOSTS, aurora.MORE_READERS)
    assert [round(number * apart) for number, apart in storing.KEPT] == list(backups.KEEP.values())
    assert backups.KEEP["daily"] == storing.DAILY_DAYS
    assert backups.KEEP["weekly"] / 7 == storing.WEEKLY
    assert backups.KEEP["monthly"] // 30 + backups.KEEP["yearly"] // 365 == storing.COLD


def test_what_is_counted_is_what_the_program_makes(planned: Callable[[Callable[[], None]], list[Registered]]) -> None:
    of = stacks.load("rehearsal")
    made = Counter(each.type.rpartition(":")[2] for each in planned(lambda: build(of)))
    counted = {line.what: line.quantity for line in estimate(of, table()).lines}
    assert counted["encryption keys"] == made["Key"]
    # One more is RDS' own, and each policy that tracks a target makes two alarms of its own.
    assert counted["secrets"] == made["Secret"] + 1
    assert counted["alarms"] == made["MetricAlarm"] + 2 * 3
    assert counted[f"{made['NatGateway']} x NAT gateway"] == made["NatGateway"] * HOURS
    assert (
        counted[f"{made['ClusterInstance']} x Aurora, {of.database.instance_class}"] == made["ClusterInstance"] * HOURS
    )
    assert made["Instance"] == len([what for what in counted if what.startswith(("1 x node,", "1 x monitoring,"))])
    assert counted.get("hosted zone", 0) == made["Zone"]
    assert counted["health check"] == made["HealthCheck"]
