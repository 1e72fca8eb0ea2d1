"""What the table of an environment says, tier by tier, given what its hosts and services have answered: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbooks.drivers.haproxy_switch import Reading
    from runbooks.drivers.patroni_api import Server
    from runbooks.drivers.protocols import ServiceState

COLOURS = ("blue", "green")
_ROLE = re.compile(r'^simplicity_sync_role\{simplicity_sync_role="(\w+)"\} 1', re.MULTILINE)
_HEIGHT = re.compile(r"^simplicity_(tip|node)_height ([0-9.e+]+)", re.MULTILINE)
# The local envelope's components by tier; what is not named is what it is called itself.
LOCAL_TIERS = {
    "postgresql": "database",
    "api-1": "api",
    "api-2": "api",
    "sync": "sync",
    "valkey": "cache",
    "haproxy": "balancer",
}


class Standing(StrEnum):
    """How a part is: one that is not needed now is idle."""

    WELL = "well"
    IDLE = "idle"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


BAD = frozenset({Standing.DEGRADED, Standing.DOWN, Standing.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One part of a tier: `does` is its role there (leader, writer, holds the address …), "" where it has none."""

    tier: str
    name: str
    standing: Standing
    does: str = ""
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def unknown(tier: str, name: str, why: str) -> Row:
    """Return the row of what does not answer."""
    return Row(tier=tier, name=name, standing=Standing.UNKNOWN, detail=why)


def host_row(name: str, address: str, roles: Sequence[str], said: Mapping[str, Any]) -> Row:
    """Return the row of a host that answers: degraded where units of it have failed."""
    failed = list(said["failed"])
    free = said["free"] / 2**30
    detail = f"{address}, load {said['load']:.2f}, {free:.1f} GiB free"
    return Row(
        tier="hosts",
        name=name,
        standing=Standing.DEGRADED if failed else Standing.WELL,
        does=", ".join(roles),
        detail=f"failed: {', '.join(failed)}; {detail}" if failed else detail,
        facts={"address": address, "failed_units": failed, "load": said["load"], "free_bytes": said["free"]},
    )


def database_rows(servers: Sequence[Server]) -> list[Row]:
    """Return the rows of the database's members; without a leader all of them are down."""
    leads = any(each.leads and each.well for each in servers)
    return [
        Row(
            tier="database",
            name=each.name,
            standing=(Standing.WELL if each.well else Standing.DEGRADED) if leads else Standing.DOWN,
            does=each.role.replace("_", " "),
            detail=_server(each) if leads else f"nobody leads; {_server(each)}",
            facts={"role": each.role, "state": each.state, "timeline": each.timeline, "lag_bytes": each.lag},
        )
        for each in servers
    ]


def _server(server: Server) -> str:
    lag = "" if server.leads else f", {'lag unknown' if server.lag is None else f'{server.lag} bytes behind'}"
    restart = ", waits for a restart" if server.pending_restart else ""
    return f"{server.state}, timeline {server.timeline}{lag}{restart}"


def api_rows(
    hosts: Mapping[str, Mapping[str, str]],
    health: Mapping[str, int | None],
    readings: Mapping[str, Reading],
) -> list[Row]:
    """Return the rows of the API's processes, called HOST-COLOUR.

    `hosts` has each host's release by colour, "" where it has none; `health` the status that each process answers, None
    where it does not; `readings` what each balancer says.
    """
    return [
        _api_row(f"{host}-{colour}", releases.get(colour, ""), health.get(f"{host}-{colour}"), readings)
        for host, releases in hosts.items()
        for colour in COLOURS
    ]


def _api_row(name: str, release: str, status: int | None, readings: Mapping[str, Reading]) -> Row:
    weights = {balancer: each.weights[name] for balancer, each in readings.items() if name in each.weights}
    wanted = any(weights.values())
    ready = status == 200  # noqa: PLR2004 - HTTP's word for it
    standing = Standing.WELL if ready else Standing.IDLE
    if readings and wanted and not ready:
        standing = Standing.DOWN if release else Standing.IDLE
    elif readings and ready and len(weights) < len(readings):
        standing = Standing.DEGRADED
    differ = len(set(weights.values())) > 1
    said = "stopped" if status is None else f"answers {status}"
    weight = "no balancer knows it" if not weights else f"weight {'/'.join(str(each) for each in weights.values())}"
    return Row(
        tier="api",
        name=name,
        standing=Standing.DEGRADED if differ else standing,
        does="has traffic" if ready and wanted else "",
        detail=f"{release or 'no release'}, {said}, {weight}{' (the balancers differ)' if differ else ''}",
        facts={"release": release, "status": status, "weights": weights},
    )


def sync_rows(metrics: Mapping[str, str]) -> list[Row]:
    """Return the rows of sync by host, given its metrics; one writes, at the node's tip."""
    said = {host: _sync(text) for host, text in metrics.items()}
    writers = [host for host, each in said.items() if each["role"] == "writer"]
    return [_sync_row(host, each, len(writers)) for host, each in said.items()]


def _sync(text: str) -> dict[str, Any]:
    heights = {name: int(float(number)) for name, number in _HEIGHT.findall(text)}
    role = _ROLE.search(text)
    return {"role": role[1] if role else "unknown", "height": heights.get("tip"), "node": heights.get("node")}


def _sync_row(host: str, said: Mapping[str, Any], writers: int) -> Row:
    standing, more = Standing.WELL, ""
    if said["role"] not in {"writer", "standby"} or writers != 1:
        standing, more = Standing.DEGRADED, "" if writers == 1 else f"; {writers} write"
    detail = f"at height {said['height']}, the node at {said['node']}" if said["role"] == "writer" else "stands by"
    return Row(tier="sync", name=host, standing=standing, does=said["role"], detail=detail + more, facts=said)


def unit_row(tier: str, name: str, units: Mapping[str, str]) -> Row:
    """Return the row of a host's units, as systemd calls their states."""
    down = {unit: state for unit, state in units.items() if state != "active"}
    words = ", ".join(f"{unit} {state}" for unit, state in (down or units).items())
    return Row(
        tier=tier, name=name, standing=Standing.DOWN if down else Standing.WELL, detail=words, facts={"units": units}
    )


def balancer_rows(units: Mapping[str, Mapping[str, str]], holders: Sequence[str], address: str) -> list[Row]:
    """Return the rows of the balancers: one of them holds the address that they share."""
    rows = []
    for name, states in units.items():
        row = unit_row("balancer", name, states)
        holds = name in holders
        wrong = row.standing is Standing.WELL and len(holders) != 1
        rows.append(
            Row(
                tier=row.tier,
                name=name,
                standing=Standing.DEGRADED if wrong else row.standing,
                does=f"holds {address}" if holds else "stands by",
                detail=row.detail + (f"; {len(holders)} hold {address}" if wrong else ""),
                facts={**row.facts, "holds": holds},
            )
        )
    return rows


def target_rows(said: Mapping[str, Any]) -> list[Row]:
    """Return a row for each job of Prometheus, given its answer on targets."""
    jobs: dict[str, dict[str, str]] = {}
    for each in said["data"]["activeTargets"]:
        why = "" if each["health"] == "up" else (each["lastError"] or each["health"])
        jobs.setdefault(each["labels"]["job"], {})[each["labels"].get("instance", "?")] = why
    return [_target_row(job, instances) for job, instances in sorted(jobs.items())]


def _target_row(job: str, instances: Mapping[str, str]) -> Row:
    lost = {name: why for name, why in instances.items() if why}
    standing = Standing.WELL if not lost else (Standing.DOWN if len(lost) == len(instances) else Standing.DEGRADED)
    detail = f"{len(instances) - len(lost)} of {len(instances)} answer"
    if lost:
        name, why = next(iter(lost.items()))
        detail += f"; {name}: {' '.join(why.split())[:120]}"
    return Row(tier="monitoring", name=job, standing=standing, detail=detail, facts={"lost": lost})


def local_rows(services: Sequence[ServiceState]) -> list[Row]:
    """Return the rows of the local envelope's components."""
    return [
        Row(
            tier=LOCAL_TIERS.get(each.name, "monitoring" if "prometheus" in each.name else "others"),
            name=each.name,
            standing=Standing.WELL if each.state == "running" else Standing.DOWN,
            does=each.group,
            detail=f"{each.state}; {each.detail}" if each.detail else each.state,
            facts={"state": each.state, "pid": each.pid},
        )
        for each in services
    ]
