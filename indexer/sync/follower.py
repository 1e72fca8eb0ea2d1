"""Follow the chain: one step at a time, each ending in whole blocks more, whole blocks less, or nothing."""

from __future__ import annotations

import math
import time
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING

from indexer import log
from indexer.bitcoin.block import display
from indexer.bitcoin.rpc import NodeError
from indexer.protocol.apply import apply, touched
from indexer.sync import metrics
from indexer.sync.ahead import InTurn, on_chain
from indexer.sync.prepare import Preparer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.bitcoin.source import BlockSource, NodeTip
    from indexer.protocol.model import BlockDelta
    from indexer.protocol.rules import Rules
    from indexer.store.writer import Writer
    from indexer.sync.ahead import Ahead
    from indexer.sync.prepare import Prepared

logger = log.get(__name__)

# A transaction ends with the block that reaches one of these. More operations a transaction gain little, and each costs
# memory; the time is how long a client may see nothing move.
BATCH_BLOCKS = 500
BATCH_OPERATIONS = 2_000
BATCH_SECONDS = 1.0
LOOK_SECONDS = 10.0  # at least so often the node's tip is looked at
FAR_BEHIND = 100  # blocks, from which on other processes are worth their start
FORK_SEARCH = 16  # blocks compared at first; four times as many each time that the fork lies deeper


class Step(Enum):
    """What a step did."""

    APPLIED = "applied"
    UNDONE = "undone"
    AT_TIP = "at tip"
    NODE_MOVED = "node moved"  # its chain changed since it was last looked at: look again


class WrongNetworkError(Exception):
    """The node follows another chain than the one configured."""


class IncoherentNodeError(NodeError):
    """The node's blocks do not follow one another."""


def tip_of(source: BlockSource, rules: Rules) -> NodeTip:
    """Return where the node stands. Raises NodeError, and WrongNetworkError where it follows another chain."""
    tip = source.tip()
    if tip.chain != rules.network:
        raise WrongNetworkError(
            f"node follows the chain {tip.chain!r}, BITCOIN_NETWORK is {rules.network.value!r}; "
            "correct BITCOIN_NETWORK or BITCOIN_RPC_URL"
        )
    return tip


class Follower:
    """Keeps one database on the node's active chain.

    `ahead` prepares blocks while many are to be caught up with; without it that is done in turn. `second` is asked for
    blocks of which `source` hands out something else.
    """

    def __init__(
        self,
        source: BlockSource,
        writer: Writer,
        rules: Rules,
        ahead: Ahead | None = None,
        second: BlockSource | None = None,
    ) -> None:
        self._source = source
        self._writer = writer
        self._rules = rules
        self._in_turn = InTurn(Preparer(source, rules, second))
        self._ahead = ahead or self._in_turn
        self._blocks: Iterator[Prepared] | None = None
        self._node: NodeTip | None = None
        self._looked = 0.0
        self._noted: int | None = None
        self._undone = 0

    @property
    def height(self) -> int:
        """The height of the last indexed block."""
        return self._writer.tip.height

    def step(self, *, to_height: int | None = None) -> Step:
        """Move towards the node's tip by a transaction: many blocks while far behind, one at the tip.

        No block above `to_height` is applied. Raises NodeError and WorkersLostError (try again later),
        StoreUnavailableError or StaleWriterError (open the writer anew), UndoMissingError, StoreError and
        WrongNetworkError (an operator must act). Whatever it raises, the database holds whole blocks.
        """
        height = self._writer.tip.height
        node = self._node
        # While catching up, the node's tip of a moment ago is good enough; at the tip it is asked for each time.
        if node is None or height >= node.height or time.monotonic() - self._looked > LOOK_SECONDS:
            node = self._look()
        if height >= node.height:
            self._ahead.close()
            self._note(node)
            return Step.AT_TIP if self._is_on_chain(node) else self._undo()
        if node.height > height + 1:
            self._note(node)
        started = time.perf_counter()
        was_asked_before = self._blocks is not None
        try:
            batch = self._next_blocks(node.height if to_height is None else min(node.height, to_height))
        except NodeError:
            self._note(node)
            raise
        if not batch:
            return self._stop_or_undo(may_be_stale=was_asked_before)
        self._report(self._apply(batch, node), time.perf_counter() - started)
        return Step.APPLIED

    def close(self) -> None:
        """End what works ahead."""
        self._drop_blocks()
        self._ahead.close()

    def _look(self) -> NodeTip:
        self._node = node = tip_of(self._source, self._rules)
        self._looked = time.monotonic()
        metrics.NODE_HEIGHT.set(node.height)
        metrics.TIP_HEIGHT.set(self._writer.tip.height)
        return node

    def _note(self, node: NodeTip) -> None:
        """Let readers see how far behind the index is; the commit of a new tip says it by itself, without one more."""
        if node.height != self._noted:
            self._writer.note_node_height(node.height)
            self._noted = node.height

    def _is_on_chain(self, node: NodeTip) -> bool:
        """Tell whether the chain of a node that is no higher than the index is the indexed one, as far as it reaches.

        A node that is merely behind (restarted, reindexing) is no reorg: nothing is undone for it.
        """
        ours = self._writer.hashes(node.height, node.height)
        return ours.get(node.height, node.hash) == node.hash

    def _next_blocks(self, goal: int) -> list[Prepared]:
        """Return the next blocks, each on the one before and the first on the tip; none where the node has no such."""
        batch: list[Prepared] = []
        previous, operations, deadline = self._writer.tip.hash, 0, math.inf
        try:
            for prepared in self._open_blocks(goal):
                if previous and prepared.prev_hash != previous:
                    break
                if not batch:
                    deadline = time.monotonic() + BATCH_SECONDS
                batch.append(prepared)
                previous = prepared.hash
                operations += len(prepared.operations)
                if len(batch) >= BATCH_BLOCKS or operations >= BATCH_OPERATIONS or time.monotonic() > deadline:
                    return batch
            self._drop_blocks()
        except Exception as error:
            self._drop_blocks()
            if not batch or not isinstance(error, NodeError):
                raise
        return batch

    def _open_blocks(self, goal: int) -> Iterator[Prepared]:
        if self._blocks is None:
            first = self._writer.tip.height + 1
            ahead = self._ahead if goal - first >= FAR_BEHIND else self._in_turn
            self._blocks = ahead.prepare(on_chain(self._source, first, goal))
        return self._blocks

    def _drop_blocks(self) -> None:
        self._blocks = None

    def _apply(self, batch: list[Prepared], node: NodeTip) -> list[BlockDelta]:
        state = self._writer.load(*touched(chain.from_iterable(block.operations for block in batch)))
        position = self._writer.tip.position
        for block in batch:
            delta = apply(block, block.operations, state, position, self._rules)
            self._writer.add(delta)
            position = delta.after
        metrics.COMMIT_BLOCKS.observe(len(batch))
        with metrics.COMMIT_SECONDS.time():
            deltas = self._writer.commit(node_height=node.height)
        self._noted = node.height
        return deltas

    def _stop_or_undo(self, *, may_be_stale: bool) -> Step:
        """Find out why no block follows the tip: the node left our chain, moved meanwhile, or contradicts itself."""
        self._node = None
        tip = self._writer.tip
        theirs = self._source.hashes(tip.height, 1) if tip.hash else []
        if theirs and theirs[0] != tip.hash:
            return self._undo()
        if theirs and not may_be_stale and self._source.hashes(tip.height + 1, 1):
            raise IncoherentNodeError(
                f"node's block {tip.height + 1} does not follow its block {tip.height}; check the node; trying again"
            )
        return Step.NODE_MOVED

    def _undo(self) -> Step:
        """Take back all blocks that are not on the node's chain, at once."""
        self._node = None
        self._drop_blocks()
        tip = self._writer.tip
        fork = self._fork_height()
        if fork == tip.height:
            return Step.NODE_MOVED
        self._writer.undo(fork)
        depth = tip.height - fork
        self._undone += depth
        metrics.BLOCKS_UNDONE.inc(depth)
        metrics.TIP_HEIGHT.set(fork)
        logger.warning("blocks undone", depth=depth, fork_height=fork, block=display(tip.hash))
        return Step.UNDONE

    def _fork_height(self) -> int:
        """Return the height of the last block that the index and the node's chain have in common."""
        high, count = self._writer.tip.height, FORK_SEARCH
        lowest = max(self._writer.undo_from - 1, self._writer.start_height)
        while high >= lowest:
            first = max(lowest, high - count + 1)
            ours = self._writer.hashes(first, high)
            theirs = dict(enumerate(self._source.hashes(first, high - first + 1), start=first))
            common = [height for height in ours if theirs.get(height) == ours[height]]
            if common:
                return max(common)
            high, count = first - 1, count * 4
        return self._writer.start_height - 1  # before the first block every chain agrees

    def _report(self, deltas: list[BlockDelta], seconds: float) -> None:
        if self._undone:
            logger.warning("reorg followed", depth=self._undone, fork_height=deltas[0].after.height - 1)
            metrics.REORGS.inc()
            metrics.LAST_REORG_DEPTH.set(self._undone)
            self._undone = 0
        last = deltas[-1]
        metrics.TIP_HEIGHT.set(last.after.height)
        metrics.count(deltas, seconds)
        logger.info(
            "block indexed",
            height=last.after.height,
            block=display(last.hash),
            blocks=len(deltas),
            operations=sum(len(delta.rows) for delta in deltas),
            state_hash=last.after.state_hash.hex(),
        )
