"""The node's own blocks, in order, prepared as the follower prepares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.bitcoin.rpc import NodeUnavailableError
from indexer.sync.ahead import InTurn, on_chain
from indexer.sync.follower import tip_of
from indexer.sync.prepare import Preparer

if TYPE_CHECKING:
    from indexer.bitcoin.source import BlockSource
    from indexer.protocol.rules import Rules
    from indexer.sync.ahead import Ahead
    from indexer.sync.prepare import Prepared


class NodeBlocks:
    """The blocks of the node's active chain from `first` up to `height`: `last`, or the tip where that is lower."""

    def __init__(self, source: BlockSource, rules: Rules, first: int, last: int, ahead: Ahead | None = None) -> None:
        self.height = min(tip_of(source, rules).height, last)
        self._blocks = (ahead or InTurn(Preparer(source, rules))).prepare(on_chain(source, first, self.height))

    def block(self, height: int) -> Prepared:
        """Return the next block, which is that at `height`. Raises NodeError."""
        block = next(self._blocks, None)
        if block is None or block.height != height:
            raise NodeUnavailableError(f"node's chain lost block {height} while it was being read; try again")
        return block
