"""Alerts of the index: whether it is written, how far it is behind, and whether it is right."""

from __future__ import annotations

from alerts.model import Alert, Group, Severity

WRITING = (
    Alert(
        name="IndexerDown",
        severity=Severity.WARNING,
        team="indexer",
        expr='up{job="sync"} == 0',
        hold="1m",
        reason="A restart takes seconds. It is a cause: where a standby took over nobody is hurt, else NoWriter pages.",
        summary="{{ $labels.instance }} of {{ $labels.cluster }} does not answer (up is {{ $value }})",
        description="With a standby nobody, but the next fault stops the index; without one it stands still now.",
        runbook="answer-indexer-down",
        dashboard="indexer",
        absent='up{job="sync"}',
    ),
    Alert(
        name="NoWriter",
        severity=Severity.CRITICAL,
        team="indexer",
        expr='max by (cluster) (simplicity_sync_role{simplicity_sync_role="writer"}) == 0',
        hold="2m",
        reason="A standby takes over within seconds, a restart with migrations takes less than a minute.",
        summary="{{ $value }} processes write the index of {{ $labels.cluster }}",
        description="Everyone: no new block is indexed, so that balances grow old from the next block on.",
        runbook="answer-indexer-down",
        dashboard="indexer",
        absent='simplicity_sync_role{simplicity_sync_role="writer"}',
    ),
)

KEEPING_UP = (
    Alert(
        name="IndexerNotAdvancing",
        severity=Severity.CRITICAL,
        team="indexer",
        expr="""
            min by (cluster) (simplicity_api_lag_blocks) > 0
            and max by (cluster) (changes(simplicity_api_tip_height[5m])) == 0
        """,
        hold="5m",
        reason=(
            "A block takes well under a second, and while it catches up the tip moves all the time. Seen from the API, "
            "which knows the node's height by itself: it also tells when the indexer hangs. All processes have to "
            "agree, as one that lost its database is behind alone."
        ),
        summary="The index of {{ $labels.cluster }} stands still, {{ $value }} blocks behind the node",
        description="Everyone: balances and histories are those of an old block, while answers look as good as ever.",
        runbook="answer-indexer-behind",
        dashboard="indexer",
    ),
    Alert(
        name="IndexerLagging",
        severity=Severity.WARNING,
        team="indexer",
        expr="min by (cluster) (simplicity_api_lag_blocks) > 1",
        hold="10m",
        reason=(
            "The objective is within one block of the node. Ten minutes are the mean time to the next block: who is "
            "two behind for as long does not keep up."
        ),
        summary="The index of {{ $labels.cluster }} is {{ $value }} blocks behind the node",
        description="Everyone sees balances from before these blocks. Expected while an index is built or restored.",
        runbook="answer-indexer-behind",
        dashboard="indexer",
    ),
)

RIGHT = (
    Alert(
        name="ReorgTooDeep",
        severity=Severity.CRITICAL,
        team="indexer",
        expr="simplicity_reorg_too_deep == 1",
        hold="1m",
        reason="It never passes by itself; a minute lets a node that was restarted find back to its chain.",
        summary=(
            "The node's chain left that of {{ $labels.instance }} in {{ $labels.cluster }} below what can be taken back"
        ),
        description="Everyone: the index follows a chain that the node has left, and stands still until it is rebuilt.",
        runbook="answer-reorg",
        dashboard="indexer",
    ),
    Alert(
        name="DeepReorg",
        severity=Severity.WARNING,
        team="indexer",
        expr="simplicity_last_reorg_depth > 3 and increase(simplicity_reorgs_total[1h]) > 0",
        hold="0s",
        reason=(
            "Mainnet has not replaced more than three blocks since 2013: deeper is an attack, a fork, or a node on the "
            "wrong chain. It is told at once and for an hour, since it is over by then."
        ),
        summary="{{ $labels.instance }} in {{ $labels.cluster }} took {{ $value }} blocks back",
        description=(
            "Everyone who acted on one of these blocks: what they saw may never have happened. The index itself "
            "followed."
        ),
        runbook="answer-reorg",
        dashboard="indexer",
    ),
    Alert(
        name="StateHashMismatch",
        severity=Severity.CRITICAL,
        team="indexer",
        expr="simplicity_state_hash_mismatch == 1",
        hold="1m",
        reason=(
            "What was recorded of a block outside never changes. A minute is a second look, so that a block which is "
            "being replaced raises nothing."
        ),
        summary="The index of {{ $labels.cluster }} contradicts the state that was recorded of one of its blocks",
        description=(
            "Everyone may get wrong answers: rows were changed by hand, by a fault of the disk, or by an intruder. "
            "Backups made since may hold it too."
        ),
        runbook="answer-state-mismatch",
        dashboard="indexer",
    ),
)

GROUP = Group(name="indexer", alerts=WRITING + KEEPING_UP + RIGHT)
