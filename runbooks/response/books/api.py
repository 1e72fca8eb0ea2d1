"""Answers to alerts about the API: down, failing, slow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runbooks.response.acts import evidence_step, health, metrics, of_scope, restart_step, service_parameter, unwell
from runbooks.response.answering import answer
from runbooks.response.looks import HEALTH, SERVICES, healthy_look

if TYPE_CHECKING:
    from runbooks.engine.model import Context

SCOPE = ("api", "haproxy")
# A process whose share of failures is beyond the first, while the best one is below the second: it is its own fault.
ERRING, WELL = 0.05, 0.01
# What clients ask: the checks and scrapes of our own always go well, and would make a failing process look half well.
ASKED = 'endpoint!~"/health.*|/metrics"'
FAILED = f'sum by (instance) (rate(http_requests_total{{status=~"5..",{ASKED},HERE}}[2m]))'
ANSWERED = f"sum by (instance) (rate(http_requests_total{{{ASKED},HERE}}[2m]))"
P95 = "histogram_quantile(0.95, sum by ({by}, le) (rate({metric}_bucket{{HERE}}[5m])))"
FAILURES = metrics(
    failures_a_second_by_instance=FAILED,
    answers_a_second_by_instance=ANSWERED,
    by_endpoint='sum by (endpoint, status) (rate(http_requests_total{status=~"5..",HERE}[5m])) > 0',
    balancer='sum by (code) (rate(haproxy_frontend_http_responses_total{proxy="public",HERE}[5m]))',
    breakers="max by (remote) (breaker_state{HERE})",
)
TIMES = metrics(
    request_p95_seconds_by_instance=P95.format(by="instance", metric="http_request_duration_seconds"),
    request_p95_seconds_by_endpoint=P95.format(by="endpoint", metric="http_request_duration_seconds"),
    query_p95_seconds=P95.format(by="query", metric="database_query_duration_seconds"),
    pool_wait_p95_seconds=P95.format(by="pool", metric="database_pool_wait_seconds"),
    remote_p95_seconds=P95.format(by="remote", metric="remote_call_duration_seconds"),
    requests_a_second="sum by (instance) (rate(http_requests_total{HERE}[5m]))",
    requests_a_second_an_hour_ago="sum by (instance) (rate(http_requests_total{HERE}[5m] offset 1h))",
    cache="sum by (result) (rate(cache_requests_total{HERE}[5m]))",
    cpu_seconds_a_second="sum by (instance) (rate(process_cpu_seconds_total{HERE}[5m]))",
)


def shares(context: Context) -> dict[str, float]:
    """Return the share of failures of each process that was asked anything. Raises PrometheusError.

    Two questions: a process has a series of failures only once it has failed, and a quotient would lose the well ones.
    """
    from runbooks.response.prometheus import ask  # noqa: PLC0415 - a page is shown without the packages

    failed = {each.labels.get("instance", ""): each.value for each in ask(context.environment, FAILED)}
    answered = {each.labels.get("instance", ""): each.value for each in ask(context.environment, ANSWERED)}
    found = {name: failed.get(name, 0.0) / total for name, total in answered.items() if total > 0}
    return {name: share for name, share in found.items() if math.isfinite(share)}


def failing(context: Context) -> list[str]:
    """Return the processes that do not answer, and those that fail by themselves while another one does not."""
    from runbooks.response.prometheus import PrometheusError  # noqa: PLC0415 - as in shares()

    found = unwell(context, SCOPE)
    try:
        told = shares(context)
    except PrometheusError as error:
        context.say(f"which process fails cannot be told: {error}")
        return found
    if not told or min(told.values()) > WELL:
        return found
    there = {one.name for one in of_scope(context, ("api",))}
    return [*found, *sorted(name for name in there - set(found) if told.get(name, 0.0) > ERRING)]


DOWN = answer(
    "answer-api-down",
    title="Answer: the API does not answer",
    meaning="A process of the API, or the balancer before them, does not answer, or says that it is not ready. One "
    "process that hangs is taken out by the balancer; nobody notices while another is left.",
    impact="With one process left: none yet, but no spare. With none, or without the balancer: every client gets "
    "errors or nothing.",
    diagnosis=(SERVICES, HEALTH),
    steps=(restart_step(*SCOPE, needs=("database",)),),
    verify=(healthy_look("api", "balancer"),),
    undo="There is nothing to take back: a restart changes no data. What does not come back says why in "
    "`simplicity logs SERVICE`; put that right, then `simplicity runbook resume`.",
    parameters=(service_parameter(*SCOPE, example="api-1"),),
)

ERRORS = answer(
    "answer-api-errors",
    title="Answer: the API answers with errors",
    meaning="More than a few percent of the requests end in an error of ours (5xx). Mostly the database is away or "
    "slow; sometimes one process is broken and the other is not.",
    impact="Clients see errors; those that ask again make more load of it. The budget of availability is being spent.",
    diagnosis=(SERVICES, HEALTH),
    steps=(
        evidence_step(
            {"health": health, "failures": FAILURES},
            "if every process fails alike, the fault lies behind them: answer-database-down, answer-slow-database; if "
            "it began with a release, go back to the one before",
            'in Prometheus, `sum by (endpoint, status, instance) (rate(http_requests_total{status=~"5.."}[5m]))`; '
            "`simplicity logs api-1 --level error`",
        ),
        restart_step(
            *SCOPE, choose=failing, needs=("database",), what="what fails or hangs while another one does not"
        ),
    ),
    verify=(healthy_look("database", "api", "balancer"),),
    undo="There is nothing to take back: a restart changes no data.",
    parameters=(service_parameter(*SCOPE, example="api-2"),),
)

SLOW = answer(
    "answer-slow-api",
    title="Answer: the API is slow",
    meaning="Requests take longer than they may. Either what is behind the API is slow (queries, the cache, the node), "
    "or there is more to answer than before, or one process hangs.",
    impact="Explorers and wallets load slowly; beyond a few seconds clients give up and ask again, which adds load.",
    diagnosis=(SERVICES, HEALTH),
    steps=(
        evidence_step(
            {"health": health, "times": TIMES},
            "queries slow: answer-slow-database; remote calls slow: answer-cache-down or answer-node-down; CPU at its "
            "end: answer-host-pressure; many more requests than an hour ago: lower API_RATE_LIMITS or add processes",
            "in Prometheus, `histogram_quantile(0.95, sum by (endpoint, le) "
            "(rate(http_request_duration_seconds_bucket[5m])))`, the same of `database_query_duration_seconds` by "
            "query and of `remote_call_duration_seconds` by remote",
        ),
        restart_step(*SCOPE, what="what hangs"),
    ),
    verify=(healthy_look("api", "balancer"),),
    undo="There is nothing to take back: a restart changes no data.",
    parameters=(service_parameter(*SCOPE, example="api-1"),),
)

RUNBOOKS = (DOWN, ERRORS, SLOW)
