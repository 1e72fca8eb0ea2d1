from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from indexer.protocol.hashing import digest
from indexer.protocol.model import BalanceKey
from indexer.store.chain import read_tip
from indexer.store.connection import StoreError, connect
from indexer.store.writer import PARTITION_BLOCKS, StaleWriterError, Writer
from infra.local.traffic.chain import OfflineChain
from tests.support.indexing import MARKETPLACE_HEIGHT, exported, follow_to_tip, identity, open_writer
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from tests.support.postgres import Cluster


@pytest.fixture(scope="module")
def node() -> MemoryNode:
    chain = OfflineChain(21, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(20, 8)
    return MemoryNode(chain.blocks)


def test_a_second_writer_waits_and_takes_over_when_the_first_is_gone(database_url: str) -> None:
    first = open_writer(database_url)
    assert Writer.try_open(database_url, identity(), undo_window=10) is None
    first.close()
    second = Writer.try_open(database_url, identity(), undo_window=10)
    assert second is not None
    second.close()


def test_a_writer_that_lost_its_session_is_fenced_off_and_writes_nothing(database_url: str, node: MemoryNode) -> None:
    # The scenario: a failover or a network cut drops the session, the lock is free, another sync takes it, and the
    # first one, none the wiser, goes on with a connection of its own.
    half = MemoryNode(node.blocks[:10])
    stale = open_writer(database_url)
    follow_to_tip(half, stale)
    connection = connect(database_url)
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    successor = open_writer(database_url)
    before = exported(database_url)
    stale.close()
    stale._connection = connection  # noqa: SLF001 - the session that came back is what the test is about
    with pytest.raises(StaleWriterError, match="another writer has taken over"):
        follow_to_tip(node, stale)
    with pytest.raises(StaleWriterError):
        stale.undo()
    assert exported(database_url) == before
    follow_to_tip(node, successor)
    assert successor.tip.height == len(node.blocks)
    successor.close()
    connection.close()


def test_a_failure_in_the_middle_of_a_commit_leaves_the_whole_block_out(database_url: str, node: MemoryNode) -> None:
    with psycopg.connect(database_url, autocommit=True) as sabotage:
        sabotage.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NEW.height >= 12 THEN RAISE disk_full; END IF; RETURN NEW; END $$;"
            "CREATE TRIGGER fail BEFORE INSERT ON index.undo_balances FOR EACH ROW EXECUTE FUNCTION fail()"
        )
        writer = open_writer(database_url)
        with pytest.raises(Exception, match=r"disk_full|disk full"):
            follow_to_tip(node, writer)
        reached = writer.tip.height
        writer.close()
        with connect(database_url) as connection:
            assert read_tip(connection).height == reached
        assert f'"height":{reached + 1}' not in exported(database_url).decode()
        sabotage.execute("DROP TRIGGER fail ON index.undo_balances")
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    assert writer.tip.height == len(node.blocks)
    writer.close()


@pytest.mark.parametrize(
    ("changed", "setting"),
    [
        ({"cluster": "other"}, "CLUSTER_NAME=test, now it is other"),
        ({"network": "main"}, "BITCOIN_NETWORK=regtest, now it is main"),
        ({"start_height": 7}, "START_BLOCK_HEIGHT=1, now it is 7"),
        ({"marketplace_height": 7}, "MARKETPLACE_TRANSFER_BLOCK_HEIGHT=12, now it is 7"),
    ],
)
def test_a_database_refuses_settings_it_was_not_begun_with(
    database_url: str, changed: dict[str, object], setting: str
) -> None:
    open_writer(database_url).close()
    with pytest.raises(StoreError, match=setting):
        Writer.try_open(database_url, identity(**changed), undo_window=10)
    open_writer(database_url).close()


def test_the_digest_in_the_block_row_is_that_of_the_tables(database_url: str, node: MemoryNode) -> None:
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    with connect(database_url) as connection:
        rows = connection.execute("SELECT ticker, address, amount FROM index.balances").fetchall()
        tickers = connection.execute("SELECT ticker FROM index.deploys").fetchall()
    assert rows
    state = writer.load([ticker for (ticker,) in tickers], [])
    recomputed = digest(
        state.deploys.values(), [(BalanceKey(ticker, address), units) for ticker, address, units in rows]
    )
    assert recomputed == writer.tip.position.state_digest
    writer.close()


def test_undo_data_is_kept_for_the_window_and_no_longer(database_url: str, node: MemoryNode) -> None:
    writer = open_writer(database_url, undo_window=5)
    follow_to_tip(node, writer)
    writer.close()
    with connect(database_url) as connection:
        row = connection.execute("SELECT min(height), max(height) FROM index.undo_balances").fetchone()
    assert row is not None
    assert row[0] > len(node.blocks) - 5


def test_operations_of_far_apart_heights_lie_in_different_partitions(database_url: str, node: MemoryNode) -> None:
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    with writer._connection.transaction():  # noqa: SLF001 - the edge lies two years of blocks away
        writer._ensure_partition(3 * PARTITION_BLOCKS - 1)  # noqa: SLF001
        writer._ensure_partition(3 * PARTITION_BLOCKS)  # noqa: SLF001
    writer.close()
    with connect(database_url) as connection:
        names = connection.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'index.operations'::regclass ORDER BY 1"
        ).fetchall()
    assert [name for (name,) in names] == ["operations_p0", "operations_p2", "operations_p3"]


def test_amounts_of_38_digits_come_back_exactly(cluster: Cluster) -> None:
    with connect(cluster.url()) as connection:
        row = connection.execute("SELECT '999999999999999999999999999999.99999999'::numeric(38, 8)").fetchone()
        negative = connection.execute("SELECT (-0.00000001)::numeric(38, 8)").fetchone()
    assert row == (10**38 - 1,)
    assert negative == (-1,)
