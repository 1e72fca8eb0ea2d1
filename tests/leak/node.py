"""A node that makes up its blocks as they are asked for, moves on when told to, forks and fails now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.bitcoin.rpc import NodeUnavailableError
from indexer.bitcoin.source import NodeTip
from tests.leak.chain import FORK_EVERY, MAIN, ORPHAN, is_forked, transactions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexer.bitcoin.block import OutPoint
    from indexer.bitcoin.source import Place
    from tests.leak.chain import Chain

FAILS_EVERY = 997  # questions


class MadeUpNode:
    """Serves a chain from height 1 on; above its tip it has nothing."""

    def __init__(self, chain: Chain, height: int = 0) -> None:
        self._chain = chain
        self._asked = 0
        self.height = height

    def advance(self, blocks: int, limit: int) -> None:
        """Move on, to the next fork or the limit at most; from a fork on, the branch before it is given up."""
        fork = self.height // FORK_EVERY * FORK_EVERY + FORK_EVERY
        self.height = min(self.height + blocks, fork, limit)

    def tip(self) -> NodeTip:
        self._answer()
        return NodeTip("regtest", self.height, self._hash(self.height))

    def hashes(self, first: int, count: int) -> list[bytes]:
        self._answer()
        return [self._hash(height) for height in range(first, min(first + count - 1, self.height) + 1)]

    def raw_block(self, block_hash: bytes) -> bytes:
        self._answer()
        return self._chain.raw(*self._chain.find(block_hash))

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        self._answer()
        made = transactions(*self._chain.find(block_hash))
        return {outpoint: made[index - 1].scripts[number] for outpoint, (index, number) in spends.items()}

    def _hash(self, height: int) -> bytes:
        # The branch whose end the tip has not passed is the one that is shown.
        end = -(-height // FORK_EVERY) * FORK_EVERY
        return self._chain.hash(height, ORPHAN if is_forked(height) and self.height <= end else MAIN)

    def _answer(self) -> None:
        self._asked += 1
        if self._asked % FAILS_EVERY == 0:
            raise NodeUnavailableError("node has other things to do")
