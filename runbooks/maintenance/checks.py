"""One check a component: each asks its component directly and says what to do when the answer is no good."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx2
import psycopg

from alerts.matcher import WATCHDOG
from infra.environment import EnvironmentFileError
from runbooks.maintenance.verdict import (
    REQUEST_SECONDS,
    Health,
    Verdict,
    first_line,
    get,
    metric,
    see_logs,
    unhealthy,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

# Prometheus sees a target that has just come up one scrape later.
SCRAPE_PATIENCE = 2.5
# It hands its targets to the scraper only five seconds after its own start.
WARM_UP_SECONDS = 10
# It finds Alertmanager some seconds after its start, and sends again what could not be sent then.
FIRST_ALERT_SECONDS = 30
# What the balancer asks too: an API that is not ready is about to stop, or has nothing to serve.
READY = "/health/ready"
# An hour of main-chain blocks: readers see balances of an hour ago.
LAG_DEGRADED = 6
# A day of them: nobody should rely on the answers.
LAG_UNHEALTHY = 144
SERVER_CHECK = re.compile(
    r'^haproxy_server_check_status\{proxy="[^"]*",server="(?P<server>[^"]+)",state="(?P<state>\w+)"\} 1', re.MULTILINE
)
SERVER_RETRIES = re.compile(r"^haproxy_server_retry_warnings_total\{[^}]*\} (\S+)", re.MULTILINE)


def database(environment: Environment) -> Verdict:
    """Log in as the reader and compare what the database holds with what the document intends."""
    where = environment.endpoints.database
    hint = see_logs(environment, "postgresql", "database")
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
        return unhealthy(first_line(error), hint)
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
    hint = see_logs(environment, "bitcoin-node", "node")
    try:
        info = node_call(environment, "getblockchaininfo")
        facts = {name: info[name] for name in ("chain", "blocks", "headers")}
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        return unhealthy(f"{environment.endpoints.node_rpc}: {first_line(error)}", hint)
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
    hint = see_logs(environment, "sync", "indexer")
    try:
        text = get(environment.endpoints.sync_metrics).text
        tip = int(metric(text, "simplicity_tip_height"))
        writes = metric(text, 'simplicity_sync_role{simplicity_sync_role="writer"}') == 1
        seen = int(metric(text, "simplicity_node_height"))
    except (httpx2.HTTPError, ValueError) as error:
        return unhealthy(f"{environment.endpoints.sync_metrics}: {first_line(error)}", hint)
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
    """Ask the API through its address for the tip it serves, and each of its processes whether it is ready."""
    hint = see_logs(environment, "api", "api")
    base = environment.endpoints.api
    try:
        get(f"{base}/health")
        answer = httpx2.get(f"{base}/v1/indexer/brc20/status", timeout=REQUEST_SECONDS, trust_env=False)
        if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            return Verdict(Health.DEGRADED, "answers, but has nothing to serve", "look at sync and the database")
        facts = dict(answer.raise_for_status().json())
        detail = f"serves tip {facts['last_indexed_block_main_chain']}"
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        return unhealthy(f"{base}: {first_line(error)}", hint)
    away = [instance for instance in environment.endpoints.api_instances if not _is_ready(instance)]
    if away:
        return Verdict(Health.DEGRADED, f"{detail}, but without {', '.join(away)}", hint, facts)
    return Verdict(Health.HEALTHY, detail, facts=facts)


def _is_ready(instance: str) -> bool:
    try:
        return get(f"{instance}{READY}").is_success
    except httpx2.HTTPError:
        return False


def balancer(environment: Environment) -> Verdict:
    """Read the balancer's metrics: what its last check of each server came to, and how often it asked another."""
    where = environment.endpoints.balancer_metrics
    hint = see_logs(environment, "haproxy", "balancer")
    try:
        text = get(f"{where}?scope=server").text
    except httpx2.HTTPError as error:
        return unhealthy(f"{where}: {first_line(error)}", hint)
    servers = {found["server"]: found["state"] for found in SERVER_CHECK.finditer(text)}
    retries = sum(float(found[1]) for found in SERVER_RETRIES.finditer(text))
    facts = servers | {"retries": int(retries)}
    away = sorted(server for server, state in servers.items() if state != "L7OK")
    if len(away) == len(servers):
        return Verdict(Health.UNHEALTHY, "no process of the API is ready", "see the verdict on the API", facts)
    detail = f"{len(servers) - len(away)} of {len(servers)} processes ready, {int(retries)} requests asked again"
    if away:
        return Verdict(Health.DEGRADED, f"{detail}; away: {', '.join(away)}", "see the verdict on the API", facts)
    return Verdict(Health.HEALTHY, detail, facts=facts)


def cache(environment: Environment) -> Verdict:
    """Log in to Valkey (or Redis) and ask for its memory."""
    import redis  # noqa: PLC0415 - only this check needs it
    from redis.backoff import NoBackoff  # noqa: PLC0415 - as above
    from redis.retry import Retry  # noqa: PLC0415 - as above

    where = str(environment.endpoints.cache)
    password = environment.secret("cache_password") if "cache_password" in environment.secrets else None
    try:
        with redis.Redis.from_url(
            where,
            password=password,
            socket_timeout=REQUEST_SECONDS,
            socket_connect_timeout=REQUEST_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            found = client.info("memory")
    except redis.RedisError as error:
        hint = f"each API process counts rate limits for itself meanwhile; {see_logs(environment, 'valkey', 'cache')}"
        return unhealthy(f"{where}: {first_line(error)}", hint)
    facts = {name: found[name] for name in ("used_memory", "maxmemory", "maxmemory_policy")}
    used, most = (round(facts[name] / 2**20) for name in ("used_memory", "maxmemory"))
    return Verdict(Health.HEALTHY, f"uses {used} of {most} MB", facts=facts)


def prometheus(environment: Environment) -> Verdict:
    """Ask Prometheus whether it is ready, and whether it reaches all that it scrapes."""
    base = environment.metrics.url
    deadline = time.monotonic() + SCRAPE_PATIENCE
    try:
        get(f"{base}/-/ready")
        while True:
            targets = get(f"{base}/api/v1/targets?state=active").json()["data"]["activeTargets"]
            facts = {_name(target["labels"], targets): target["health"] for target in targets}
            lost = sorted(job for job, health in facts.items() if health != "up")
            if (facts and not lost) or time.monotonic() > deadline:
                break
            if set(facts.values()) <= {"unknown"} and (age := _prometheus_age(base)) < WARM_UP_SECONDS:
                return Verdict(Health.HEALTHY, f"started {age:.0f} s ago, begins to scrape", facts=facts)
            time.sleep(0.2)
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        return unhealthy(f"{base}: {first_line(error)}", see_logs(environment, "prometheus", "monitoring"))
    if lost or not facts:
        detail = f"cannot scrape {', '.join(lost)}" if lost else "has nothing to scrape"
        return Verdict(Health.DEGRADED, detail, "see the verdict on those; their metrics have a gap meanwhile", facts)
    return Verdict(Health.HEALTHY, f"scrapes {len(facts)} targets", facts=facts)


def alerting(environment: Environment) -> Verdict:
    """Ask Alertmanager whether it is ready, and whether Prometheus reaches it: then the Watchdog fires there."""
    base = environment.endpoints.alertmanager
    try:
        get(f"{base}/-/ready")
        known = [alert["labels"]["alertname"] for alert in get(f"{base}/api/v2/alerts").json()]
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        hint = f"no alert reaches anybody meanwhile; {see_logs(environment, 'alertmanager', 'monitoring')}"
        return unhealthy(f"{base}: {first_line(error)}", hint)
    facts = {"alerts": len(known) - known.count(WATCHDOG)}
    if WATCHDOG in known:
        return Verdict(Health.HEALTHY, f"knows of {facts['alerts']} alerts", facts=facts)
    try:
        if (age := _prometheus_age(environment.metrics.url)) < FIRST_ALERT_SECONDS:
            return Verdict(Health.HEALTHY, f"Prometheus started {age:.0f} s ago, and sends soon", facts=facts)
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        pass  # its own verdict says so
    detail = "the Watchdog, which always fires, does not arrive: nor would any alert"
    return Verdict(Health.DEGRADED, detail, see_logs(environment, "prometheus", "monitoring"), facts)


def _name(labels: dict[str, str], targets: list[dict[str, Any]]) -> str:
    """Return how to call a target: by its job, or by its instance where the job has several."""
    alone = sum(target["labels"]["job"] == labels["job"] for target in targets) == 1
    return labels["job"] if alone else labels["instance"]


def _prometheus_age(base: str) -> float:
    started = get(f"{base}/api/v1/status/runtimeinfo").json()["data"]["startTime"]
    return (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds()


CHECKS: dict[str, Callable[[Environment], Verdict]] = {
    "database": database,
    "cache": cache,
    "node": node,
    "sync": sync,
    "api": api,
    "balancer": balancer,
    "prometheus": prometheus,
    "alerting": alerting,
}


def checks_of(environment: Environment) -> dict[str, Callable[[Environment], Verdict]]:
    """Return the checks of what an environment has."""
    where = environment.endpoints
    there = {"cache": where.cache, "balancer": where.balancer_metrics, "alerting": where.alertmanager}
    return {name: check for name, check in CHECKS.items() if there.get(name, True)}
