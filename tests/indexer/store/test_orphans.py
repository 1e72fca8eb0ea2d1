"""Blocks that a reorg took back are remembered, with the block that the chain went on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from indexer.store import undo
from indexer.store.connection import connect
from infra.local.traffic.chain import OfflineChain
from tests.support.indexing import MARKETPLACE_HEIGHT, follow_to_tip, open_writer
from tests.support.memory_node import MemoryNode, hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from indexer.store.writer import Writer

Orphan = tuple[bytes, int, int, bytes]  # hash, height, height and hash of the fork


@pytest.fixture
def chain() -> OfflineChain:
    chain = OfflineChain(9, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(10, 4)
    return chain


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    writer = open_writer(database_url)
    yield writer
    writer.close()


def orphans(database_url: str) -> list[Orphan]:
    with connect(database_url) as connection:
        return connection.execute(
            "SELECT hash, height, fork_height, fork_hash FROM ops.orphaned_blocks ORDER BY height, hash"
        ).fetchall()


def taken_back(blocks: Sequence[bytes], fork: int) -> list[Orphan]:
    fork_hash = hash_of(blocks[fork - 1]) if fork else b""
    return [(hash_of(raw), height, fork, fork_hash) for height, raw in enumerate(blocks, start=1) if height > fork]


def test_each_block_that_is_taken_back_is_remembered_with_the_fork(
    database_url: str, writer: Writer, chain: OfflineChain
) -> None:
    before = chain.blocks[:]
    node = MemoryNode(before)
    follow_to_tip(node, writer)
    assert orphans(database_url) == []
    chain.fork(4, 6, 4)
    node.switch_to(chain.blocks)
    follow_to_tip(node, writer)
    assert orphans(database_url) == taken_back(before, len(before) - 4)


def test_a_block_that_comes_back_and_is_taken_back_again_is_remembered_as_of_the_last_time(
    database_url: str, writer: Writer, chain: OfflineChain
) -> None:
    first = chain.blocks[:]
    chain.fork(2, 3, 4, name="second")
    second = chain.blocks[:]
    chain.fork(len(second) - 4, len(second), 4, name="third")
    node = MemoryNode(first)
    for blocks in (first, second, first, chain.blocks):
        node.switch_to(blocks)
        follow_to_tip(node, writer)
    assert set(orphans(database_url)) == {*taken_back(first, 4), *taken_back(second, len(first) - 2)}


def test_the_first_block_is_taken_back_to_no_block(database_url: str, writer: Writer, chain: OfflineChain) -> None:
    follow_to_tip(MemoryNode(chain.blocks), writer)
    writer.undo(0)
    assert orphans(database_url) == taken_back(chain.blocks, 0)


def test_only_the_newest_are_remembered(
    database_url: str, writer: Writer, chain: OfflineChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "ORPHANS", 5)
    follow_to_tip(MemoryNode(chain.blocks), writer)
    writer.undo(8)
    writer.undo(5)
    assert orphans(database_url) == [*taken_back(chain.blocks[:8], 5), *taken_back(chain.blocks, 8)[-2:]]


def test_an_undo_that_fails_remembers_nothing(
    database_url: str, writer: Writer, chain: OfflineChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow_to_tip(MemoryNode(chain.blocks), writer)
    monkeypatch.setattr("indexer.store.writer.read_tip", lambda _: 1 / 0)  # the last that an undo does
    with pytest.raises(ZeroDivisionError):
        writer.undo(7)
    assert orphans(database_url) == []
