"""`simplicity state verify`: nothing is found where nothing is wrong, and every wrong row is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from indexer.bitcoin.script import Network
from indexer.progress import quiet
from indexer.protocol.rules import Rules
from indexer.state.findings import FEW
from indexer.state.node import NodeBlocks
from indexer.state.verify import examine, require_schema, snapshot, verify
from indexer.store.connection import StoreError, connect
from indexer.sync.follower import WrongNetworkError
from infra.local.traffic.chain import OfflineChain
from tests.indexer.state.faults import BLOCKS, FAULTS, OPERATIONS, Fault
from tests.protocol.hostile import hostile_chain
from tests.support.indexing import MARKETPLACE_HEIGHT, follow_to_tip, identity, open_writer
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.state.verify import Report
    from indexer.store.connection import Connection

TIP = 27


@pytest.fixture
def planted(sound_url: str) -> Iterator[Connection]:
    """A connection to the sound index in a transaction that is rolled back."""
    with connect(sound_url) as connection, connection.transaction():
        yield connection
        raise psycopg.Rollback


def rows_shown(report: Report, table: str) -> str:
    return "\n".join(str(difference) for difference in report.findings.shown.get(table, []))


@pytest.mark.parametrize("measure", ["its rows", "the chain"])
def test_a_sound_index_is_consistent(sound_url: str, node: MemoryNode, measure: str) -> None:
    report = verify(sound_url, identity(), quiet, node if measure == "the chain" else None)
    assert report.is_consistent, report.as_dict()
    assert report.height == report.last_good == report.blocks == TIP
    assert report.operations > 200


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_wrong_row_is_found_by_recomputing(planted: Connection, fault: Fault) -> None:
    _, block = fault.plant(planted)
    report = examine(planted, identity(), quiet)
    assert report.is_consistent is not fault.is_seen
    if not fault.is_seen:
        return
    # Two hashes that differ do not say which is wrong: then the lower block is the one in doubt.
    first = block - 1 if block and "previous hash" in fault.name else block
    assert report.findings.first_block == first or fault.table == "chain"
    assert report.findings.counts.keys() & ({"blocks", "operations", "chain"} if block else {fault.table})


@pytest.mark.parametrize("fault", [*BLOCKS, *OPERATIONS], ids=lambda fault: fault.name)
def test_a_wrong_row_is_found_and_named_by_the_chain(planted: Connection, node: MemoryNode, fault: Fault) -> None:
    key, block = fault.plant(planted)
    report = examine(planted, identity(), quiet, node)
    assert report.findings.first_block == block
    assert fault.table in report.findings.counts
    if fault.table == "operations":
        assert f"op_id {key}" in rows_shown(report, "operations")
    if fault.table == "blocks":
        assert f"block {key}:" in rows_shown(report, "blocks")


def test_a_wrong_value_is_shown_with_the_right_one(planted: Connection) -> None:
    planted.execute(
        "UPDATE index.balances SET amount = 5, height = 1 WHERE (amount, height) = (SELECT amount, height"
        " FROM index.balances WHERE height > 1 AND amount > 5 ORDER BY amount DESC LIMIT 1)"
    )
    shown = rows_shown(examine(planted, identity(), quiet), "balances")
    assert "wrong; amount is 5.00000000, expected " in shown
    assert "height is 1, expected " in shown


def test_of_many_wrong_rows_the_first_are_shown_and_all_counted(planted: Connection, node: MemoryNode) -> None:
    count = planted.execute("UPDATE index.operations SET vout = vout + 1 WHERE op_id >> 20 >= 9").rowcount
    report = examine(planted, identity(), quiet, node)
    assert report.findings.counts == {"operations": count}
    assert len(report.findings.shown["operations"]) == FEW
    assert report.findings.first_block == 9


def test_after_a_block_that_cannot_be_recomputed_the_digest_still_tells_of_the_tables(planted: Connection) -> None:
    planted.execute("UPDATE index.operations SET amount = amount + 1 WHERE op_id >> 20 = 12 AND error IS NULL")
    report = examine(planted, identity(), quiet)
    assert report.findings.counts.keys() == {"blocks", "operations"}
    assert "compared by their digest only" in report.findings.notes[0]
    planted.execute("UPDATE index.balances SET amount = amount + 1")
    assert examine(planted, identity(), quiet).findings.counts.keys() == {"blocks", "operations", "digest"}


def test_wrong_rows_after_a_block_that_cannot_be_recomputed_are_found(planted: Connection) -> None:
    planted.execute("UPDATE index.operations SET amount = amount + 1 WHERE op_id >> 20 IN (12, 18) AND error IS NULL")
    planted.execute("UPDATE index.blocks SET state_hash = sha256(state_hash) WHERE height = 22")
    report = examine(planted, identity(), quiet)
    blocks = [difference.row for difference in report.findings.shown["blocks"]]
    assert blocks == ["block 12", "block 18", "block 22"]
    assert report.findings.counts["blocks"] == 4  # the state hash of 23 no longer follows that of 22


@pytest.mark.parametrize("seed", range(3))
def test_an_index_that_followed_reorgs_is_consistent(database_url: str, seed: int) -> None:
    chain = OfflineChain(f"reorgs {seed}", maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(15, 12)
    node = MemoryNode(chain.blocks)
    writer = open_writer(database_url, undo_window=8)
    for depth in (3, 8, 1):
        follow_to_tip(node, writer)
        chain.fork(depth, depth + 1, 10, name=str(depth))
        node.switch_to(chain.blocks)
    follow_to_tip(node, writer)
    writer.close()
    for source in (None, node):
        report = verify(database_url, identity(), quiet, source)
        assert report.is_consistent, report.as_dict()


class _Hostile(MemoryNode):
    def __init__(self, seed: int) -> None:
        chain = hostile_chain(seed)
        super().__init__(chain.blocks)
        self._outputs |= chain.scripts


@pytest.mark.parametrize("seed", range(6))
def test_the_index_of_a_hostile_chain_is_consistent(database_url: str, seed: int) -> None:
    node = _Hostile(seed)
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    writer.close()
    for source in (None, node):
        report = verify(database_url, identity(), quiet, source)
        assert report.is_consistent, report.as_dict()
        assert report.operations > 10


def test_a_sync_may_go_on_meanwhile(database_url: str, chain: OfflineChain) -> None:
    node = MemoryNode(chain.blocks[:15])
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    with snapshot(database_url) as connection:
        node.switch_to(chain.blocks)
        follow_to_tip(node, writer)
        report = examine(connection, identity(), quiet, node)
    writer.close()
    assert report.is_consistent, report.as_dict()
    assert report.height == 15
    assert verify(database_url, identity(), quiet).height == TIP


def test_what_a_node_that_is_behind_does_not_have_is_recomputed(sound_url: str, chain: OfflineChain) -> None:
    report = verify(sound_url, identity(), quiet, MemoryNode(chain.blocks[:10]))
    assert report.is_consistent
    assert report.findings.notes == ["the node has blocks up to 10 only: later ones were recomputed from their rows"]


def test_a_node_on_another_branch_differs_from_the_fork_on(sound_url: str) -> None:
    chain = OfflineChain(11, maturity=3, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(24, 8)
    chain.fork(5, 6, 6)
    findings = verify(sound_url, identity(), quiet, MemoryNode(chain.blocks)).findings
    assert findings.first_block == TIP - 5 + 1
    assert findings.notes == [
        "the node has another block at the tip: after a reorg, let sync follow it and verify again"
    ]


def test_an_index_before_its_first_block_is_consistent(database_url: str) -> None:
    open_writer(database_url).close()
    report = verify(database_url, identity(), quiet)
    assert report.is_consistent, report.as_dict()
    assert (report.height, report.blocks) == (0, 0)


def test_a_database_without_an_index_says_what_to_do(empty_database_url: str, database_url: str) -> None:
    for url in (empty_database_url, database_url):
        with pytest.raises(StoreError, match="database holds no index yet; run: simplicity sync"):
            verify(url, identity(), quiet)


def test_a_database_of_another_release_says_so(planted: Connection) -> None:
    planted.execute("UPDATE ops.schema_version SET version_num = '0000'")
    with pytest.raises(StoreError, match="database has schema 0000, this release works with"):
        require_schema(planted)


@pytest.mark.parametrize("changed", [{"network": "main"}, {"start_height": 2}, {"marketplace_height": 7}])
def test_settings_that_the_index_was_not_begun_with_are_refused(sound_url: str, changed: dict[str, object]) -> None:
    with pytest.raises(StoreError, match="database was begun with"):
        verify(sound_url, identity(**changed), quiet)


def test_a_node_of_another_network_is_refused(node: MemoryNode) -> None:
    with pytest.raises(WrongNetworkError, match="node follows the chain 'regtest', BITCOIN_NETWORK is 'main'"):
        NodeBlocks(node, Rules(Network.MAIN, 0), 1, 10)
