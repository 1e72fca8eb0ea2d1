"""The Bitcoin node, as those see it that ask it."""

from __future__ import annotations

from dashboards.model import Dashboard, Panel, Row, Unit
from dashboards.writing import above, below, one, quantile

NODE = 'remote="bitcoin_node"'
ASKED = f'{NODE}, outcome!="not_asked"'

ANSWERS = Row(
    title="Does it answer",
    panels=(
        Panel(
            title="Node answers",
            description="1 while the node answered the writer when it was last asked.",
            unit=Unit.BOOLEAN,
            queries=one('min by (instance) (simplicity_node_up{cluster="$cluster"})', "{{instance}}"),
            witness="node-stopped",
            lines=(below(1, "BitcoinNodeDown", "critical"),),
        ),
        Panel(
            title="Failed questions of the writer",
            description="Times a minute that the node gave the writer no usable answer.",
            unit=Unit.NUMBER,
            queries=one(
                '60 * sum by (instance) (rate(simplicity_node_failures_total{cluster="$cluster"}[$__rate_interval]))',
                "{{instance}}",
            ),
            witness="node-stopped",
        ),
        Panel(
            title="Breaker",
            description="Of the API's processes, at the worst: 0 closed, 1 half open, 2 open (the node is not asked).",
            unit=Unit.NUMBER,
            queries=one(f'max by (instance) (breaker_state{{cluster="$cluster", {NODE}}})', "{{instance}}"),
            witness="node-stopped",
        ),
    ),
)

SPEED = Row(
    title="How fast",
    panels=(
        Panel(
            title="Time of calls",
            description="The 95th percentile of the API's calls of the node, retries included.",
            unit=Unit.SECONDS,
            queries=one(quantile(0.95, "remote_call_duration_seconds", by=("instance",), where=ASKED), "{{instance}}"),
            witness="node-stopped",
            lines=(above(0.1, "RemoteCallsSlow"),),
            width=12,
        ),
        Panel(
            title="Calls",
            description="The API's calls of the node a second, by how they went.",
            unit=Unit.PER_SECOND,
            queries=one(
                "sum by (outcome)"
                f' (rate(remote_call_duration_seconds_count{{cluster="$cluster", {NODE}}}[$__rate_interval]))',
                "{{outcome}}",
            ),
            witness="node-stopped",
            stacked=True,
            width=12,
        ),
    ),
)

CHAIN = Row(
    title="Its chain",
    panels=(
        Panel(
            title="New blocks",
            description="Blocks a minute by which the node's chain grew. None for two hours is rarer than a node that"
            " has lost its peers.",
            unit=Unit.NUMBER,
            queries=one('60 * max(deriv(simplicity_node_height{cluster="$cluster"}[$__rate_interval]))', "blocks"),
            witness="blocks",
            width=12,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="bitcoin-node",
    title="Bitcoin node",
    description="Whether the node answers, how fast, and how its chain grows.",
    rows=(ANSWERS, SPEED, CHAIN),
)
