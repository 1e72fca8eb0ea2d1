"""Edges: of a transaction that holds many blocks, of a partition, of the undo window, of the working set."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from indexer.store import partitions
from indexer.store.connection import connect
from indexer.store.writer import UndoMissingError, Writer
from infra.local.traffic.chain import OfflineChain
from tests.support.indexing import MARKETPLACE_HEIGHT, exported, follow_to_tip, identity, index_fresh, open_writer
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from tests.support.postgres import Cluster


def grown(seed: int, blocks: int = 24, operations: int = 6) -> OfflineChain:
    chain = OfflineChain(seed, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(blocks, operations)
    return chain


@pytest.mark.parametrize("blocks_a_step", [1, 3, 5, 1000])
@pytest.mark.parametrize("depth", [1, 5, 6, 7, 15])
def test_a_reorg_across_the_edges_of_transactions_leaves_what_a_fresh_index_gives(
    cluster: Cluster, migrated_template: str, monkeypatch: pytest.MonkeyPatch, blocks_a_step: int, depth: int
) -> None:
    monkeypatch.setattr(partitions, "PARTITION_BLOCKS", 8)  # so that it crosses partitions, too
    chain = grown(depth)
    node = MemoryNode(chain.blocks)
    followed = cluster.new_database(migrated_template)
    writer = open_writer(followed)
    follow_to_tip(node, writer, blocks_a_step=blocks_a_step)
    chain.fork(depth, depth + 3, 6)
    node.switch_to(chain.blocks)
    assert follow_to_tip(node, writer, blocks_a_step=blocks_a_step) == depth
    writer.close()
    assert exported(followed) == index_fresh(node, cluster.new_database(migrated_template))
    with connect(followed) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'index.operations'::regclass"
        ).fetchone() or (0,)
    assert count == (len(chain.blocks) - 1) // 8 + 1


def test_however_the_node_comes_and_goes_each_block_from_undo_from_on_can_be_taken_back_and_no_other(
    cluster: Cluster, migrated_template: str
) -> None:
    rng = random.Random(3)
    chain = grown(12, blocks=60, operations=3)
    for _ in range(6):
        url = cluster.new_database(migrated_template)
        writer = open_writer(url, undo_window=rng.randint(1, 12))
        node = MemoryNode(chain.blocks[:1])
        while writer.tip.height < len(chain.blocks):
            node.switch_to(chain.blocks[: rng.randint(writer.tip.height + 1, len(chain.blocks))])
            follow_to_tip(node, writer, blocks_a_step=rng.randint(1, 20), most=rng.randint(1, 3))
            with connect(url) as connection:
                kept = connection.execute(
                    "SELECT DISTINCT height FROM index.undo_balances UNION SELECT height FROM index.undo_deploys"
                ).fetchall()
                changed = connection.execute(
                    "SELECT DISTINCT height FROM index.balances UNION SELECT height FROM index.deploys"
                ).fetchall()
                row = connection.execute("SELECT undo_from FROM index.chain").fetchone()
            assert row == (writer.undo_from,)
            assert all(height >= writer.undo_from for (height,) in kept)
            assert {height for height in changed if height[0] >= writer.undo_from} <= set(kept)
        writer.close()


def test_blocks_far_below_the_nodes_tip_cost_no_undo_data(database_url: str) -> None:
    chain = grown(13, blocks=40)
    writer = open_writer(database_url, undo_window=10)
    follow_to_tip(MemoryNode(chain.blocks), writer, blocks_a_step=20, most=1)
    assert writer.tip.height == 20
    with connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM index.undo_balances").fetchone() == (0,)
    chain.fork(len(chain.blocks) - 15, 20, 3)
    with pytest.raises(UndoMissingError, match="reorg goes below height 21"):
        follow_to_tip(MemoryNode(chain.blocks), writer)
    writer.close()


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_a_working_set_that_holds_next_to_nothing_gives_the_same_state(
    cluster: Cluster, migrated_template: str, rows: int
) -> None:
    chain = grown(14, blocks=30, operations=10)
    node = MemoryNode(chain.blocks)
    url = cluster.new_database(migrated_template)
    writer = Writer.try_open(url, identity(), undo_window=100, working_set=rows)
    assert writer is not None
    follow_to_tip(node, writer, blocks_a_step=2)
    assert len(writer._working_set) <= rows  # noqa: SLF001 - that it is bounded is what the test is about
    chain.fork(9, 12, 10)
    node.switch_to(chain.blocks)
    follow_to_tip(node, writer, blocks_a_step=2)
    writer.close()
    assert exported(url) == index_fresh(node, cluster.new_database(migrated_template))
