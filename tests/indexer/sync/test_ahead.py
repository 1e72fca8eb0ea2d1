from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import psutil
import pytest

from indexer.bitcoin.rpc import NodeUnavailableError, RpcError
from indexer.sync import follower as follower_module
from indexer.sync.ahead import InProcesses, InTurn, WorkersLostError
from indexer.sync.follower import Follower, Step
from infra.local.traffic.chain import random_chain
from tests.support.indexing import exported, index_fresh, open_writer
from tests.support.memory_node import MemoryNode, hash_of
from tests.support.preparing import Faulty, faulty_preparer, preparer, rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Cluster

BLOCKS = random_chain(31, 30, 6, maturity=0, marketplace_height=12)[1]


def wanted() -> Iterator[tuple[int, bytes]]:
    return enumerate(map(hash_of, BLOCKS), start=1)


def test_other_processes_prepare_the_same_blocks_in_the_same_order() -> None:
    ahead = InProcesses(partial(preparer, BLOCKS), 2)
    in_turn = list(InTurn(preparer(BLOCKS)).prepare(wanted()))
    assert list(ahead.prepare(wanted())) == in_turn
    assert [block.height for block in in_turn] == list(range(1, len(BLOCKS) + 1))
    ahead.close()
    assert list(ahead.prepare(wanted())) == in_turn, "it can begin again"
    ahead.close()


def test_a_process_that_is_killed_is_said_and_the_next_try_begins_anew() -> None:
    ahead = InProcesses(partial(faulty_preparer, BLOCKS, "dies"), 1)
    for _ in range(2):
        with pytest.raises(WorkersLostError, match="a process that prepares blocks died; starting anew"):
            list(ahead.prepare(wanted()))
    ahead.close()


def test_all_processes_are_there_from_the_first_block_on() -> None:
    ahead = InProcesses(partial(preparer, BLOCKS), 3)
    before = set(psutil.Process().children(recursive=True))
    assert len(list(ahead.prepare(enumerate([hash_of(BLOCKS[0])], start=1)))) == 1
    started = set(psutil.Process().children(recursive=True)) - before
    assert len([process for process in started if "spawn_main" in " ".join(process.cmdline())]) == 3
    ahead.close()


def test_a_block_that_a_dying_pool_forgot_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = InProcesses(partial(preparer, BLOCKS), 2)
    blocks = ahead.prepare(wanted())
    assert next(blocks).height == 1
    for process in psutil.Process().children():
        if "spawn_main" in " ".join(process.cmdline()):
            process.kill()
    monkeypatch.setattr(ProcessPoolExecutor, "submit", lambda *_: Future())
    with pytest.raises(WorkersLostError, match="a process that prepares blocks died; starting anew"):
        list(blocks)


def test_what_the_node_answers_in_another_process_is_said_in_this_one() -> None:
    ahead = InProcesses(partial(faulty_preparer, BLOCKS, "refuses"), 1)
    blocks = ahead.prepare(wanted())
    assert [next(blocks).height, next(blocks).height] == [1, 2]
    with pytest.raises(NodeUnavailableError, match=r"error -1: Block not available \(pruned data\)"):
        next(blocks)
    ahead.close()


@pytest.mark.parametrize("fault", ["hangs", "is deaf"])
def test_processes_that_wait_for_a_node_end_within_5_seconds(fault: str) -> None:
    ahead = InProcesses(partial(faulty_preparer, BLOCKS, fault), 2)
    blocks = ahead.prepare(wanted())
    assert next(blocks).height == 1
    started = time.monotonic()
    ahead.close()
    assert time.monotonic() - started < 5


def test_a_machine_that_starts_no_process_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("indexer.sync.ahead.ProcessPoolExecutor", refuse)
    with pytest.raises(WorkersLostError, match=r"cannot be started \(Resource temporarily unavailable\)"):
        list(InProcesses(partial(preparer, BLOCKS), 1).prepare(wanted()))


def test_when_sync_is_killed_its_other_processes_end_within_10_seconds() -> None:
    script = (
        "import sys; from functools import partial; from indexer.sync.ahead import InProcesses;"
        "from tests.support.preparing import preparer; from infra.local.traffic.chain import random_chain;"
        "from tests.support.memory_node import hash_of;"
        "blocks = random_chain(31, 3, 6, maturity=0)[1];"
        "list(InProcesses(partial(preparer, blocks), 1).prepare(enumerate(map(hash_of, blocks), start=1)));"
        "print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_a_chain_caught_up_with_by_other_processes_gives_what_one_process_gives(
    cluster: Cluster, migrated_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "FAR_BEHIND", 3)
    monkeypatch.setattr(follower_module, "BATCH_BLOCKS", 7)
    node = MemoryNode(BLOCKS)
    url = cluster.new_database(migrated_template)
    writer = open_writer(url)
    follower = Follower(node, writer, rules(), InProcesses(partial(preparer, BLOCKS), 2))
    steps = [follower.step() for _ in range(len(BLOCKS) // 7 + 2)]
    follower.close()
    writer.close()
    assert steps == [*[Step.APPLIED] * (len(BLOCKS) // 7 + 1), Step.AT_TIP]
    assert exported(url) == index_fresh(node, cluster.new_database(migrated_template))


def test_blocks_before_a_failure_are_committed_and_the_failure_is_told_by_the_next_step(database_url: str) -> None:
    writer = open_writer(database_url)
    follower = Follower(Faulty(BLOCKS, "refuses"), writer, rules())
    assert follower.step() is Step.APPLIED
    assert writer.tip.height == 2
    with pytest.raises(RpcError, match="pruned data"):
        follower.step()
    assert writer.tip.height == 2
    writer.close()
