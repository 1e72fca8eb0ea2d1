"""Who listens hears each move of the tip, and only what was committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from indexer.bitcoin.block import display
from indexer.progress import quiet
from indexer.snapshot.create import create
from indexer.snapshot.keys import raw
from indexer.snapshot.restore import restore
from indexer.state.repair import Repair
from indexer.store.connection import connect
from indexer.store.writer import StaleWriterError
from infra.local.traffic.chain import OfflineChain
from tests.indexer.store.listening import listening
from tests.support.indexing import MARKETPLACE_HEIGHT, follow_to_tip, identity, index_fresh, open_writer
from tests.support.memory_node import MemoryNode, hash_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def grown() -> OfflineChain:
    chain = OfflineChain(8, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(11, 4)
    return chain


def notice(blocks: Sequence[bytes], height: int) -> str:
    return f"{height} {display(hash_of(blocks[height - 1]))}"


def test_each_commit_and_each_undo_tells_the_height_and_hash_of_the_new_tip(database_url: str) -> None:
    chain = grown()
    before = chain.blocks[:]
    node = MemoryNode(before)
    with listening(database_url) as heard:
        writer = open_writer(database_url)
        assert heard() == [], "opening moves nothing"
        follow_to_tip(node, writer, blocks_a_step=5)
        assert heard() == [notice(before, height) for height in (5, 10, 12)], "one a transaction"
        writer.note_node_height(99)
        assert heard() == [], "the node's height is no tip of ours"
        chain.fork(3, 4, 4)
        node.switch_to(chain.blocks)
        follow_to_tip(node, writer)
        assert heard() == [notice(before, 9), notice(chain.blocks, 13)]
        writer.undo(0)
        assert heard() == ["0 "], "no hash stands before the first block"
        writer.close()


def test_a_repair_tells_where_it_puts_the_tip_and_one_with_nothing_to_do_tells_nothing(database_url: str) -> None:
    node = MemoryNode(grown().blocks)
    index_fresh(node, database_url)
    repair = Repair(database_url, identity(), 100, quiet)
    with connect(database_url) as connection, listening(database_url) as heard:
        assert connection.execute("DELETE FROM index.operations WHERE op_id >> 20 = 9").rowcount
        assert repair.run(None, node).is_well
        assert heard() == [notice(node.blocks, 8), notice(node.blocks, 12)]
        assert repair.run(None, node).is_well
        assert heard() == []


def test_a_restore_tells_the_snapshots_tip(database_url: str, empty_database_url: str, tmp_path: Path) -> None:
    node, key = MemoryNode(grown().blocks), Ed25519PrivateKey.generate()
    index_fresh(node, database_url)
    snapshot, _ = create(database_url, key, tmp_path / "snapshot")
    with listening(empty_database_url) as heard:
        restore(snapshot, {raw(key.public_key())}, empty_database_url, identity())
        assert heard() == [notice(node.blocks, 12)]
        restore(snapshot, {raw(key.public_key())}, empty_database_url, identity())
        assert heard() == [], "nothing was to be done"


def test_what_is_not_committed_is_not_told(database_url: str) -> None:
    node = MemoryNode(grown().blocks)
    writer = open_writer(database_url)
    follow_to_tip(MemoryNode(node.blocks[:6]), writer)
    with connect(database_url) as sabotage, listening(database_url) as heard:
        sabotage.execute("ALTER TABLE index.blocks ADD CHECK (height <= 6)")
        with pytest.raises(psycopg.errors.CheckViolation):
            follow_to_tip(node, writer)
        sabotage.execute("UPDATE index.chain SET epoch = epoch + 1")  # as a writer does that takes over
        with pytest.raises(StaleWriterError):
            writer.undo(3)
        assert heard() == []
    writer.close()
