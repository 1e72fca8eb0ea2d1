from __future__ import annotations

import math
import time
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING

import psycopg
import pytest
import structlog
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs

from indexer.bitcoin.rpc import NodeUnavailableError
from indexer.bitcoin.script import Network
from indexer.bitcoin.source import NodeTip
from indexer.settings import Settings
from indexer.store.connection import LockKey, StoreUnavailableError
from indexer.store.writer import UndoMissingError, Writer
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


class Restarted(MemoryNode):
    """Does not answer the second time that it is asked; tells what the metric said of it whenever it is asked."""

    told: list[float | None]

    def tip(self) -> NodeTip:
        self.told.append(REGISTRY.get_sample_value("simplicity_node_up"))
        if len(self.told) == 2:
            raise NodeUnavailableError("connection refused")
        return NodeTip("regtest", min(len(self.told), 3), self.hashes(min(len(self.told), 3), 1)[0])


def test_a_node_that_does_not_answer_is_told_until_it_does(
    run: Callable[[MemoryNode, float], Exit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.sync.service.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(follower, "LOOK_SECONDS", 0.0)
    node = Restarted(BLOCKS)
    node.told = []
    assert run(node, 30) is Exit.DONE
    assert math.isnan(node.told[0] or 0), "before it was asked"
    assert node.told[1:4] == [1, 0, 1]
    assert math.isnan(REGISTRY.get_sample_value("simplicity_node_up") or 0), "nobody asks it any more"


def seen() -> tuple[float | None, float | None]:
    """Return what the metrics say of the node and of its chain."""
    up, deep = (REGISTRY.get_sample_value(f"simplicity_{name}") for name in ("node_up", "reorg_too_deep"))
    return up, deep


class Overtaken(MemoryNode):
    """Answers, then has a chain that cannot be followed; asked once more, another sync has taken the writer's lock."""

    rival: psycopg.Connection
    asked = 0
    told: tuple[float | None, float | None]

    def tip(self) -> NodeTip:
        self.asked += 1
        if self.asked == 1:
            return super().tip()
        if self.asked == 2:
            raise UndoMissingError("the node's chain left the indexed one below what can be taken back")
        self.told = seen()
        self.rival.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
            " WHERE locktype = 'advisory' AND datname = current_database()"
        )
        self.rival.execute(f"SELECT pg_advisory_lock({LockKey.WRITER.sql})")
        raise StoreUnavailableError("the connection is lost")


def test_who_lost_the_writers_lock_says_no_more_of_the_node_and_its_chain_than_a_standby(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.sync.service.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(follower, "LOOK_SECONDS", 0.0)
    node, stop = Overtaken(BLOCKS), Event()
    monkeypatch.setattr("indexer.sync.service.block_source", lambda *_: node)
    thread = Thread(target=Service(settings_of(database_url), stop).run)
    with psycopg.connect(database_url, autocommit=True) as node.rival:
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not REGISTRY.get_sample_value("simplicity_sync_role", {"simplicity_sync_role": "standby"}):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            up, too_deep = seen()
            assert math.isnan(up or 0)
            assert too_deep == 0
        finally:
            stop.set()
            thread.join()
        assert node.told == (1, 1), "as the writer that it was"


def test_the_clock_is_that_of_the_moment_in_which_it_is_asked_for() -> None:
    before = time.time()
    assert before <= (REGISTRY.get_sample_value("process_clock_seconds") or 0) <= time.time()


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
