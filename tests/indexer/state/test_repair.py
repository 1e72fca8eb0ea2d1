"""`simplicity state repair`: after it the index is one that nothing ever happened to."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from indexer.bitcoin.rpc import NodeUnavailableError
from indexer.bitcoin.source import NodeTip
from indexer.progress import quiet
from indexer.protocol.hashing import EMPTY
from indexer.state.repair import Repair
from indexer.store.connection import StoreError, connect
from indexer.store.writer import StaleWriterError
from infra.local.traffic.chain import OfflineChain
from tests.indexer.state.conftest import UNDO_WINDOW, settings
from tests.indexer.state.faults import FAULTS, Fault
from tests.support.indexing import MARKETPLACE_HEIGHT, exported, follow_to_tip, identity, index_fresh, open_writer
from tests.support.memory_node import MemoryNode
from tests.support.processes import SIMPLICITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from indexer.store.connection import Connection
    from tests.support.postgres import Cluster

DAMAGE = "UPDATE index.operations SET amount = amount + 1 WHERE op_id >> 20 = 20 AND error IS NULL"


@pytest.fixture
def copy(cluster: Cluster, sound_url: str) -> Callable[[], str]:
    """Make a database of its own that is the sound index."""
    return lambda: cluster.new_database(sound_url.rpartition("/")[2])


def repair(url: str, source: MemoryNode | None = None) -> Repair:
    return Repair(url, identity(), UNDO_WINDOW, quiet, source)


def damage(url: str, statement: str = DAMAGE) -> None:
    with connect(url) as connection:
        assert connection.execute(statement).rowcount > 0


def everything(url: str) -> list[list[tuple[object, ...]]]:
    """All rows of all tables but what counts writers."""
    tables = ("blocks", "operations", "deploys", "balances", "undo_deploys", "undo_balances")
    with connect(url) as connection:
        chain = connection.execute("SELECT tip_height, tip_hash, undo_from FROM index.chain").fetchall()
        query = "SELECT * FROM index.{} ORDER BY 1, 2, 3"
        return [chain, *(connection.execute(query.format(name)).fetchall() for name in tables)]


def assert_mended(url: str, sound_url: str, node: MemoryNode, faults: Iterable[Fault]) -> None:
    sound = everything(sound_url), exported(sound_url)
    for fault in faults:
        with connect(url) as connection:
            fault.plant(connection)
        outcome = repair(url, None if fault.is_seen else node).run(None, node)
        assert outcome.is_well, (fault.name, outcome.as_dict())
        assert (everything(url), exported(url)) == sound, fault.name  # so the next one finds a sound index as well


@pytest.mark.parametrize("table", sorted({fault.table for fault in FAULTS}))
def test_a_wrong_row_is_mended(copy: Callable[[], str], sound_url: str, node: MemoryNode, table: str) -> None:
    assert_mended(copy(), sound_url, node, [fault for fault in FAULTS if fault.table == table][::4])


@pytest.mark.proof
def test_every_wrong_row_is_mended(copy: Callable[[], str], sound_url: str, node: MemoryNode) -> None:
    assert_mended(copy(), sound_url, node, FAULTS)


def test_a_sound_index_is_left_alone(copy: Callable[[], str], node: MemoryNode) -> None:
    url = copy()
    with connect(url) as connection:
        before = connection.execute("SELECT xmin, * FROM index.chain").fetchall()
        outcome = repair(url).run(None, node)
        assert outcome.is_well
        assert outcome.deleted is None
        assert connection.execute("SELECT xmin, * FROM index.chain").fetchall() == before


def test_a_plan_says_what_would_be_done_and_changes_nothing_while_a_sync_runs(copy: Callable[[], str]) -> None:
    url = copy()
    damage(url)
    before, writer = everything(url), open_writer(url)
    outcome = repair(url).plan(None)
    assert (outcome.plan.is_needed, outcome.plan.good, outcome.plan.stood) == (True, 19, 27)
    assert not outcome.is_well
    writer.close()
    assert everything(url) == before


def test_a_running_sync_is_to_be_stopped_first(copy: Callable[[], str], node: MemoryNode) -> None:
    url = copy()
    damage(url)
    writer = open_writer(url)
    with pytest.raises(StoreError, match="a sync writes to this database: stop every sync, then repair"):
        repair(url).run(None, node)
    writer.close()
    assert repair(url).run(None, node).is_well


def test_a_sync_that_lost_its_lock_writes_nothing_any_more(copy: Callable[[], str], chain: OfflineChain) -> None:
    url, half = copy(), MemoryNode(chain.blocks)
    stale = open_writer(url)
    own = stale._connection  # noqa: SLF001 - a session that came back is what the test is about
    stale._connection = connect(url)  # noqa: SLF001
    own.close()
    damage(url)
    assert repair(url).run(None, half).is_well
    before = everything(url)
    with pytest.raises(StaleWriterError):
        stale.undo(20)
    stale.close()
    assert everything(url) == before


def test_everything_from_a_height_on_can_be_indexed_anew(
    copy: Callable[[], str], sound_url: str, node: MemoryNode
) -> None:
    url = copy()
    outcome = repair(url).run(5, node)
    assert outcome.deleted is not None
    assert (outcome.plan.good, outcome.deleted.blocks) == (4, 23)
    assert outcome.is_well
    assert everything(url) == everything(sound_url)


def test_an_index_of_which_nothing_is_good_begins_again(
    copy: Callable[[], str], sound_url: str, node: MemoryNode
) -> None:
    url = copy()
    outcome = repair(url).run(1, node)
    assert outcome.is_well
    assert outcome.plan.good == 0
    assert everything(url) == everything(sound_url)


def test_without_the_node_the_index_is_sound_and_shorter(
    copy: Callable[[], str], sound_url: str, node: MemoryNode
) -> None:
    url = copy()
    damage(url)
    outcome = repair(url).run(None, None)
    assert outcome.is_well
    assert outcome.after is not None
    assert outcome.after.height == 19
    writer = open_writer(url, undo_window=UNDO_WINDOW)
    follow_to_tip(node, writer)
    writer.close()
    assert everything(url) == everything(sound_url)


class _Away(MemoryNode):
    """A node that hands out so many blocks and then no more."""

    left = 0

    def raw_block(self, block_hash: bytes) -> bytes:
        if not self.left:
            raise NodeUnavailableError("node cannot be reached; start it")
        self.left -= 1
        return super().raw_block(block_hash)


def test_a_node_that_fails_leaves_a_sound_index_and_says_what_to_do(
    copy: Callable[[], str], chain: OfflineChain
) -> None:
    url = copy()
    damage(url)
    away = _Away(chain.blocks)
    away.left = 1
    outcome = repair(url).run(None, away)
    assert not outcome.is_well
    assert outcome.problem == (
        "node cannot be reached; start it; once that is mended, simplicity sync goes on from block 19"
    )
    assert outcome.after is not None
    assert outcome.after.is_consistent
    assert outcome.after.height == 19


@pytest.mark.parametrize("kind", ["is away", "is shorter", "has another network"])
def test_nothing_is_deleted_that_the_node_cannot_give_back(
    copy: Callable[[], str], chain: OfflineChain, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    url = copy()
    damage(url)
    before = everything(url)
    node = _Away(chain.blocks if kind == "is away" else chain.blocks[:10])
    node.left = 0 if kind == "is away" else 100
    if kind == "has another network":
        node.switch_to(chain.blocks)
        monkeypatch.setattr(node, "tip", lambda: NodeTip("signet", 900, bytes(32)))
    with pytest.raises(NodeUnavailableError, match=r"cannot be reached|nothing was changed; give it time"):
        repair(url).run(None, node)
    assert everything(url) == before


def test_undo_data_as_deep_as_the_window_is_there_after_a_repair(
    cluster: Cluster, migrated_template: str, copy: Callable[[], str]
) -> None:
    # The scenario: the repair took blocks away without their undo data, and the next reorg cannot be followed.
    chain = OfflineChain(11, maturity=3, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(24, 8)
    url = copy()
    damage(url)
    repair(url).run(None, None)
    chain.fork(27 - 19 + UNDO_WINDOW, UNDO_WINDOW + 12, 6)
    other = MemoryNode(chain.blocks)
    writer = open_writer(url, undo_window=UNDO_WINDOW)
    assert follow_to_tip(other, writer) == UNDO_WINDOW
    writer.close()
    assert exported(url) == index_fresh(other, cluster.new_database(migrated_template))


@pytest.mark.parametrize(
    "stage",
    [
        "store.rebuild.drop_outside",
        "store.rebuild.clear_state",
        "state.repair.insert_deploys",
        "state.repair.insert_balances",
        "store.rebuild.set_tip",
    ],
)
def test_a_repair_that_fails_in_the_middle_leaves_the_database_as_it_was(
    copy: Callable[[], str], node: MemoryNode, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    url = copy()
    damage(url)
    before = everything(url)
    monkeypatch.setattr(f"indexer.{stage}", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        repair(url).run(None, node)
    assert everything(url) == before
    monkeypatch.undo()
    assert repair(url).run(None, node).is_well


def simplicity(url: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [*SIMPLICITY, *arguments]
    return subprocess.Popen(command, env=os.environ | settings(url), stdout=subprocess.DEVNULL)


def wait_until(connection: Connection, sentence: str, *given: str) -> None:
    deadline = time.monotonic() + 60
    while connection.execute("SELECT " + sentence, given).fetchone() != (True,):
        assert time.monotonic() < deadline, f"not within a minute: {sentence}"
        time.sleep(0.02)


A_REPAIR_WAITS = "EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = %s::regclass)"
NOBODY_WRITES = (
    "NOT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database"
    " WHERE locktype = 'advisory' AND datname = current_database())"
)
TABLES = ("blocks", "operations", "deploys", "undo_deploys", "undo_balances")


@pytest.mark.parametrize("table", ["balances", *(pytest.param(name, marks=pytest.mark.proof) for name in TABLES)])
def test_a_repair_that_is_killed_leaves_the_database_as_it_was(copy: Callable[[], str], table: str) -> None:
    url = copy()
    damage(url)
    before = everything(url)
    with connect(url) as connection, connection.transaction():
        connection.execute(f"LOCK TABLE index.{table} IN SHARE MODE")  # the repair gets there and no further
        process = simplicity(url, "state", "repair", "--yes", "--no-replay")
        wait_until(connection, A_REPAIR_WAITS, f"index.{table}")
        process.kill()
        assert process.wait(10) == -signal.SIGKILL
    assert everything(url) == before
    with connect(url) as connection:
        wait_until(connection, NOBODY_WRITES)  # the server takes a moment to notice
    assert everything(url) == before
    assert repair(url).run(None, None).is_well


def test_what_was_recomputed_wrongly_is_not_committed(
    copy: Callable[[], str], node: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = copy()
    damage(url)
    before = everything(url)
    monkeypatch.setattr("indexer.state.repair.digest_of_tables", lambda _: EMPTY)
    with pytest.raises(StoreError, match="is not the state of block 19: nothing was changed"):
        repair(url).run(None, node)
    assert everything(url) == before
