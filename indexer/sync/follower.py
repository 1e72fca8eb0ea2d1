"""Follow the chain: one step at a time, each ending in a whole block more, a whole block less, or nothing."""

from __future__ import annotations

import time
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING

from indexer import log
from indexer.bitcoin.block import Block, BlockDecodeError, decode, display
from indexer.bitcoin.rpc import NodeError
from indexer.protocol.apply import apply, touched
from indexer.protocol.parse import bind, parse
from indexer.sync import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.bitcoin.source import BlockSource, NodeTip
    from indexer.protocol.model import BlockDelta, Operation
    from indexer.protocol.rules import Rules
    from indexer.store.writer import Writer

logger = log.get(__name__)


class Step(Enum):
    """What a step did."""

    APPLIED = "applied"
    UNDONE = "undone"
    AT_TIP = "at tip"
    NODE_MOVED = "node moved"  # its chain became shorter since it was last looked at: look again


class WrongNetworkError(Exception):
    """The node follows another chain than the one configured."""


class CorruptBlockError(NodeError):
    """The node handed out bytes that are not the block asked for."""


class Follower:
    """Keeps one database on the node's active chain."""

    def __init__(self, source: BlockSource, writer: Writer, rules: Rules) -> None:
        self._source = source
        self._writer = writer
        self._rules = rules
        self._node: NodeTip | None = None
        self._undone = 0

    @property
    def height(self) -> int:
        """The height of the last indexed block."""
        return self._writer.tip.height

    def step(self) -> Step:
        """Move one block towards the node's tip.

        Raises NodeError (try again later), StoreUnavailableError or StaleWriterError (open the writer anew), StoreError
        and WrongNetworkError (an operator must act). Whatever it raises, the database holds whole blocks.
        """
        tip = self._writer.tip
        node = self._node
        # While catching up, the node's tip of some blocks ago is good enough; at the tip it is asked for each time.
        if node is None or tip.height >= node.height:
            node = self._look()
        if tip.height >= node.height:
            return Step.AT_TIP if self._is_on_chain(node) else self._undo()
        next_hash = self._source.hash_at(tip.height + 1)
        if next_hash is None:
            self._node = None
            return Step.NODE_MOVED
        started = time.perf_counter()
        block = self._fetch(next_hash)
        if tip.hash and block.prev_hash != tip.hash:
            return self._undo()
        self._apply(block, node)
        metrics.BLOCK_SECONDS.observe(time.perf_counter() - started)
        return Step.APPLIED

    def _look(self) -> NodeTip:
        node = self._source.tip()
        if node.chain != self._rules.network:
            raise WrongNetworkError(
                f"node follows the chain {node.chain!r}, BITCOIN_NETWORK is {self._rules.network.value!r}; "
                "correct BITCOIN_NETWORK or BITCOIN_RPC_URL"
            )
        if self._node is None or node.height != self._node.height:
            self._writer.note_node_height(node.height)
        self._node = node
        metrics.NODE_HEIGHT.set(node.height)
        metrics.TIP_HEIGHT.set(self._writer.tip.height)
        return node

    def _is_on_chain(self, node: NodeTip) -> bool:
        """Tell whether the chain of a node that is no higher than the index is the indexed one, as far as it reaches.

        A node that is merely behind (restarted, reindexing) is no reorg: nothing is undone for it.
        """
        return node.hash == self._writer.tip.hash or self._writer.knows(node.height, node.hash)

    def _fetch(self, block_hash: bytes) -> Block:
        with _corrupt(block_hash):
            block = decode(self._source.raw_block(block_hash))
            if block.hash != block_hash:
                raise BlockDecodeError(f"got block {display(block.hash)} instead")
        return block

    def _apply(self, block: Block, node: NodeTip) -> None:
        before = self._writer.tip.position
        operations = self._operations(block, before.height + 1)
        state = self._writer.load(*touched(operations))
        delta = apply(block, operations, state, before, self._rules)
        self._writer.commit(delta, node_height=node.height)
        self._settle_reorg()
        _report(delta)

    def _operations(self, block: Block, height: int) -> list[Operation]:
        candidates = [candidate for tx in block.candidates if (candidate := parse(tx, self._rules)) is not None]
        wanted = {outpoint for candidate in candidates for outpoint in candidate.prevouts}
        elsewhere = wanted - block.local_scripts.keys()
        with _corrupt(block.hash):
            scripts = block.local_scripts | self._source.scripts(elsewhere, block.hash)
        return [operation for candidate in candidates for operation in bind(candidate, scripts, self._rules, height)]

    def _undo(self) -> Step:
        tip = self._writer.tip
        self._writer.undo()
        self._node = None
        self._undone += 1
        metrics.BLOCKS_UNDONE.inc()
        metrics.TIP_HEIGHT.set(self._writer.tip.height)
        logger.warning("block undone", height=tip.height, block=display(tip.hash))
        return Step.UNDONE

    def _settle_reorg(self) -> None:
        if not self._undone:
            return
        logger.warning("reorg followed", depth=self._undone, fork_height=self.height - 1)
        metrics.REORGS.inc()
        metrics.LAST_REORG_DEPTH.set(self._undone)
        self._undone = 0


def _report(delta: BlockDelta) -> None:
    metrics.BLOCKS.inc()
    metrics.TIP_HEIGHT.set(delta.after.height)
    for row in delta.rows:
        metrics.OPERATIONS.labels(metrics.operation_label(row.operation.op), str(row.valid).lower()).inc()
    logger.info(
        "block indexed",
        height=delta.after.height,
        block=display(delta.hash),
        operations=len(delta.rows),
        state_hash=delta.after.state_hash.hex(),
    )


@contextmanager
def _corrupt(block_hash: bytes) -> Iterator[None]:
    try:
        yield
    except BlockDecodeError as error:
        raise CorruptBlockError(
            f"node handed out a corrupt block {display(block_hash)} ({error}); check the node's disk; trying again"
        ) from error
