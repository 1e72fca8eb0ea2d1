"""What the table of an environment says, given what hosts and services have answered."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.drivers.haproxy_switch import Reading
from runbooks.drivers.patroni_api import servers
from runbooks.drivers.protocols import ServiceState
from runbooks.infrastructure import rows
from runbooks.infrastructure.rows import Row, Standing

LEADER = {"name": "db1", "role": "leader", "state": "running", "timeline": 3}
FOLLOWER = {"name": "db2", "role": "sync_standby", "state": "streaming", "timeline": 3, "lag": 0}
RELEASES = {"app1": {"blue": "1-a", "green": "2-b"}}
ROLE = 'simplicity_sync_role{{simplicity_sync_role="{}"}} {}\n'
WRITES = ROLE.format("writer", "1.0") + "simplicity_tip_height 183.0\nsimplicity_node_height 184.0\n"
STANDS_BY = ROLE.format("standby", "1.0") + ROLE.format("writer", "0.0")


def _reading(**weights: int) -> Reading:
    return Reading({name.replace("_", "-"): weight for name, weight in weights.items()}, frozenset())


def _of(found: list[Row]) -> dict[str, Row]:
    return {row.name: row for row in found}


def test_the_leader_comes_first_and_a_follower_says_how_far_it_is_behind() -> None:
    found = rows.database_rows(servers({"members": [{**FOLLOWER, "lag": 16}, LEADER]}))
    assert [(row.name, row.does, row.standing) for row in found] == [
        ("db1", "leader", Standing.WELL),
        ("db2", "sync standby", Standing.WELL),
    ]
    assert found[1].detail == "streaming, timeline 3, 16 bytes behind"


@pytest.mark.parametrize(
    ("members", "standings"),
    [
        ([LEADER, {**FOLLOWER, "state": "starting", "lag": "unknown"}], ["well", "degraded"]),
        ([{**LEADER, "role": "replica"}, FOLLOWER], ["down", "down"]),
        ([{**LEADER, "state": "starting"}, FOLLOWER], ["down", "down"]),
    ],
)
def test_without_a_leader_that_runs_the_database_is_down(members: list[dict[str, Any]], standings: list[str]) -> None:
    assert [row.standing for row in rows.database_rows(servers({"members": members}))] == standings


def test_a_colour_without_traffic_is_idle_and_one_with_traffic_that_does_not_answer_is_down() -> None:
    both = {"lb1": _reading(app1_blue=0, app1_green=100), "lb2": _reading(app1_blue=0, app1_green=100)}
    found = _of(rows.api_rows(RELEASES, {"app1-blue": None, "app1-green": 200}, both))
    assert (found["app1-blue"].standing, found["app1-green"].standing) == (Standing.IDLE, Standing.WELL)
    assert found["app1-green"].does == "has traffic"
    assert _of(rows.api_rows(RELEASES, {"app1-green": 503}, both))["app1-green"].standing is Standing.DOWN


def test_balancers_that_differ_or_do_not_know_a_process_are_seen() -> None:
    differ = {"lb1": _reading(app1_green=100), "lb2": _reading(app1_green=5)}
    found = _of(rows.api_rows(RELEASES, {"app1-green": 200}, differ))["app1-green"]
    assert (found.standing, found.detail) == (
        Standing.DEGRADED,
        "2-b, answers 200, weight 100/5 (the balancers differ)",
    )
    half = {"lb1": _reading(app1_green=100), "lb2": _reading()}
    assert _of(rows.api_rows(RELEASES, {"app1-green": 200}, half))["app1-green"].standing is Standing.DEGRADED


@pytest.mark.parametrize(
    ("texts", "standings"),
    [
        ({"app1": WRITES, "app2": STANDS_BY}, ["well", "well"]),
        ({"app1": WRITES, "app2": WRITES}, ["degraded", "degraded"]),
        ({"app1": STANDS_BY, "app2": STANDS_BY}, ["degraded", "degraded"]),
        ({"app1": WRITES, "app2": ""}, ["well", "degraded"]),
    ],
)
def test_exactly_one_sync_writes(texts: dict[str, str], standings: list[str]) -> None:
    found = rows.sync_rows(texts)
    assert [row.standing for row in found] == standings
    if standings == ["well", "well"]:
        assert found[0].detail == "at height 183, the node at 184"


@pytest.mark.parametrize(("holders", "standing"), [(["lb1"], "well"), ([], "degraded"), (["lb1", "lb2"], "degraded")])
def test_exactly_one_balancer_holds_the_shared_address(holders: list[str], standing: str) -> None:
    units = {name: {"haproxy": "active", "keepalived": "active"} for name in ("lb1", "lb2")}
    assert rows.balancer_rows(units, holders, "10.0.0.1")[0].standing == standing
    units["lb1"]["haproxy"] = "failed"
    assert rows.balancer_rows(units, holders, "10.0.0.1")[0].standing is Standing.DOWN


def test_a_job_says_which_of_its_targets_is_lost_and_why() -> None:
    targets = [
        {"health": "up", "lastError": "", "labels": {"job": "node", "instance": "app1"}},
        {"health": "down", "lastError": "connection refused", "labels": {"job": "node", "instance": "app2"}},
        {"health": "down", "lastError": "", "labels": {"job": "etcd", "instance": "db1"}},
    ]
    found = _of(rows.target_rows({"data": {"activeTargets": targets}}))
    assert (found["node"].standing, found["node"].detail) == (
        Standing.DEGRADED,
        "1 of 2 answer; app2: connection refused",
    )
    assert found["etcd"].standing is Standing.DOWN


def test_a_host_with_failed_units_is_degraded_and_names_them() -> None:
    said = {"failed": ["chrony.service"], "load": 0.5, "free": 3 * 2**30}
    found = rows.host_row("app1", "10.0.0.2", ["api"], said)
    assert (found.standing, found.detail) == (
        Standing.DEGRADED,
        "failed: chrony.service; 10.0.0.2, load 0.50, 3.0 GiB free",
    )


def test_the_local_envelope_has_the_same_table() -> None:
    services = [
        ServiceState(name="api-1", group="api", state="running", pid=7, detail="answers"),
        ServiceState(name="sync", group="", state="fatal", pid=0, detail=""),
    ]
    found = rows.local_rows(services)
    assert [(row.tier, row.standing) for row in found] == [("api", Standing.WELL), ("sync", Standing.DOWN)]
