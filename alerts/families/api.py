"""Alerts of the API, as clients see it: at the balancer where that knows, at the processes for the rest."""

from __future__ import annotations

from alerts.model import Alert, Group, Severity

# What people wait for: not the checks and scrapes of our own, which are many and fast, nor what is meant to last.
_ASKED = 'endpoint!~"/health.*|/metrics|.*/(events|all)"'
_P95 = f"histogram_quantile(0.95, sum by (cluster, le) (rate(http_request_duration_seconds_bucket{{{_ASKED}}}[5m])))"
_ENOUGH = f"sum by (cluster) (rate(http_request_duration_seconds_count{{{_ASKED}}}[5m])) > 0.2"

PROCESSES = (
    Alert(
        name="ApiDown",
        severity=Severity.CRITICAL,
        team="api",
        expr='up{job="api"} == 0',
        hold="1m",
        reason="A restart takes seconds; a process that is away for a minute does not come back by itself.",
        summary="{{ $labels.instance }} of the API in {{ $labels.cluster }} does not answer (up is {{ $value }})",
        description="The other processes carry its load. Its event streams are cut off; their clients connect anew.",
        runbook="answer-api-down",
        dashboard="api",
        absent='up{job="api"}',
    ),
    Alert(
        name="NoApiInstance",
        severity=Severity.CRITICAL,
        team="api",
        expr='max by (cluster) (haproxy_backend_active_servers{proxy="api"}) == 0',
        hold="30s",
        reason=(
            "Checks run twice a second, so half a minute is no restart of one process; all clients are hurt at once. "
            "All balancers have to agree: what one of them alone does not reach, it answers with errors that count."
        ),
        summary="The balancers of {{ $labels.cluster }} have {{ $value }} processes of the API that are ready",
        description=(
            "Everyone: requests get stale answers as long as those last, then errors. A balancer asks processes that "
            "are not ready as its last resort."
        ),
        runbook="answer-api-down",
        dashboard="api",
    ),
    Alert(
        name="ApiNotReady",
        severity=Severity.WARNING,
        team="api",
        expr="api_ready == 0",
        hold="5m",
        reason="A start takes seconds, and what lasts minutes (the database is away) has an alert that pages earlier.",
        summary="{{ $labels.instance }} of the API in {{ $labels.cluster }} runs but takes no requests",
        description="The other processes carry its load; with one more that is not ready there may be none.",
        runbook="answer-api-down",
        dashboard="api",
    ),
    Alert(
        name="BalancerDown",
        severity=Severity.CRITICAL,
        team="api",
        expr='up{job="haproxy"} == 0',
        hold="1m",
        reason="It is the address that clients know; a restart takes less than a second.",
        summary="{{ $labels.instance }} before the API in {{ $labels.cluster }} does not answer (up is {{ $value }})",
        description="Everyone who reaches the API through this balancer: no request arrives at any process.",
        runbook="answer-api-down",
        dashboard="api",
        absent='up{job="haproxy"}',
    ),
)

ANSWERS = (
    Alert(
        name="HighErrorRate",
        severity=Severity.CRITICAL,
        team="api",
        expr="""
            sum by (cluster) (rate(haproxy_frontend_http_responses_total{proxy="public", code="5xx"}[5m]))
            / sum by (cluster) (rate(haproxy_frontend_http_responses_total{proxy="public"}[5m])) > 0.05
            and sum by (cluster) (rate(haproxy_frontend_http_responses_total{proxy="public"}[5m])) > 0.2
        """,
        hold="2m",
        reason=(
            "One request in twenty is what people notice and retry into more load; two minutes outlast a restart. "
            "Below a request in five seconds three errors would be enough, so there the burn rates speak. Counted at "
            "the balancer, which also sees what no process answered and does not see checks of our own."
        ),
        summary="{{ $value | humanizePercentage }} of the requests in {{ $labels.cluster }} end in a server's error",
        description="Clients of every route may get errors instead of answers; wallets show that balances are unknown.",
        runbook="answer-api-errors",
        dashboard="api",
    ),
    Alert(
        name="HighResponseTime",
        severity=Severity.CRITICAL,
        team="api",
        expr=f"{_P95} > 2 and {_ENOUGH}",
        hold="2m",
        reason=(
            "Two seconds at the 95th percentile are a hundred times the objective: requests pile up and connections of "
            "the pool with them. Below a request in five seconds a single slow answer would be the percentile."
        ),
        summary="The 95th percentile of answers in {{ $labels.cluster }} is {{ $value | humanizeDuration }}",
        description="Everyone waits: one request in twenty takes longer than this, and clients begin to give up.",
        runbook="answer-slow-api",
        dashboard="api",
    ),
    Alert(
        name="SlowResponses",
        severity=Severity.WARNING,
        team="api",
        expr=f"{_P95} > 1 and {_ENOUGH}",
        hold="5m",
        reason="A second is where people lose their train of thought; five minutes are no burst of cold caches.",
        summary="The 95th percentile of answers in {{ $labels.cluster }} is {{ $value | humanizeDuration }}",
        description="Pages of explorers and wallets are slow; the objective for latency is being spent.",
        runbook="answer-slow-api",
        dashboard="api",
    ),
    Alert(
        name="RemoteCallsSlow",
        severity=Severity.WARNING,
        team="api",
        expr="""
            histogram_quantile(
                0.95,
                sum by (cluster, remote, le) (rate(remote_call_duration_seconds_bucket{outcome!="not_asked"}[5m]))
            ) > 0.1
            and sum by (cluster, remote) (rate(remote_call_duration_seconds_count{outcome!="not_asked"}[5m])) > 0.1
        """,
        hold="5m",
        reason=(
            "Within a network a call takes a few milliseconds; 100 ms are a network or a server in trouble. Calls that "
            "an open breaker refused took no time and say nothing. The node is asked each five seconds; of less than a "
            "call in ten seconds a single slow one would be the percentile."
        ),
        summary=(
            "The 95th percentile of calls of {{ $labels.remote }} in {{ $labels.cluster }} is {{ $value | "
            "humanizeDuration }}"
        ),
        description=(
            "Answers that need the remote wait for it: limits and the shared cache (redis), how far the index is "
            "behind (bitcoin_node). The others are not slower."
        ),
        runbook="answer-slow-api",
        dashboard="api",
    ),
)

LIMITS = (
    Alert(
        name="RateLimitStorm",
        severity=Severity.WARNING,
        team="api",
        expr="sum by (cluster, class) (rate(rate_limited_total[5m])) > 10",
        hold="2m",
        reason="Ten refusals a second are a client that asks at twice the limit for reads and does not back off.",
        summary=(
            "{{ $value | humanize }} requests a second of class {{ $labels.class }} in {{ $labels.cluster }} are over "
            "their limit"
        ),
        description=(
            "The clients that are refused; others only if a limit is too low for what honest ones do. The security log "
            "names the addresses and keys."
        ),
        runbook="answer-security",
        dashboard="api",
    ),
    Alert(
        name="RateLimiterDegraded",
        severity=Severity.WARNING,
        team="api",
        expr="rate_limiter_degraded == 1",
        hold="5m",
        reason="A restart of Redis takes seconds and needs nobody.",
        summary="{{ $labels.instance }} of the API in {{ $labels.cluster }} counts its rate limits by itself",
        description=(
            "Nobody is refused wrongly, but a client that reaches several processes may ask several times more."
        ),
        runbook="answer-cache-down",
        dashboard="api",
    ),
)

GROUP = Group(name="api", alerts=PROCESSES + ANSWERS + LIMITS)
