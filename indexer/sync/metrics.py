"""What the follower tells Prometheus."""

from __future__ import annotations

import math
import time
from collections import Counter as PlainCounter
from typing import TYPE_CHECKING

from prometheus_client import Counter, Enum, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.protocol.model import BlockDelta

TIP_HEIGHT = Gauge("simplicity_tip_height", "Height of the last indexed block")
NODE_HEIGHT = Gauge("simplicity_node_height", "Height of the Bitcoin node's best block")
BLOCKS = Counter("simplicity_blocks_indexed_total", "Blocks committed")
OPERATIONS = Counter("simplicity_operations_total", "Operations recorded", ["op", "valid"])
BLOCK_SECONDS = Histogram(
    "simplicity_block_seconds",
    "Time from asking for a block to its commit, a block's share where one transaction holds many",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
COMMIT_SECONDS = Histogram(
    "simplicity_commit_seconds",
    "Time of a transaction that stores blocks",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
COMMIT_BLOCKS = Histogram(
    "simplicity_commit_blocks", "Blocks that one transaction stores", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
REORGS = Counter("simplicity_reorgs_total", "Reorganisations of the chain that were followed")
BLOCKS_UNDONE = Counter("simplicity_blocks_undone_total", "Blocks taken back by reorganisations")
LAST_REORG_DEPTH = Gauge("simplicity_last_reorg_depth", "Blocks taken back by the last reorganisation")
REORG_TOO_DEEP = Gauge(
    "simplicity_reorg_too_deep", "1 while the node's chain left the indexed one below what can be taken back"
)
NODE_UP = Gauge("simplicity_node_up", "1 while the Bitcoin node answers; NaN while it is not asked, as by a standby")
NODE_UP.set(math.nan)
NODE_FAILURES = Counter("simplicity_node_failures_total", "Times that the node gave no usable answer")
DATABASE_FAILURES = Counter("simplicity_database_failures_total", "Times that the database was lost or refused")
ROLE = Enum("simplicity_sync_role", "Does this process write or stand by", states=["starting", "standby", "writer"])

# This process's clock, beside the time at which Prometheus asks: a wrong one shows.
CLOCK = Gauge("process_clock_seconds", "What this process's clock says, since 1970")
CLOCK.set_function(time.time)

# An `op` is whatever a stranger wrote into a transaction: as a label it must not grow without bound.
_KNOWN = frozenset({"deploy", "mint", "transfer", "burn"})


def stop_writing() -> None:
    """Say nothing more of what only a writer sees: what it saw last may be over while another one writes."""
    ROLE.state("starting")
    NODE_UP.set(math.nan)
    REORG_TOO_DEEP.set(0)


def count(deltas: Sequence[BlockDelta], seconds: float) -> None:
    """Count the blocks of a transaction and their operations, and the seconds that they took together."""
    BLOCKS.inc(len(deltas))
    counts = PlainCounter((row.operation.op, row.valid) for delta in deltas for row in delta.rows)
    for (op, valid), number in counts.items():
        OPERATIONS.labels(operation_label(op), str(valid).lower()).inc(number)
    for _ in deltas:
        BLOCK_SECONDS.observe(seconds / len(deltas))


def operation_label(op: str) -> str:
    """Return the label under which an operation is counted."""
    return op if op in _KNOWN else "other"
