"""Alerts of the Bitcoin node, as the indexer and the API meet it."""

from __future__ import annotations

from alerts.model import Alert, Group, Severity

GROUP = Group(
    name="node",
    alerts=(
        Alert(
            name="BitcoinNodeDown",
            severity=Severity.CRITICAL,
            team="indexer",
            expr="max by (cluster) (simplicity_node_up) == 0",
            hold="2m",
            reason="A restart of the node takes about a minute, and blocks come every ten.",
            summary="The Bitcoin node of {{ $labels.cluster }} does not answer the indexer (up is {{ $value }})",
            description=(
                "Everyone, from the next block on: it is not indexed, and how far the index is behind is unknown."
            ),
            runbook="answer-node-down",
            dashboard="bitcoin-node",
        ),
        Alert(
            name="BitcoinNodeStuck",
            severity=Severity.CRITICAL,
            team="indexer",
            expr="""
                max by (cluster) (simplicity_api_node_height)
                == max by (cluster) (simplicity_api_node_height offset 2h)
                and max by (cluster) (simplicity_node_up) == 1
            """,
            hold="1m",
            reason=(
                "Two hours without a block are expected once in some 160 000 blocks, three years: a node that has lost "
                "its peers is far likelier. Nothing else tells, as the index is at the node's tip all the while. By "
                "the API's own questions, since an indexer that waits for its database asks nothing. Compared with two "
                "hours ago, not over two hours, so that what has just started knows that it does not know."
            ),
            summary="The Bitcoin node of {{ $labels.cluster }} answers, but stays at block {{ $value }}",
            description="Everyone: balances are those of an old block, and every check of ours says that all is well.",
            runbook="answer-node-down",
            dashboard="bitcoin-node",
        ),
    ),
)
