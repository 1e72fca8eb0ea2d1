"""What the table of an environment in the cloud says, tier by tier, given what AWS has answered: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbooks.infrastructure.rows import Row, Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from runbooks.drivers.aws_database import Server
    from runbooks.drivers.aws_groups import Group

# A certificate of Amazon's renews itself 60 days before its end: one that is nearer has not been able to.
CERTIFICATE_DAYS, LAST_DAYS = 30, 7
_CACHE_WELL = "available"


def group_row(part: str, group: Group, weight: int | None) -> Row:
    """Return the row of an auto scaling group; `weight` is the share of the requests in percent, None for sync."""
    detail = f"{len(group.well)} of {group.desired} hosts serve, {group.minimum} to {group.maximum} are allowed"
    types = sorted({each.type for each in group.machines})
    if types:
        detail += f", {'/'.join(types)}"
    lost = [f"{each.id} {each.detail or each.state}" for each in group.machines if not each.well]
    if lost:
        detail += f"; {lost[0]}"
    if group.suspended:
        detail += f"; suspended: {', '.join(sorted(group.suspended))}"
    return Row(
        tier=part.partition("-")[0],
        name=part,
        standing=_group(group, weight),
        does="" if weight is None else f"{weight} % of the requests",
        detail=detail,
        facts={
            "hosts": [each.id for each in group.machines],
            "well": len(group.well),
            "wanted": group.desired,
            "weight": weight,
            "types": types,
            "zones": sorted({each.zone for each in group.well}),
        },
    )


def _group(group: Group, weight: int | None) -> Standing:
    needed = weight is None or weight > 0
    if not group.desired and not group.machines:
        return Standing.DOWN if needed else Standing.IDLE
    if not group.well:
        return Standing.DOWN if needed else Standing.DEGRADED
    if not group.settled:
        return Standing.DEGRADED
    return Standing.WELL if needed else Standing.IDLE


def database_rows(servers: Sequence[Server]) -> list[Row]:
    """Return the rows of a managed database's servers; without a writer all of them are down."""
    leads = any(each.leads and each.well for each in servers)
    return [
        Row(
            tier="database",
            name=each.name,
            standing=(Standing.WELL if each.well else Standing.DEGRADED) if leads else Standing.DOWN,
            does="writer" if each.leads else "reader",
            detail=f"{each.state}, {each.kind}, {each.zone or 'zone unknown'}{_lag(each)}",
            facts={"state": each.state, "zone": each.zone, "class": each.kind, "lag_ms": each.lag_ms},
        )
        for each in servers
    ]


def _lag(server: Server) -> str:
    if server.leads:
        return ""
    return ", lag unknown" if server.lag_ms is None else f", {server.lag_ms:g} ms behind"


def cache_rows(said: Mapping[str, Any]) -> list[Row]:
    """Return a row for each member of the cache's replication group."""
    state = str(said["Status"])
    members = [each for group in said.get("NodeGroups") or () for each in group.get("NodeGroupMembers") or ()]
    names = [each["CacheClusterId"] for each in members] or list(said.get("MemberClusters") or ())
    roles = {each["CacheClusterId"]: each.get("CurrentRole", "") for each in members}
    standing = Standing.WELL if state == _CACHE_WELL else Standing.DEGRADED
    failover = str(said.get("AutomaticFailover", "disabled"))
    return [
        Row(
            tier="cache",
            name=name,
            standing=standing,
            does=roles.get(name, ""),
            detail=f"{state}, failover {failover}",
            facts={"state": state, "failover": failover},
        )
        for name in names
    ] or [Row(tier="cache", name=str(said["ReplicationGroupId"]), standing=Standing.DOWN, detail=f"{state}, no member")]


def host_row(name: str, said: Mapping[str, Any], checks: Mapping[str, Any] | None) -> Row:
    """Return the row of a host that is in no group; `checks` are AWS's own of its machine and its system."""
    state = said["State"]["Name"]
    results = (
        {"instance": checks["InstanceStatus"]["Status"], "system": checks["SystemStatus"]["Status"]} if checks else {}
    )
    bad = [f"{each} {result}" for each, result in results.items() if result == "impaired"]
    standing = Standing.DOWN if state != "running" else (Standing.DEGRADED if bad else Standing.WELL)
    detail = f"{state}, {said.get('InstanceType', '')}, {said.get('PrivateIpAddress', 'no address')}"
    return Row(
        tier="hosts",
        name=name,
        standing=standing,
        does=said["InstanceId"],
        detail=f"{detail}; {', '.join(bad)}" if bad else detail,
        facts={"id": said["InstanceId"], "state": state, "checks": results},
    )


def volume_row(name: str, said: Mapping[str, Any]) -> Row:
    """Return the row of a volume: one that no host has holds data that nobody writes."""
    attached = [each["InstanceId"] for each in said.get("Attachments") or ()]
    encrypted = bool(said.get("Encrypted"))
    well = said["State"] == "in-use" and encrypted
    words = f"{said['State']}, {said['Size']} GiB" + ("" if encrypted else ", not encrypted")
    return Row(
        tier="volumes",
        name=name,
        standing=Standing.WELL if well else Standing.DEGRADED,
        does=", ".join(attached),
        detail=words,
        facts={"id": said["VolumeId"], "state": said["State"], "gib": said["Size"], "encrypted": encrypted},
    )


def certificate_row(said: Mapping[str, Any], now: datetime) -> Row:
    """Return the row of a certificate."""
    status, ends = str(said["Status"]), said.get("NotAfter")
    days = int((ends - now).total_seconds() // 86_400) if ends is not None else None
    standing = Standing.WELL if status == "ISSUED" else Standing.DEGRADED
    if days is not None and days < CERTIFICATE_DAYS:
        standing = Standing.DOWN if days < LAST_DAYS else Standing.DEGRADED
    when = "" if days is None else f", {days} days left"
    return Row(
        tier="certificates",
        name=str(said["DomainName"]),
        standing=standing,
        detail=f"{status.lower()}{when}",
        facts={"status": status, "days": days},
    )


def alarm_rows(said: Sequence[Mapping[str, Any]], prefix: str) -> list[Row]:
    """Return a row for each alarm that sounds, or one that says how many are silent. Those that scale tell nobody."""
    told = [each for each in said if not _scales(each)]
    loud = [each for each in told if each["StateValue"] == "ALARM"]
    rows = [
        Row(
            tier="alarms",
            name=str(each["AlarmName"]).removeprefix(prefix),
            standing=Standing.DEGRADED,
            does="in ALARM",
            detail=" ".join(str(each.get("StateReason", "")).split())[:160],
            facts={"since": str(each.get("StateUpdatedTimestamp", ""))},
        )
        for each in loud
    ]
    if rows:
        return rows
    blind = sum(each["StateValue"] == "INSUFFICIENT_DATA" for each in told)
    detail = f"none of {len(told)} sounds" + (f", {blind} have no data yet" if blind else "")
    standing = Standing.WELL if told else Standing.DOWN
    return [Row(tier="alarms", name="all", standing=standing, detail=detail if told else "there are none")]


def _scales(alarm: Mapping[str, Any]) -> bool:
    actions = alarm.get("AlarmActions") or ()
    return bool(actions) and all(":autoscaling:" in each for each in actions)


def budget_row(name: str, said: Mapping[str, Any]) -> Row:
    """Return the row of a budget: what is spent of it, and what is forecast."""
    limit = float(said["BudgetLimit"]["Amount"])
    spent, forecast = _amount(said, "ActualSpend"), _amount(said, "ForecastedSpend")
    standing = Standing.WELL
    if (spent or 0.0) > limit or (forecast or 0.0) > limit:
        standing = Standing.DEGRADED
    unit = said["BudgetLimit"].get("Unit", "USD")
    words = "what is spent is not known yet" if spent is None else f"{spent:.0f} {unit} of {limit:.0f} spent"
    if forecast is not None:
        words += f", {forecast:.0f} forecast"
    return Row(
        tier="budget",
        name=name,
        standing=standing,
        detail=words,
        facts={"limit": limit, "spent": spent, "forecast": forecast, "unit": unit},
    )


def _amount(said: Mapping[str, Any], part: str) -> float | None:
    found = (said.get("CalculatedSpend") or {}).get(part)
    return float(found["Amount"]) if found else None


def balancer_row(said: Mapping[str, Any], weights: Mapping[str, int]) -> Row:
    """Return the row of the balancer."""
    state = said.get("State", {}).get("Code", "unknown")
    shares = ", ".join(f"{colour} {weight} %" for colour, weight in weights.items())
    return Row(
        tier="balancer",
        name=str(said["LoadBalancerName"]),
        standing=Standing.WELL if state == "active" and any(weights.values()) else Standing.DOWN,
        does=shares,
        detail=f"{state}, {said['DNSName']}",
        facts={"state": state, "weights": dict(weights)},
    )
