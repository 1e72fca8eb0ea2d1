from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from indexer.bitcoin.block import BlockDecodeError
from indexer.sync import prepare as prepare_module
from indexer.sync.prepare import CorruptBlockError, Prepared, Preparer
from infra.local.traffic.chain import random_chain
from tests.support.memory_node import MemoryNode, hash_of
from tests.support.preparing import rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexer.bitcoin.block import OutPoint
    from indexer.bitcoin.source import Place

BLOCKS = random_chain(44, 40, 8, maturity=0, marketplace_height=12)[1]


class Counting(MemoryNode):
    asked = 0

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        assert spends, "the node is not asked for nothing"
        self.asked += len(spends)
        return super().scripts(spends, block_hash)


class Rotten(MemoryNode):
    """Hands out another block, a cut one, or other outputs than were spent, while it has that fault."""

    fault = ""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        super().__init__(blocks)
        self.asked: list[bytes] = []

    def raw_block(self, block_hash: bytes) -> bytes:
        self.asked.append(block_hash)
        raw = super().raw_block(block_hash)
        return {"another": self.blocks[0], "cut": raw[:-1]}.get(self.fault, raw)

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        if self.fault == "outputs":
            raise BlockDecodeError("spent outputs do not fit the block")
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


@pytest.mark.parametrize("fault", ["another", "cut", "outputs"])
def test_a_block_that_comes_corrupt_one_way_is_asked_for_another_way_and_the_next_one_as_ever(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    # The scenario: what lies between us and the node's REST interface answers 200 with wrong bytes, again and again.
    monkeypatch.setattr(prepare_module, "REMEMBERED_OUTPUTS", 0)
    right, first, second = prepared(MemoryNode(BLOCKS)), Rotten(BLOCKS), Rotten(BLOCKS)
    preparer = Preparer(first, rules(), second)
    with capture_logs() as logs:
        for height, raw in enumerate(BLOCKS, start=1):
            first.fault = fault if height in {20, 30} else ""
            assert preparer.prepare(height, hash_of(raw)) == right[height - 1]
    assert second.asked == [hash_of(BLOCKS[19]), hash_of(BLOCKS[29])]
    assert [line["event"] for line in logs] == ["asking for the block another way"] * 2
    first.fault = second.fault = fault
    with pytest.raises(CorruptBlockError, match="check the node's disk"):
        preparer.prepare(30, hash_of(BLOCKS[29]))
