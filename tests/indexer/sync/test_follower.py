from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from indexer.bitcoin.script import Network
from indexer.protocol.rules import Rules
from indexer.store.connection import connect
from indexer.store.writer import UndoMissingError
from indexer.sync.follower import Follower, Step, WrongNetworkError
from indexer.sync.prepare import CorruptBlockError
from infra.local.traffic.chain import OfflineChain
from tests.support.indexing import MARKETPLACE_HEIGHT, exported, follow_to_tip, index_fresh, open_writer
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from tests.support.postgres import Cluster


def grown(seed: int, blocks: int = 20, operations: int = 6) -> OfflineChain:
    chain = OfflineChain(seed, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(blocks, operations)
    return chain


@pytest.mark.parametrize("depth", [1, 2, 5, 12, 19])
def test_after_a_reorg_the_state_is_that_of_a_fresh_index_of_the_winning_chain(
    cluster: Cluster, migrated_template: str, depth: int
) -> None:
    chain = grown(depth)
    node = MemoryNode(chain.blocks)
    followed = cluster.new_database(migrated_template)
    writer = open_writer(followed)
    follow_to_tip(node, writer)
    chain.fork(depth, depth + 1, 6)
    node.switch_to(chain.blocks)
    assert follow_to_tip(node, writer) == depth
    writer.close()
    assert exported(followed) == index_fresh(node, cluster.new_database(migrated_template))


def test_many_reorgs_in_a_row_leave_no_trace(cluster: Cluster, migrated_template: str) -> None:
    rng = random.Random(5)
    chain = grown(77)
    node = MemoryNode(chain.blocks)
    followed = cluster.new_database(migrated_template)
    writer = open_writer(followed)
    for number in range(8):
        follow_to_tip(node, writer)
        depth = rng.randint(1, 8)
        chain.fork(depth, depth + rng.randint(0, 2), 4, name=str(number))
        node.switch_to(chain.blocks)
    follow_to_tip(node, writer)
    writer.close()
    assert exported(followed) == index_fresh(node, cluster.new_database(migrated_template))


def test_a_chain_that_grows_block_by_block_gives_what_one_run_gives(cluster: Cluster, migrated_template: str) -> None:
    chain = grown(3)
    node = MemoryNode(chain.blocks[:1])
    followed = cluster.new_database(migrated_template)
    for length in range(2, len(chain.blocks) + 1):
        node.switch_to(chain.blocks[:length])
        writer = open_writer(followed)
        follow_to_tip(node, writer)
        writer.close()
    assert exported(followed) == index_fresh(node, cluster.new_database(migrated_template))


def test_a_node_that_is_merely_behind_is_no_reorg(database_url: str) -> None:
    chain = grown(8)
    node = MemoryNode(chain.blocks)
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    node.switch_to(chain.blocks[:5])
    assert follow_to_tip(node, writer) == 0
    assert writer.tip.height == len(chain.blocks)
    writer.close()


def test_a_node_that_is_behind_on_another_branch_is_followed_back(database_url: str) -> None:
    chain = grown(9)
    node = MemoryNode(chain.blocks)
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    chain.fork(6, 2, 3)
    node.switch_to(chain.blocks)
    assert follow_to_tip(node, writer) == 6
    assert writer.tip.height == len(chain.blocks)
    writer.close()


def test_the_first_indexed_block_can_be_reorganised_away(cluster: Cluster, migrated_template: str) -> None:
    chain = grown(4, blocks=3)
    other = grown(5, blocks=5)
    node = MemoryNode(chain.blocks)
    followed = cluster.new_database(migrated_template)
    writer = open_writer(followed)
    follow_to_tip(node, writer)
    node.switch_to(other.blocks)
    assert follow_to_tip(node, writer) == len(chain.blocks)
    writer.close()
    assert exported(followed) == index_fresh(node, cluster.new_database(migrated_template))


def test_a_reorg_deeper_than_the_undo_window_takes_nothing_back_and_is_said(database_url: str) -> None:
    chain = grown(6)
    node = MemoryNode(chain.blocks)
    writer = open_writer(database_url, undo_window=4)
    follow_to_tip(node, writer)
    tip = len(chain.blocks)
    chain.fork(7, 9, 3)
    node.switch_to(chain.blocks)
    with pytest.raises(UndoMissingError, match=rf"height {tip - 3}.*MAX_REORG_DEPTH=4"):
        follow_to_tip(node, writer)
    assert writer.tip.height == tip
    writer.close()


def test_a_reorg_as_deep_as_the_undo_window_is_followed(database_url: str) -> None:
    chain = grown(6)
    node = MemoryNode(chain.blocks)
    writer = open_writer(database_url, undo_window=4)
    follow_to_tip(node, writer)
    chain.fork(4, 5, 3)
    node.switch_to(chain.blocks)
    assert follow_to_tip(node, writer) == 4
    writer.close()


class _Damaging(MemoryNode):
    """Hands out every block with one byte changed, or another block, as long as it is told to."""

    damage = "byte"

    def raw_block(self, block_hash: bytes) -> bytes:
        raw = super().raw_block(block_hash)
        if self.damage == "byte":
            return raw[:100] + bytes([raw[100] ^ 1]) + raw[101:]
        if self.damage == "other":
            return self.blocks[0]
        return raw if self.damage == "none" else raw[: len(raw) // 2]


@pytest.mark.parametrize("damage", ["byte", "other", "cut"])
def test_a_corrupt_block_is_named_and_indexed_once_the_node_is_mended(database_url: str, damage: str) -> None:
    node = _Damaging(grown(2).blocks)
    node.damage = "none"
    node.switch_to(node.blocks[:10])
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    node.switch_to(grown(2).blocks)
    node.damage = damage
    with pytest.raises(CorruptBlockError, match=r"node handed out a corrupt block .* check the node's disk"):
        follow_to_tip(node, writer)
    assert writer.tip.height == 10
    node.damage = "none"
    follow_to_tip(node, writer)
    assert writer.tip.height == len(node.blocks)
    writer.close()


def test_a_node_of_another_network_is_refused(database_url: str) -> None:
    writer = open_writer(database_url)
    follower = Follower(MemoryNode(grown(1).blocks), writer, Rules(Network.MAIN, MARKETPLACE_HEIGHT))
    with pytest.raises(WrongNetworkError, match="node follows the chain 'regtest', BITCOIN_NETWORK is 'main'"):
        follower.step()
    writer.close()


def test_a_node_whose_chain_shrinks_between_two_questions_is_asked_again(database_url: str) -> None:
    chain = grown(11)
    node = MemoryNode(chain.blocks)
    writer = open_writer(database_url)
    follower = Follower(node, writer, Rules(Network.REGTEST, MARKETPLACE_HEIGHT))
    assert follower.step(to_height=2) is Step.APPLIED
    assert writer.tip.height == 2
    node.switch_to(chain.blocks[:1])
    assert follower.step() is Step.NODE_MOVED
    assert follower.step() is Step.AT_TIP
    writer.close()


@pytest.mark.parametrize("behind", [0, 1, 5])
def test_readers_see_the_nodes_height_also_while_its_blocks_cannot_be_had(database_url: str, behind: int) -> None:
    chain = grown(15)
    node = _Damaging(chain.blocks[: len(chain.blocks) - behind])
    node.damage = "none"
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    node.switch_to(chain.blocks)
    node.damage = "byte"
    if behind:
        with pytest.raises(CorruptBlockError):
            follow_to_tip(node, writer)
    with connect(database_url) as connection:
        row = connection.execute("SELECT tip_height, node_height FROM index.chain").fetchone()
    assert row == (len(chain.blocks) - behind, len(chain.blocks))
    writer.close()
