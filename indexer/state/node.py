"""The node's own blocks, in order, prepared as the follower prepares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.bitcoin.rpc import NodeUnavailableError
from indexer.sync.ahead import InTurn
from indexer.sync.follower import WrongNetworkError
from indexer.sync.prepare import Preparer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.bitcoin.source import BlockSource
    from indexer.protocol.rules import Rules
    from indexer.sync.ahead import Ahead
    from indexer.sync.prepare import Prepared

_HASHES = 500  # asked for at once


class NodeBlocks:
    """The blocks of the node's active chain from `first` up to `height`: `last`, or the tip where that is lower."""

    def __init__(self, source: BlockSource, rules: Rules, first: int, last: int, ahead: Ahead | None = None) -> None:
        self._source = source
        tip = source.tip()
        if tip.chain != rules.network:
            raise WrongNetworkError(
                f"node follows the chain {tip.chain!r}, BITCOIN_NETWORK is {rules.network.value!r}; "
                "correct BITCOIN_NETWORK or BITCOIN_RPC_URL"
            )
        self.height = min(tip.height, last)
        self._blocks = (ahead or InTurn(Preparer(source, rules))).prepare(self._wanted(first))

    def block(self, height: int) -> Prepared:
        """Return the next block, which is that at `height`. Raises NodeError."""
        block = next(self._blocks, None)
        if block is None or block.height != height:
            raise NodeUnavailableError(f"node's chain lost block {height} while it was being read; try again")
        return block

    def _wanted(self, first: int) -> Iterator[tuple[int, bytes]]:
        while first <= self.height and (hashes := self._source.hashes(first, min(_HASHES, self.height - first + 1))):
            yield from enumerate(hashes, start=first)
            first += len(hashes)
