"""Preparers that another process can make: of a list of blocks, and of one that kills its process."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from indexer.bitcoin.rpc import RpcError
from indexer.bitcoin.script import Network
from indexer.protocol.rules import Rules
from indexer.sync.prepare import Preparer
from tests.support.indexing import MARKETPLACE_HEIGHT
from tests.support.memory_node import MemoryNode, hash_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def rules() -> Rules:
    return Rules(Network.REGTEST, MARKETPLACE_HEIGHT)


def preparer(blocks: Sequence[bytes]) -> Preparer:
    return Preparer(MemoryNode(blocks), rules())


class Faulty(MemoryNode):
    """Does something else than to hand out its third block."""

    def __init__(self, blocks: Sequence[bytes], fault: str) -> None:
        super().__init__(blocks)
        self._fault = fault
        if fault == "is deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def raw_block(self, block_hash: bytes) -> bytes:
        if block_hash == hash_of(self.blocks[2]):
            if self._fault == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if self._fault in {"hangs", "is deaf"}:
                signal.pause()
            raise RpcError("getblock", -1, "Block not available (pruned data)")
        return super().raw_block(block_hash)


def faulty_preparer(blocks: Sequence[bytes], fault: str) -> Preparer:
    return Preparer(Faulty(blocks, fault), rules())
