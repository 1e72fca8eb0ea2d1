"""The indexer: how far it is behind the node, what it writes, and whether what it wrote is what was recorded."""

from __future__ import annotations

from dashboards.model import Dashboard, Panel, Query, Row, Unit
from dashboards.writing import above, one, quantile

FRESHNESS = Row(
    title="Freshness",
    panels=(
        Panel(
            title="Blocks behind the node",
            description="Blocks that the node has and the index lacks, as the API sees it. One is a block that is being"
            " written; more and growing: the writer hangs or waits for the database.",
            unit=Unit.NUMBER,
            queries=one('max by (instance) (simplicity_api_lag_blocks{cluster="$cluster"})', "{{instance}}"),
            witness="sync-stopped",
            lines=(above(2, "IndexerLagging"),),
        ),
        Panel(
            title="Age of the newest answer",
            description="How old the indexed tip is while the node has a newer one; 0 at the node's tip.",
            unit=Unit.SECONDS,
            queries=one('max by (instance) (simplicity_api_lag_seconds{cluster="$cluster"})', "{{instance}}"),
            witness="sync-stopped",
        ),
        Panel(
            title="Blocks indexed",
            description="Blocks committed a minute. None while the node finds blocks: look at the writer's log.",
            unit=Unit.NUMBER,
            queries=one(
                '60 * sum(rate(simplicity_blocks_indexed_total{cluster="$cluster"}[$__rate_interval]))', "blocks"
            ),
            witness="blocks",
        ),
    ),
)

WORK = Row(
    title="Work",
    panels=(
        Panel(
            title="Operations",
            description="Operations recorded a second, by kind. Invalid ones are recorded too, and change no balance.",
            unit=Unit.OPERATIONS_PER_SECOND,
            queries=one(
                'sum by (op, valid) (rate(simplicity_operations_total{cluster="$cluster"}[$__rate_interval]))',
                "{{op}} valid={{valid}}",
            ),
            witness="blocks",
            stacked=True,
        ),
        Panel(
            title="Time for a block",
            description="From asking the node for a block to its commit, the 95th percentile, and of that the commit."
            " A commit that takes most of it points at slow disks, the rest at locks or at the node.",
            unit=Unit.SECONDS,
            queries=(
                Query(expr=quantile(0.95, "simplicity_block_seconds"), legend="block"),
                Query(expr=quantile(0.95, "simplicity_commit_seconds"), legend="commit"),
            ),
            witness="writer-blocked",
        ),
        Panel(
            title="Processor time of the writer",
            description="Seconds of processor time a second. At one, the writer has no core left to go faster.",
            unit=Unit.RATIO,
            queries=one(
                'rate(process_cpu_seconds_total{cluster="$cluster", job="sync"}[$__rate_interval])', "{{instance}}"
            ),
            witness="blocks",
        ),
    ),
)

TRUST = Row(
    title="What could be wrong with it",
    panels=(
        Panel(
            title="Blocks taken back",
            description="How many blocks the newest reorganisation took back, while it lies in the last interval, else"
            " 0. One or two happen in any week.",
            unit=Unit.NUMBER,
            # The depth stays until the next one: it would look as if there were one all the time.
            queries=one(
                'max(simplicity_last_reorg_depth{cluster="$cluster"}'
                ' * (increase(simplicity_reorgs_total{cluster="$cluster"}[$__rate_interval]) > bool 0))',
                "blocks",
            ),
            witness="reorg",
            lines=(above(4, "DeepReorg"),),
            width=12,
        ),
        Panel(
            title="Contradictions of recorded states",
            description="1 while the index contradicts a state hash that was recorded outside of it for the same block:"
            " stop answering from it, and find the first wrong block.",
            unit=Unit.BOOLEAN,
            queries=one('max(simplicity_state_hash_mismatch{cluster="$cluster"})', "contradiction"),
            witness="tampered-state",
            lines=(above(1, "StateHashMismatch", "critical"),),
            width=12,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="indexer",
    title="Indexer",
    description="How far the index is behind the node, what is written, and whether it is what was recorded of it.",
    rows=(FRESHNESS, WORK, TRUST),
)
