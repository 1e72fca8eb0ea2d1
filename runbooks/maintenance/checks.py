"""One check a component: each asks its component directly and says what to do when the answer is no good."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import httpx2
import psycopg

from infra.environment import EnvironmentFileError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

REQUEST_SECONDS = 1.5
# Prometheus sees a target that has just come up one scrape later.
SCRAPE_PATIENCE = 2.5
# It hands its targets to the scraper only five seconds after its own start.
WARM_UP_SECONDS = 10
# An hour of main-chain blocks: readers see balances of an hour ago.
LAG_DEGRADED = 6
# A day of them: nobody should rely on the answers.
LAG_UNHEALTHY = 144


class Health(StrEnum):
    """How a component is, best first."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a component is, why, what to do about it ("" when healthy), and what was seen (no secrets)."""

    health: Health
    detail: str
    hint: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def unhealthy(detail: str, hint: str) -> Verdict:
    """Return the verdict on a component that does not do its work."""
    return Verdict(Health.UNHEALTHY, detail, hint)


def _see_logs(environment: Environment, component: str, role: str) -> str:
    """Say where to look: on the machines that the document names for a role; a component's own name is no role."""
    if environment.place == "local":
        return f"`simplicity logs {component}` tells why; `simplicity up` starts what is missing"
    where = ", ".join(host.name for host in environment.hosts.get(role, ()))
    return f"look at the logs of {component}{' on ' if where else ''}{where}"


def database(environment: Environment) -> Verdict:
    """Log in as the reader and compare what the database holds with what the document intends."""
    where = environment.endpoints.database
    hint = _see_logs(environment, "postgresql", "database")
    try:
        with psycopg.connect(
            host=where.host,
            port=where.port,
            dbname=where.name,
            user=where.reader_role,
            password=environment.secret("database_reader_password"),
            connect_timeout=2,
            application_name="simplicity maintenance health",
            options="-c statement_timeout=1500",
        ) as connection:
            version = connection.execute("SELECT version_num FROM ops.schema_version").fetchone()
            row = connection.execute("SELECT network, start_height, tip_height FROM index.chain").fetchone()
    except psycopg.errors.UndefinedTable:
        return unhealthy("the database has no schema", "start `simplicity sync` once: it brings the schema")
    except psycopg.Error as error:
        return unhealthy(_first_line(error), hint)
    if version is None or row is None:
        return Verdict(Health.DEGRADED, "the database is empty", "start `simplicity sync`: it begins the index")
    facts = {"schema_version": version[0], "network": row[0], "start_height": row[1], "tip_height": row[2]}
    for name in ("network", "start_height"):
        if facts[name] != getattr(environment, name):
            intended = getattr(environment, name)
            detail = f"holds {name} {facts[name]}, {environment.name} is {intended}"
            return Verdict(Health.UNHEALTHY, detail, "this is another environment's database: check its address", facts)
    if facts["schema_version"] != environment.schema_version:
        detail = f"schema {facts['schema_version']}, the environment is meant to have {environment.schema_version}"
        return Verdict(Health.DEGRADED, detail, "deploy the release that the environment is meant to run", facts)
    return Verdict(Health.HEALTHY, f"tip {facts['tip_height']}, schema {facts['schema_version']}", facts=facts)


def node(environment: Environment) -> Verdict:
    """Ask the node for its chain."""
    hint = _see_logs(environment, "bitcoin-node", "node")
    try:
        info = node_call(environment, "getblockchaininfo")
        facts = {name: info[name] for name in ("chain", "blocks", "headers")}
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        return unhealthy(f"{environment.endpoints.node_rpc}: {_first_line(error)}", hint)
    if facts["chain"] != environment.network:
        detail = f"follows {facts['chain']}, {environment.name} is {environment.network}"
        return Verdict(Health.UNHEALTHY, detail, "this is another network's node: check its address", facts)
    behind = facts["headers"] - facts["blocks"]
    if behind > 1:
        return Verdict(Health.DEGRADED, f"{behind} blocks behind its headers", "it is catching up: wait", facts)
    return Verdict(Health.HEALTHY, f"height {facts['blocks']} of {facts['chain']}", facts=facts)


def node_call(environment: Environment, method: str) -> Any:  # noqa: ANN401 - each method answers in its own shape
    """Call an RPC method without parameters; raises httpx2.HTTPError or ValueError."""
    user, _, password = environment.secret("node_rpc_cookie").partition(":")
    answer = httpx2.post(
        environment.endpoints.node_rpc,
        json={"jsonrpc": "1.0", "id": "health", "method": method, "params": []},
        auth=(user, password),
        timeout=REQUEST_SECONDS,
        trust_env=False,
    )
    return answer.raise_for_status().json()["result"]


def sync(environment: Environment) -> Verdict:
    """Read the writer's metrics, and compare its tip with the node's own word."""
    hint = _see_logs(environment, "sync", "indexer")
    try:
        text = _get(environment.endpoints.sync_metrics).text
        tip = int(metric(text, "simplicity_tip_height"))
        writes = metric(text, 'simplicity_sync_role{simplicity_sync_role="writer"}') == 1
        seen = int(metric(text, "simplicity_node_height"))
    except (httpx2.HTTPError, ValueError) as error:
        return unhealthy(f"{environment.endpoints.sync_metrics}: {_first_line(error)}", hint)
    try:
        # The node's own word: what a stuck follower last saw may be old.
        seen = int(node_call(environment, "getblockcount"))
    except (httpx2.HTTPError, ValueError, KeyError, TypeError, EnvironmentFileError):
        hint = f"the node does not answer; {hint}"
    return lag_verdict(tip=tip, node_height=seen, writes=writes, hint=hint)


def lag_verdict(*, tip: int, node_height: int, writes: bool, hint: str) -> Verdict:
    """Judge the writer by its lag in blocks."""
    lag = max(0, node_height - tip)
    facts = {"tip_height": tip, "node_height": node_height, "lag_blocks": lag, "writer": writes}
    detail = f"tip {tip}, {lag} blocks behind the node"
    if lag > LAG_UNHEALTHY:
        return Verdict(Health.UNHEALTHY, detail, hint, facts)
    if lag > LAG_DEGRADED:
        return Verdict(Health.DEGRADED, detail, hint, facts)
    if not writes:
        return Verdict(Health.DEGRADED, f"does not write: stands by or starts ({detail})", hint, facts)
    return Verdict(Health.HEALTHY, detail, facts=facts)


def api(environment: Environment) -> Verdict:
    """Ask the API whether it lives, and for the tip it serves."""
    hint = _see_logs(environment, "api", "api")
    base = environment.endpoints.api
    try:
        _get(f"{base}/health")
        answer = httpx2.get(f"{base}/v1/indexer/brc20/status", timeout=REQUEST_SECONDS, trust_env=False)
        if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            return Verdict(Health.DEGRADED, "answers, but has nothing to serve", "look at sync and the database")
        facts = dict(answer.raise_for_status().json())
        return Verdict(Health.HEALTHY, f"serves tip {facts['last_indexed_block_main_chain']}", facts=facts)
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        return unhealthy(f"{base}: {_first_line(error)}", hint)


def prometheus(environment: Environment) -> Verdict:
    """Ask Prometheus whether it is ready, and whether it reaches all that it scrapes."""
    base = environment.metrics.url
    deadline = time.monotonic() + SCRAPE_PATIENCE
    try:
        _get(f"{base}/-/ready")
        while True:
            targets = _get(f"{base}/api/v1/targets?state=active").json()["data"]["activeTargets"]
            facts = {target["labels"]["job"]: target["health"] for target in targets}
            lost = sorted(job for job, health in facts.items() if health != "up")
            if (facts and not lost) or time.monotonic() > deadline:
                break
            if set(facts.values()) <= {"unknown"} and (age := _prometheus_age(base)) < WARM_UP_SECONDS:
                return Verdict(Health.HEALTHY, f"started {age:.0f} s ago, begins to scrape", facts=facts)
            time.sleep(0.2)
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        return unhealthy(f"{base}: {_first_line(error)}", _see_logs(environment, "prometheus", "monitoring"))
    if lost or not facts:
        detail = f"cannot scrape {', '.join(lost)}" if lost else "has nothing to scrape"
        return Verdict(Health.DEGRADED, detail, "see the verdict on those; their metrics have a gap meanwhile", facts)
    return Verdict(Health.HEALTHY, f"scrapes {len(facts)} targets", facts=facts)


def _prometheus_age(base: str) -> float:
    started = _get(f"{base}/api/v1/status/runtimeinfo").json()["data"]["startTime"]
    return (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds()


def _get(url: str) -> httpx2.Response:
    # trust_env off: a proxy for the outer world must not stand between us and what is checked.
    return httpx2.get(url, timeout=REQUEST_SECONDS, trust_env=False).raise_for_status()


def metric(text: str, series: str) -> float:
    """Return the value of a series in Prometheus' text format; raises ValueError when it is not there."""
    found = re.search(rf"^{re.escape(series)} (\S+)", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {series} in the metrics")
    return float(found[1])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


CHECKS: dict[str, Callable[[Environment], Verdict]] = {
    "database": database,
    "node": node,
    "sync": sync,
    "api": api,
    "prometheus": prometheus,
}
