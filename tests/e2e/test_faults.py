"""Whatever is killed or cut off, and whenever: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import submit, sync_environment
from tests.infra.local.node.harness import NodeProcess
from tests.support.indexing import exported
from tests.support.postgres import Cluster
from tests.support.processes import running, simplicity

if TYPE_CHECKING:
    from pathlib import Path

    from infra.local.traffic.chain import OfflineChain


def fresh_index(node: NodeProcess, cluster: Cluster) -> bytes:
    """The state that one undisturbed run gives."""
    url = cluster.new_database()
    done = simplicity("sync", "--until", "tip", environment=sync_environment(node, url))
    assert done.returncode == 0, done.stderr
    return exported(url)


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.proof)])
def test_when_sync_is_killed_at_random_points_then_the_state_is_that_of_one_undisturbed_run(
    node: NodeProcess, chain: OfflineChain, cluster: Cluster, tmp_path: Path, kills: int
) -> None:
    rng = random.Random(kills)
    chain.extend(20 * kills, 6)
    submit(node, chain.blocks)
    url = cluster.new_database()
    environment = sync_environment(node, url)
    for number in range(kills):
        if number == kills // 2:  # a reorg, so that undoing is killed too
            chain.fork(30, 32, 6)
            submit(node, chain.blocks[-32:])
        with running("sync", environment=environment, log=tmp_path / f"sync{number}.log") as sync:
            sync.wait_for("writing", within=20)
            time.sleep(rng.uniform(0, 0.05))  # the random point
            sync.kill()
    assert simplicity("sync", "--until", "tip", environment=environment).returncode == 0
    assert exported(url) == fresh_index(node, cluster)


def _outage(node: NodeProcess, seconds: float) -> NodeProcess:
    node.stop()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.2)  # the outage itself
    return NodeProcess(node.directory, ("--port", str(node.port))).start()


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.proof)])
def test_when_the_node_is_down_for_a_while_then_sync_waits_says_so_and_loses_no_operation(
    node: NodeProcess, chain: OfflineChain, cluster: Cluster, tmp_path: Path, seconds: float
) -> None:
    chain.extend(20, 6)
    submit(node, chain.blocks)
    url = cluster.new_database()
    with running("sync", environment=sync_environment(node, url), log=tmp_path / "sync.log") as sync:
        sync.wait_for("block indexed", within=20, height=chain.height)
        restarted = _outage(node, seconds)
        try:
            sync.wait_for("going on", within=10)
            submit(restarted, chain.extend(10, 6))
            sync.wait_for("block indexed", within=20, height=chain.height)
            waits = [line for line in sync.lines() if line["message"] == "waiting"]
            assert waits
            assert all("start" in line["reason"] for line in waits)
            # Once for each reason there is (gone, starting, warming up), then every ten seconds: no line a retry.
            assert len(waits) <= 4 + seconds / 10
            assert sync.stop() == 0
            assert exported(url) == fresh_index(restarted, cluster)
        finally:
            restarted.kill()


def test_when_the_node_hangs_then_sync_times_out_waits_and_goes_on(
    node: NodeProcess, chain: OfflineChain, cluster: Cluster, tmp_path: Path
) -> None:
    chain.extend(10, 6)
    submit(node, chain.blocks)
    url = cluster.new_database()
    environment = sync_environment(node, url, BITCOIN_RPC_TIMEOUT="0.5")
    with running("sync", environment=environment, log=tmp_path / "sync.log") as sync:
        sync.wait_for("block indexed", within=20, height=chain.height)
        assert node.process is not None
        node.process.send_signal(signal.SIGSTOP)
        waiting = sync.wait_for("waiting", within=10)
        assert "did not answer in time" in waiting["reason"]
        node.process.send_signal(signal.SIGCONT)
        submit(node, chain.extend(3, 6))
        sync.wait_for("block indexed", within=10, height=chain.height)


def test_when_the_database_is_killed_then_sync_waits_and_goes_on_where_it_was(
    node: NodeProcess, chain: OfflineChain, tmp_path: Path
) -> None:
    chain.extend(20, 6)
    submit(node, chain.blocks)
    with Cluster.create() as own:
        url = own.new_database()
        with running("sync", environment=sync_environment(node, url), log=tmp_path / "sync.log") as sync:
            sync.wait_for("block indexed", within=20, height=chain.height)
            own.kill()
            submit(node, chain.extend(10, 6))
            waiting = sync.wait_for("waiting", within=10)
            assert "correct DATABASE_URL" in waiting["reason"] or "connection" in waiting["reason"]
            own.start()
            sync.wait_for("block indexed", within=20, height=chain.height)
            assert sync.stop() == 0
        assert exported(url) == fresh_index(node, own)


def test_when_the_writer_is_killed_then_the_standby_writes_within_5_seconds(
    node: NodeProcess, chain: OfflineChain, cluster: Cluster, tmp_path: Path
) -> None:
    chain.extend(10, 6)
    submit(node, chain.blocks)
    url = cluster.new_database()
    environment = sync_environment(node, url)
    with (
        running("sync", environment=environment, log=tmp_path / "first.log") as first,
        running("sync", environment=environment, log=tmp_path / "second.log") as second,
    ):
        # Whichever comes first is the writer.
        deadline = time.monotonic() + 20
        writer, standby = first, second
        while not any(line["message"] == "waiting" for line in standby.lines()):
            assert time.monotonic() < deadline, "neither stands by"
            writer, standby = standby, writer
            time.sleep(0.01)
        assert "standing by" in standby.wait_for("waiting", within=1)["reason"]
        writer.wait_for("block indexed", within=10, height=chain.height)
        writer.kill()
        standby.wait_for("writing", within=5)
        submit(node, chain.extend(3, 6))
        standby.wait_for("block indexed", within=10, height=chain.height)
        assert standby.stop() == 0
    assert exported(url) == fresh_index(node, cluster)


def test_a_node_without_a_transaction_index_gives_the_same_state(
    node: NodeProcess, chain: OfflineChain, cluster: Cluster, tmp_path: Path
) -> None:
    chain.extend(20, 6)
    submit(node, chain.blocks)
    bare = NodeProcess(tmp_path / "bare", ("--no-txindex",)).start()
    try:
        submit(bare, chain.blocks)
        assert fresh_index(bare, cluster) == fresh_index(node, cluster)
    finally:
        bare.kill()
