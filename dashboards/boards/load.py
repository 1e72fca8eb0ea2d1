"""A load test while it runs: what its users do and get, and what that costs the service."""

from __future__ import annotations

from dataclasses import replace

from dashboards.boards.api import ANSWERS as BALANCER
from dashboards.model import Dashboard, Panel, Query, Row, Unit
from dashboards.writing import limit, one, quantile, quantiles

REQUESTS = 'loadtest_requests_total{cluster="$cluster"'

USERS = Row(
    title="The users",
    panels=(
        Panel(
            title="Users",
            description="Users that run, by what they are like, and how many the shape asks for.",
            unit=Unit.NUMBER,
            queries=(
                Query(expr='sum by (user) (loadtest_users{cluster="$cluster"})', legend="{{user}}"),
                Query(expr='max(loadtest_target_users{cluster="$cluster"})', legend="asked for"),
            ),
            witness="load",
        ),
        Panel(
            title="Requests by user",
            description="Requests a second, by what the users are like.",
            unit=Unit.PER_SECOND,
            queries=one(f"sum by (user) (rate({REQUESTS}}}[$__rate_interval]))", "{{user}}"),
            witness="load",
            stacked=True,
        ),
        Panel(
            title="Requests by route",
            description="Requests a second of the ten routes that are asked most at each moment.",
            unit=Unit.PER_SECOND,
            queries=one(f"topk(10, sum by (name) (rate({REQUESTS}}}[$__rate_interval])))", "{{name}}"),
            witness="load",
        ),
    ),
)

ANSWERS = Row(
    title="What they get",
    panels=(
        Panel(
            title="Answers by outcome",
            description="Answers a second, by what they were for the user.",
            unit=Unit.PER_SECOND,
            queries=one(f"sum by (outcome) (rate({REQUESTS}}}[$__rate_interval]))", "{{outcome}}"),
            witness="load",
        ),
        Panel(
            title="Response time, as users see it",
            description="How long half, 95 % and 99 % of the answers took at the client. Longer than at the API: the"
            " way there, or the machine of the test is busy.",
            unit=Unit.SECONDS,
            queries=quantiles("loadtest_request_duration_seconds"),
            witness="load",
            lines=(limit("api-latency"),),
        ),
        Panel(
            title="95 % by user",
            description="What 95 % of the answers took at most, by what the users are like.",
            unit=Unit.SECONDS,
            queries=one(quantile(0.95, "loadtest_request_duration_seconds", by=("user",)), "{{user}}"),
            witness="load",
            lines=(limit("api-latency"),),
        ),
    ),
)

COST = Row(
    title="What it costs",
    panels=(
        replace(
            BALANCER,
            title="Answers of the balancer",
            description="Answers a second as the balancer counts them: those of the test and of everybody else.",
        ),
        Panel(
            title="Processor time of the API",
            description="Seconds of processor time a second by process; at 1 it can do no more.",
            unit=Unit.RATIO,
            queries=one(
                'rate(process_cpu_seconds_total{cluster="$cluster", job="api"}[$__rate_interval])', "{{instance}}"
            ),
            witness="load",
        ),
        Panel(
            title="Time in queries",
            description="Seconds a second that queries of all processes take together: how many connections are busy.",
            unit=Unit.NUMBER,
            queries=one(
                'sum by (query) (rate(database_query_duration_seconds_sum{cluster="$cluster"}[$__rate_interval]))',
                "{{query}}",
            ),
            witness="load",
            stacked=True,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="load-test",
    title="Load test",
    description="A load test while it runs: what its users do and get, and what that costs the service.",
    rows=(USERS, ANSWERS, COST),
)
