from __future__ import annotations

from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING

import psycopg
import pytest
import structlog
from pydantic import SecretStr
from structlog.testing import capture_logs

from indexer.bitcoin.script import Network
from indexer.bitcoin.source import NodeTip
from indexer.settings import Settings
from indexer.store.writer import Writer
from indexer.sync import follower
from indexer.sync.ahead import InProcesses
from indexer.sync.service import Exit, Service, Until
from infra.local.traffic.chain import random_chain
from tests.support.memory_node import MemoryNode
from tests.support.preparing import faulty_preparer

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from indexer.sync.prepare import Prepared

BLOCKS = random_chain(61, 10, 4, maturity=0)[1]


def settings_of(database_url: str, *, workers: int = 0) -> Settings:
    return Settings(
        _env_file=None,
        DATABASE_URL=SecretStr(database_url),
        BITCOIN_NETWORK=Network.REGTEST,
        START_BLOCK_HEIGHT=1,
        SYNC_WORKERS=workers,
    )


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[MemoryNode, float], Exit]:
    settings = settings_of(database_url)

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


class Watched(InProcesses):
    """Tells when its processes run."""

    def __init__(self) -> None:
        super().__init__(partial(faulty_preparer, BLOCKS, "hangs"), 2)
        self.runs = Event()

    def _submit(self, height: int, block_hash: bytes) -> Future[Prepared]:
        future = super()._submit(height, block_hash)
        self.runs.set()
        return future

    def end(self) -> None:
        assert self._pool is not None
        for worker in list(self._pool._processes.values()):  # noqa: SLF001 - as a signal to their group does
            worker.terminate()


@pytest.mark.parametrize("asked_for", [True, False])
def test_a_process_that_dies_is_said_unless_a_stop_of_the_whole_group_was_asked_for(
    database_url: str, monkeypatch: pytest.MonkeyPatch, *, asked_for: bool
) -> None:
    stop, ahead = Event(), Watched()
    # One of its own: what another test has configured stays with a logger that was used then.
    monkeypatch.setattr("indexer.sync.service.logger", structlog.stdlib.get_logger())
    monkeypatch.setattr("indexer.sync.service.block_source", lambda *_: MemoryNode(BLOCKS))
    monkeypatch.setattr("indexer.sync.service.InProcesses", lambda *_: ahead)
    monkeypatch.setattr(follower, "FAR_BEHIND", 1)

    def terminate() -> None:
        assert ahead.runs.wait(30)
        if asked_for:
            stop.set()
        ahead.end()

    thread = Thread(target=terminate)
    thread.start()
    with capture_logs() as logs:
        ended = Service(settings_of(database_url, workers=2), stop, Until(None, 0)).run()
    thread.join()
    warnings = [line.get("reason") for line in logs if line["log_level"] != "info"]
    said = "a process that prepares blocks died; starting anew"
    assert (ended, warnings) == ((Exit.DONE, []) if asked_for else (Exit.GAVE_UP, [said, said]))
