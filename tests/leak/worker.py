"""What a process that prepares blocks runs here: the indexer's own preparer, which now and then says its size."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

from indexer.bitcoin.script import Network
from indexer.protocol.rules import Rules
from indexer.sync import prepare
from tests.leak.measure import objects
from tests.leak.node import MadeUpNode
from tests.support.indexing import MARKETPLACE_HEIGHT

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.sync.prepare import Prepared
    from tests.leak.chain import Chain

REMEMBERED = 500  # outputs instead of 65 536: what fills up slowly looks like a leak until it is full
RULES = Rules(Network.REGTEST, MARKETPLACE_HEIGHT)


class Observed(prepare.Preparer):
    """Writes the number of this process's objects to a file of its own every so many blocks."""

    def __init__(self, chain: Chain, folder: Path, every: int, *, leaks: bool) -> None:
        super().__init__(MadeUpNode(chain), RULES)
        self._file = folder / str(os.getpid())
        self._every = every
        self._leaks = leaks
        self._prepared = 0
        self._kept: list[Prepared] = []

    def prepare(self, height: int, block_hash: bytes) -> Prepared:
        prepared = super().prepare(height, block_hash)
        if self._leaks:
            self._kept.append(prepared)
        self._prepared += 1
        if self._prepared % self._every == 0:
            self._file.write_text(str(objects()))
        return prepared


def preparer(chain: Chain, folder: Path, every: int, *, leaks: bool) -> Observed:
    """Make a preparer; called in a process of its own."""
    prepare.REMEMBERED_OUTPUTS = REMEMBERED
    gc.freeze()
    return Observed(chain, folder, every, leaks=leaks)
