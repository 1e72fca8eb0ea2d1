from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import psycopg
import pytest
from pydantic import SecretStr

from indexer.bitcoin.script import Network
from indexer.bitcoin.source import NodeTip
from indexer.settings import Settings
from indexer.store.writer import Writer
from indexer.sync.service import Exit, Service, Until
from infra.local.traffic.chain import random_chain
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCKS = random_chain(61, 10, 4, maturity=0)[1]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[MemoryNode, float], Exit]:
    settings = Settings(
        _env_file=None,
        DATABASE_URL=SecretStr(database_url),
        BITCOIN_NETWORK=Network.REGTEST,
        START_BLOCK_HEIGHT=1,
        SYNC_WORKERS=0,
    )

    def run(node: MemoryNode, patience: float) -> Exit:
        monkeypatch.setattr("indexer.sync.service.block_source", lambda *_: node)
        return Service(settings, Event(), Until(None, patience)).run()

    return run


class Boasting(MemoryNode):
    """Says that its chain is longer than what it has blocks of: two nodes behind one address."""

    asked = 0

    def tip(self) -> NodeTip:
        return NodeTip("regtest", len(self.blocks) + 1, bytes(32))

    def hashes(self, first: int, count: int) -> list[bytes]:
        self.asked += 1
        return super().hashes(first, count)


def test_sync_follows_to_the_tip_and_is_done(run: Callable[[MemoryNode, float], Exit]) -> None:
    assert run(MemoryNode(BLOCKS), 5) is Exit.DONE


def test_a_node_that_contradicts_itself_is_waited_for_without_a_hot_loop(
    run: Callable[[MemoryNode, float], Exit],
) -> None:
    node = Boasting(BLOCKS)
    assert run(node, 2) is Exit.GAVE_UP
    assert node.asked < 20


def test_rows_that_contradict_one_another_end_sync_with_a_code_of_their_own(
    run: Callable[[MemoryNode, float], Exit], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise psycopg.errors.CheckViolation("minted exceeds the maximum")

    monkeypatch.setattr(Writer, "commit", refuse)
    assert run(MemoryNode(BLOCKS), 5) is Exit.DAMAGED
