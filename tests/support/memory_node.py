"""A block source in memory: the follower's view of a node, for tests that need many chains and no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.bitcoin.block import sha256d
from indexer.bitcoin.source import NodeTip
from tests.support.ours import outputs_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexer.bitcoin.block import OutPoint
    from indexer.bitcoin.source import Place


def hash_of(raw: bytes) -> bytes:
    return sha256d(raw[:80])


class MemoryNode:
    """Serves a list of raw blocks, the first at height 1."""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        self._outputs: dict[tuple[bytes, int], bytes] = {}
        self._known: dict[bytes, bytes] = {}
        self.blocks: list[bytes] = []
        self.switch_to(blocks)

    def switch_to(self, blocks: Sequence[bytes]) -> None:
        self.blocks = list(blocks)
        for raw in self.blocks:
            if hash_of(raw) not in self._known:
                self._known[hash_of(raw)] = raw
                self._outputs.update(outputs_of(raw))

    def tip(self) -> NodeTip:
        return NodeTip("regtest", len(self.blocks), hash_of(self.blocks[-1]))

    def hashes(self, first: int, count: int) -> list[bytes]:
        assert first > 0
        return [hash_of(raw) for raw in self.blocks[first - 1 : first - 1 + count]]

    def raw_block(self, block_hash: bytes) -> bytes:
        return self._known[block_hash]

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        assert block_hash in self._known
        return {outpoint: self._outputs[outpoint] for outpoint in spends}
