from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.sync import prepare as prepare_module
from indexer.sync.prepare import Prepared, Preparer
from infra.local.traffic.chain import random_chain
from tests.support.memory_node import MemoryNode, hash_of
from tests.support.preparing import rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from indexer.bitcoin.block import OutPoint
    from indexer.bitcoin.source import Place

BLOCKS = random_chain(44, 40, 8, maturity=0, marketplace_height=12)[1]


class Counting(MemoryNode):
    asked = 0

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        assert spends, "the node is not asked for nothing"
        self.asked += len(spends)
        return super().scripts(spends, block_hash)


def prepared(node: MemoryNode) -> list[Prepared]:
    preparer = Preparer(node, rules())
    return [preparer.prepare(height, hash_of(raw)) for height, raw in enumerate(BLOCKS, start=1)]


def test_outputs_of_recent_candidates_are_not_asked_for_again_and_the_senders_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remembering, forgetting = Counting(BLOCKS), Counting(BLOCKS)
    with_memory = prepared(remembering)
    monkeypatch.setattr(prepare_module, "REMEMBERED_OUTPUTS", 0)
    assert prepared(forgetting) == with_memory
    assert remembering.asked < forgetting.asked / 2


def test_no_more_outputs_are_remembered_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "REMEMBERED_OUTPUTS", 10)
    preparer = Preparer(MemoryNode(BLOCKS), rules())
    for height, raw in enumerate(BLOCKS, start=1):
        preparer.prepare(height, hash_of(raw))
        assert len(preparer._remembered) <= 10  # noqa: SLF001 - memory that stays bounded is what the test is about
