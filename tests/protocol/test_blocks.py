"""Section 9 against the naive implementation: whatever happens to the database or the node, what is stored is the
state after a whole block, and the state that the rules give for the chain that won."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import psycopg
import pytest

from indexer.bitcoin.rpc import NodeUnavailableError
from indexer.bitcoin.script import Network
from indexer.protocol.rules import Rules
from indexer.store.connection import connect
from indexer.store.writer import UndoMissingError
from indexer.sync.follower import Follower, IncoherentNodeError, Step
from infra.local.traffic.chain import OfflineChain
from tests.protocol.exported import ID_BITS, Exported, assert_is
from tests.protocol.harness import Outcome, run
from tests.support.indexing import MARKETPLACE_HEIGHT, exported, follow_to_tip, index_fresh, open_writer
from tests.support.memory_node import MemoryNode, hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from indexer.bitcoin.block import OutPoint
    from indexer.bitcoin.source import NodeTip, Place
    from tests.support.postgres import Cluster

TABLES = ("blocks", "operations", "balances", "deploys", "undo_balances", "undo_deploys")
BLOCKS, OPERATIONS = 14, 8


def grown(seed: str, blocks: int = BLOCKS) -> OfflineChain:
    chain = OfflineChain(seed, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(blocks, OPERATIONS)
    return chain


def by_the_rules(blocks: Sequence[bytes]) -> Outcome:
    def nothing_before(txid: bytes, vout: int) -> bytes:
        raise AssertionError(f"{txid[::-1].hex()}:{vout} was spent, but nobody made it")

    return run("naive", blocks, nothing_before, start_height=1, marketplace_height=MARKETPLACE_HEIGHT)


def sabotage(database_url: str, table: str, deed: str) -> None:
    """Let a statement happen in the database as soon as a row for half of the chain's height or more is written."""
    column = {"operations": f"(NEW.op_id >> {ID_BITS})"}.get(table, "NEW.height")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            f"CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF {column} >= {BLOCKS // 2} THEN {deed}; END IF; RETURN NEW; END $$;"
            f"CREATE TRIGGER sabotage BEFORE INSERT OR UPDATE ON index.{table}"
            " FOR EACH ROW EXECUTE FUNCTION sabotage()"
        )


def mend(database_url: str, table: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"DROP TRIGGER sabotage ON index.{table}")


@pytest.mark.rule("9.1a", "accept")
@pytest.mark.rule("9.2a", "accept")
@pytest.mark.rule("10.1e", "accept")
def test_after_each_block_everything_of_it_is_stored(database_url: str) -> None:
    chain = grown("each block")
    node = MemoryNode(chain.blocks[:1])
    writer = open_writer(database_url)
    for length in range(1, len(chain.blocks) + 1):
        node.switch_to(chain.blocks[:length])
        follow_to_tip(node, writer)
        assert_is(exported(database_url), by_the_rules(chain.blocks[:length]))
        with connect(database_url) as connection:
            query = "SELECT height, hash, prev_hash, op_count FROM index.blocks ORDER BY height DESC LIMIT 1"
            row = connection.execute(query).fetchone()
        previous = hash_of(chain.blocks[length - 2]) if length > 1 else chain.blocks[0][4:36]
        operations = len(by_the_rules(chain.blocks[:length]).blocks[-1].events)
        assert row == (length, hash_of(chain.blocks[length - 1]), previous, operations)
    writer.close()


@pytest.mark.rule("9.1a", "reject")
@pytest.mark.rule("9.1b", "accept")
@pytest.mark.rule("9.1b", "reject")
@pytest.mark.parametrize("deed", ["RAISE disk_full", "PERFORM pg_terminate_backend(pg_backend_pid())"])
@pytest.mark.parametrize("table", TABLES)
def test_when_a_commit_breaks_off_in_any_table_then_nothing_of_its_block_is_stored(
    database_url: str, table: str, deed: str
) -> None:
    chain = grown("broken off")
    node = MemoryNode(chain.blocks)
    sabotage(database_url, table, deed)
    writer = open_writer(database_url)
    with pytest.raises(Exception, match=r"disk.full|terminat|closed|lost"):
        follow_to_tip(node, writer, blocks_a_step=2)
    writer.close()
    reached = Exported.read(exported(database_url)).height
    assert BLOCKS // 2 - 2 <= reached < len(chain.blocks)
    assert_is(exported(database_url), by_the_rules(chain.blocks[:reached]))
    mend(database_url, table)
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    writer.close()
    assert_is(exported(database_url), by_the_rules(chain.blocks))


class Lying(MemoryNode):
    """Claims that another height's block stands at a height."""

    lies: dict[int, int]

    def hashes(self, first: int, count: int) -> list[bytes]:
        heights = range(first, min(first + count, len(self.blocks) + 1))
        return [hash_of(self.blocks[self.lies.get(height, height) - 1]) for height in heights]


@pytest.mark.rule("9.1c", "accept")
@pytest.mark.rule("9.1c", "reject")
@pytest.mark.rule("9.2a", "reject")
@pytest.mark.parametrize("lie", [7, 6, 5, 9, 12], ids=["skips one", "is right", "repeats one", "skips 3", "skips 6"])
def test_no_block_is_skipped_or_applied_twice_whatever_the_node_says(database_url: str, lie: int) -> None:
    chain = grown("skipped")
    node = Lying(chain.blocks)
    node.lies = {6: lie}
    writer = open_writer(database_url)
    follower = Follower(node, writer, Rules(Network.REGTEST, MARKETPLACE_HEIGHT))
    assert follower.step(to_height=6) is Step.APPLIED
    if lie != 6:
        with pytest.raises(IncoherentNodeError, match="node's block 6 does not follow its block 5; check the node"):
            follower.step(to_height=6)
    assert_is(exported(database_url), by_the_rules(chain.blocks[: 6 if lie == 6 else 5]))
    node.lies = {}
    follow_to_tip(node, writer)
    writer.close()
    assert_is(exported(database_url), by_the_rules(chain.blocks))


@pytest.mark.rule("9.2b", "accept")
@pytest.mark.rule("DEV9", "accept")
@pytest.mark.parametrize("depth", range(1, BLOCKS + 1, 3))
def test_after_a_reorg_the_state_is_what_the_rules_give_for_the_winning_chain(
    cluster: Cluster, migrated_template: str, depth: int
) -> None:
    chain = grown(f"reorg {depth}")
    node = MemoryNode(chain.blocks)
    url = cluster.new_database(migrated_template)
    writer = open_writer(url)
    follow_to_tip(node, writer)
    chain.fork(depth, depth + 1, OPERATIONS)
    node.switch_to(chain.blocks)
    assert follow_to_tip(node, writer) == depth
    writer.close()
    assert_is(exported(url), by_the_rules(chain.blocks))
    assert exported(url) == index_fresh(node, cluster.new_database(migrated_template))


@pytest.mark.rule("9.2b", "reject")
@pytest.mark.rule("DEV9", "reject")
def test_a_reorg_below_the_undo_window_leaves_everything_as_it_was(database_url: str) -> None:
    chain = grown("too deep")
    node = MemoryNode(chain.blocks)
    lost = list(chain.blocks)
    writer = open_writer(database_url, undo_window=4)
    follow_to_tip(node, writer)
    chain.fork(8, 10, OPERATIONS)
    node.switch_to(chain.blocks)
    with pytest.raises(UndoMissingError):
        follow_to_tip(node, writer)
    writer.close()
    assert_is(exported(database_url), by_the_rules(lost))


class Failing(MemoryNode):
    """A node that every now and then, at whatever it is asked, does not answer."""

    dice: random.Random
    failures = 0

    def _perhaps(self) -> None:
        if self.dice.random() < 0.4:
            self.failures += 1
            raise NodeUnavailableError("node does not answer")

    def tip(self) -> NodeTip:
        self._perhaps()
        return super().tip()

    def hashes(self, first: int, count: int) -> list[bytes]:
        self._perhaps()
        return super().hashes(first, count)

    def raw_block(self, block_hash: bytes) -> bytes:
        self._perhaps()
        return super().raw_block(block_hash)

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        self._perhaps()
        return super().scripts(spends, block_hash)


def _steps(follower: Follower) -> Iterator[Step | None]:
    """Yield what each step did until the tip is reached, None where the node failed it."""
    while True:
        try:
            step = follower.step()
        except NodeUnavailableError:
            yield None
            continue
        yield step
        if step is Step.AT_TIP:
            return


@pytest.mark.rule("9.3a", "accept")
@pytest.mark.rule("9.3a", "reject")
@pytest.mark.rule("DEV9", "accept")
@pytest.mark.parametrize("seed", range(4))
def test_a_node_that_fails_at_random_makes_no_operation_invalid(database_url: str, seed: int) -> None:
    chain = grown(f"failing {seed}")
    node = Failing(chain.blocks)
    node.dice = random.Random(seed)
    writer = open_writer(database_url)
    heights = [0]
    follower = Follower(node, writer, Rules(Network.REGTEST, MARKETPLACE_HEIGHT))
    for step in _steps(follower):
        heights.append(writer.tip.height)
        if step is None:
            assert heights[-1] == heights[-2]
    writer.close()
    assert node.failures > BLOCKS
    assert_is(exported(database_url), by_the_rules(chain.blocks))


@pytest.mark.rule("10.1e", "reject")
def test_rows_undone_give_their_ids_to_those_that_replace_them(database_url: str) -> None:
    chain = grown("ids")
    node = MemoryNode(chain.blocks)
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    before = Exported.read(exported(database_url)).ids
    chain.fork(3, 4, OPERATIONS)
    node.switch_to(chain.blocks)
    follow_to_tip(node, writer)
    writer.close()
    after = Exported.read(exported(database_url)).ids
    kept = (len(chain.blocks) - 3) << ID_BITS
    assert [number for number in after if number < kept] == [number for number in before if number < kept]
    assert len(set(after)) == len(after)
    assert_is(exported(database_url), by_the_rules(chain.blocks))
