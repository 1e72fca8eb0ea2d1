"""What the table of an environment in the cloud says, given what AWS has answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbooks.drivers.aws_database import Server
from runbooks.drivers.aws_groups import Group, Machine
from runbooks.infrastructure import cloud_rows as rows
from runbooks.infrastructure.rows import Standing

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def _group(well: int, lost: int = 0, desired: int | None = None) -> Group:
    machines = [
        Machine(
            id=f"i-{n}",
            type="c7g.large",
            zone="a",
            state="InService",
            well=n < well,
            detail="" if n < well else "unhealthy",
        )
        for n in range(well + lost)
    ]
    wanted = well + lost if desired is None else desired
    return Group(
        name="g", minimum=0, maximum=4, desired=wanted, machines=tuple(machines), template="lt", version="1", tags={}
    )


@pytest.mark.parametrize(
    ("group", "weight", "standing"),
    [
        (_group(2), 100, Standing.WELL),
        (_group(2), 0, Standing.IDLE),
        (_group(0), 0, Standing.IDLE),
        (_group(0), 100, Standing.DOWN),
        (_group(1, 1), 100, Standing.DEGRADED),
        (_group(0, 2), 100, Standing.DOWN),
        (_group(1, desired=2), 100, Standing.DEGRADED),
        (_group(0), None, Standing.DOWN),
        (_group(2), None, Standing.WELL),
    ],
)
def test_a_group_is_as_well_as_its_hosts_and_idle_without_traffic(
    group: Group, weight: int | None, standing: Standing
) -> None:
    assert rows.group_row("api-blue", group, weight).standing is standing


def test_a_group_names_the_first_host_that_does_not_serve() -> None:
    found = rows.group_row("api-blue", _group(1, 1), 100)
    assert found.detail == "1 of 2 hosts serve, 0 to 4 are allowed, c7g.large; i-1 unhealthy"
    assert (found.tier, found.does) == ("api", "100 % of the requests")


def _server(name: str, *, leads: bool = False, state: str = "available", lag: float | None = None) -> Server:
    return Server(name=name, leads=leads, state=state, zone="us-east-1a", kind="db.r7g.large", lag_ms=lag)


def test_without_a_writer_the_database_is_down_and_a_lag_that_is_not_known_is_not_nought() -> None:
    found = rows.database_rows([_server("a", leads=True), _server("b", lag=18.0), _server("c")])
    assert [each.standing for each in found] == [Standing.WELL] * 3
    assert [each.detail.rpartition(", ")[2] for each in found] == ["us-east-1a", "18 ms behind", "lag unknown"]
    assert {each.standing for each in rows.database_rows([_server("b"), _server("c")])} == {Standing.DOWN}
    assert (
        rows.database_rows([_server("a", leads=True), _server("b", state="rebooting")])[1].standing is Standing.DEGRADED
    )


@pytest.mark.parametrize(
    ("status", "days", "standing"),
    [
        ("ISSUED", 300, "well"),
        ("ISSUED", 20, "degraded"),
        ("ISSUED", 3, "down"),
        ("PENDING_VALIDATION", None, "degraded"),
    ],
)
def test_a_certificate_near_its_end_is_not_well(status: str, days: int | None, standing: str) -> None:
    said: dict[str, Any] = {"Status": status, "DomainName": "api.example.org"}
    if days is not None:
        said["NotAfter"] = NOW + timedelta(days=days)
    assert rows.certificate_row(said, NOW).standing == standing


def _alarm(name: str, state: str, *actions: str) -> dict[str, Any]:
    return {"AlarmName": f"p-{name}", "StateValue": state, "AlarmActions": list(actions), "StateReason": "x > 1"}


def test_only_alarms_that_tell_somebody_are_shown_when_they_sound() -> None:
    scales = _alarm("lag", "ALARM", "arn:aws:autoscaling:us-east-1:1:scalingPolicy:x")
    quiet, blind = _alarm("a", "OK", "arn:aws:sns:us-east-1:1:t"), _alarm("b", "INSUFFICIENT_DATA", "arn:aws:sns:x:1:t")
    (found,) = rows.alarm_rows([scales, quiet, blind], "p-")
    assert (found.standing, found.detail) == (Standing.WELL, "none of 2 sounds, 1 have no data yet")
    (loud,) = rows.alarm_rows([quiet, _alarm("c", "ALARM", "arn:aws:sns:us-east-1:1:t")], "p-")
    assert (loud.name, loud.standing, loud.detail) == ("c", Standing.DEGRADED, "x > 1")
    assert rows.alarm_rows([], "p-")[0].standing is Standing.DOWN


def _budget(spent: str | None, forecast: str | None = None) -> dict[str, Any]:
    parts = {"ActualSpend": spent, "ForecastedSpend": forecast}
    known = {name: {"Amount": amount, "Unit": "USD"} for name, amount in parts.items() if amount is not None}
    return {"BudgetLimit": {"Amount": "1000.0", "Unit": "USD"}, "CalculatedSpend": known}


@pytest.mark.parametrize(
    ("said", "standing", "detail"),
    [
        (_budget("200.4"), "well", "200 USD of 1000 spent"),
        (_budget("200", "1200"), "degraded", "200 USD of 1000 spent, 1200 forecast"),
        (_budget(None), "well", "what is spent is not known yet"),
    ],
)
def test_a_budget_that_will_be_exceeded_is_seen_before_it_is(said: dict[str, Any], standing: str, detail: str) -> None:
    found = rows.budget_row("month", said)
    assert (found.standing, found.detail) == (standing, detail)


@pytest.mark.parametrize(
    ("state", "encrypted", "standing"),
    [("in-use", True, "well"), ("available", True, "degraded"), ("in-use", False, "degraded")],
)
def test_a_volume_that_nobody_has_or_that_is_not_encrypted_is_seen(state: str, encrypted: bool, standing: str) -> None:  # noqa: FBT001
    said = {"VolumeId": "vol-1", "State": state, "Size": 20, "Encrypted": encrypted, "Attachments": []}
    assert rows.volume_row("node-data", said).standing == standing


@pytest.mark.parametrize(
    ("state", "system", "standing"),
    [("running", "ok", "well"), ("running", "impaired", "degraded"), ("stopped", "", "down")],
)
def test_a_host_whose_machine_is_impaired_is_seen(state: str, system: str, standing: str) -> None:
    said = {"InstanceId": "i-1", "State": {"Name": state}, "InstanceType": "t4g.large", "PrivateIpAddress": "10.20.0.9"}
    checks = {"InstanceStatus": {"Status": "ok"}, "SystemStatus": {"Status": system}} if system else None
    assert rows.host_row("node", said, checks).standing == standing


def test_a_cache_has_a_row_for_each_member_with_its_role() -> None:
    members = [{"CacheClusterId": "c-1", "CurrentRole": "primary"}, {"CacheClusterId": "c-2", "CurrentRole": "replica"}]
    said = {
        "ReplicationGroupId": "c",
        "Status": "available",
        "AutomaticFailover": "enabled",
        "NodeGroups": [{"NodeGroupMembers": members}],
    }
    assert [(each.name, each.does, each.standing) for each in rows.cache_rows(said)] == [
        ("c-1", "primary", Standing.WELL),
        ("c-2", "replica", Standing.WELL),
    ]
    assert rows.cache_rows({"ReplicationGroupId": "c", "Status": "deleting"})[0].standing is Standing.DOWN


def test_a_balancer_that_sends_to_nobody_is_down() -> None:
    said = {"LoadBalancerName": "staging-api", "State": {"Code": "active"}, "DNSName": "x.elb.amazonaws.com"}
    assert rows.balancer_row(said, {"blue": 100, "green": 0}).standing is Standing.WELL
    assert rows.balancer_row(said, {"blue": 0, "green": 0}).standing is Standing.DOWN
