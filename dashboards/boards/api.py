"""The API: what clients ask, what they get, how long it takes, who is refused."""

from __future__ import annotations

from alerts.slo import slo
from dashboards.model import Dashboard, Panel, Row, Unit
from dashboards.writing import above, below, budget, limit, one, quantile, quantiles, share

RESPONSES = 'haproxy_frontend_http_responses_total{cluster="$cluster", proxy="public"'
# As the alerts have it: event streams and bulk lists are meant to last, and the balancer's questions are not clients'.
SHORT = 'endpoint!~"/health.*|/metrics|.*/(events|all)"'

ANSWERS = Panel(
    title="Answers",
    description="Answers a second by the class of their status, counted at the balancer. A sudden fall is as bad as a"
    " rise: look whether clients reach the balancer at all.",
    unit=Unit.PER_SECOND,
    queries=one(f'sum by (code) (rate({RESPONSES}, code!~"1xx|other"}}[$__rate_interval]))', "{{code}}"),
    witness="load",
)

FAILED = Panel(
    title="Failed answers",
    description="The share of answers that are errors of ours (5xx), counted at the balancer. Above the line the budget"
    " shrinks; the route's log lines tell why.",
    unit=Unit.RATIO,
    queries=one(
        share(
            f'sum by (cluster) (rate({RESPONSES}, code="5xx"}}[$__rate_interval]))',
            f"sum by (cluster) (rate({RESPONSES}}}[$__rate_interval]))",
            slo()["api-availability"].minimum_rate,
        ),
        "5xx",
    ),
    witness="database-stopped",
    lines=(budget("api-availability"), above(0.05, "HighErrorRate", "critical")),
)

RESPONSE_TIME = Panel(
    title="Response time",
    description="How long half, 95 % and 99 % of the answers took in the API's processes, without event streams and"
    " bulk lists. When it rises, compare with the time of queries on the dashboard Database.",
    unit=Unit.SECONDS,
    queries=quantiles("http_request_duration_seconds", where=SHORT),
    witness="slow-queries",
    lines=(limit("api-latency"), above(1, "SlowResponses"), above(2, "HighResponseTime", "critical")),
)

REQUESTS = Row(
    title="Requests",
    panels=(
        ANSWERS,
        FAILED,
        RESPONSE_TIME,
        Panel(
            title="Slowest routes",
            description="The 95th percentile of the five routes that are slowest at each moment, so that more than five"
            " may be drawn over time. One route alone points at its query, all together at the database or the host.",
            unit=Unit.SECONDS,
            queries=one(
                f"topk(5, {quantile(0.95, 'http_request_duration_seconds', by=('endpoint',), where=SHORT)} > 0)",
                "{{endpoint}}",
            ),
            witness="slow-queries",
            lines=(limit("api-latency"),),
            width=12,
        ),
        Panel(
            title="Answers from the cache",
            description="Requests a second by what the cache of answers had. Many misses at a steady tip: the cache is"
            " too small, or clients ask for what is never asked twice.",
            unit=Unit.PER_SECOND,
            queries=one(
                'sum by (result) (rate(cache_requests_total{cluster="$cluster"}[$__rate_interval]))', "{{result}}"
            ),
            witness="load",
            stacked=True,
            width=12,
        ),
    ),
)

PARTS = Row(
    title="Processes and what they call",
    panels=(
        Panel(
            title="Processes in rotation",
            description="API processes that a balancer gives requests to; of several balancers the fewest. Below one it"
            " asks those that are not ready, and most answers are errors.",
            unit=Unit.NUMBER,
            queries=one('min(haproxy_backend_active_servers{cluster="$cluster", proxy="api"})', "in rotation"),
            witness="api-stopped",
            lines=(below(1, "NoApiInstance", "critical"),),
        ),
        Panel(
            title="Calls of other servers",
            description="The 95th percentile of calls of node and Redis, retries included. The API answers without"
            " either, but slower and with limits by process.",
            unit=Unit.SECONDS,
            queries=one(
                quantile(0.95, "remote_call_duration_seconds", by=("remote",), where='outcome!="not_asked"') + " > 0",
                "{{remote}}",
            ),
            witness="node-stopped",
            lines=(above(0.1, "RemoteCallsSlow"),),
        ),
        Panel(
            title="Servers that are not asked",
            description="Breakers, at their worst over the processes: 0 closed, 1 half open, 2 open (the server is not"
            " called, since it did not answer).",
            unit=Unit.NUMBER,
            queries=one('max by (remote) (breaker_state{cluster="$cluster"})', "{{remote}}"),
            witness="cache-stopped",
        ),
    ),
)

ACCESS = Row(
    title="Who is refused",
    panels=(
        Panel(
            title="Refused credentials",
            description="Keys and tokens refused, a minute. Many of one reason: `unknown` is guessing, `expired` and"
            " `revoked` a client that was not told.",
            unit=Unit.NUMBER,
            queries=one(
                "60 * sum by (reason)"
                ' (rate(authentication_failures_total{cluster="$cluster", reason!="unavailable"}[$__rate_interval]))',
                "{{reason}}",
            ),
            witness="bad-keys",
            stacked=True,
            lines=(above(10, "FailedLogins"), above(50, "AuthenticationFailures", "critical")),
        ),
        Panel(
            title="Requests over their limit",
            description="Requests refused by a rate limit, a second, by class. The access log names the client.",
            unit=Unit.PER_SECOND,
            queries=one('sum by (class) (rate(rate_limited_total{cluster="$cluster"}[$__rate_interval]))', "{{class}}"),
            witness="rate-limit-storm",
            lines=(above(10, "RateLimitStorm"),),
        ),
        Panel(
            title="Tokens issued",
            description="Tokens issued, a minute. A client that takes one for each request has lost its cache, or is"
            " not the client it says.",
            unit=Unit.NUMBER,
            queries=one('60 * sum(rate(jwt_tokens_issued_total{cluster="$cluster"}[$__rate_interval]))', "tokens"),
            witness="token-spike",
            lines=(above(30, "TokenIssueSpike"),),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="api",
    title="API",
    description="What clients ask, what they get, how long it takes, and who is refused.",
    rows=(REQUESTS, PARTS, ACCESS),
)
