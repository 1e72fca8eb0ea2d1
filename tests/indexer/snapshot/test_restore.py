from __future__ import annotations

import multiprocessing
import random
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from indexer.progress import quiet
from indexer.settings import ConfigurationError
from indexer.snapshot.create import create
from indexer.snapshot.errors import SnapshotError
from indexer.snapshot.header import PREAMBLE
from indexer.snapshot.restore import restore
from indexer.snapshot.tables import TABLES
from indexer.store import schema
from indexer.store.chain import claim, read_tip
from indexer.store.connection import LockKey, StoreError, StoreUnavailableError, connect
from tests.indexer.snapshot.conftest import UNDO_WINDOW, grown
from tests.indexer.snapshot.forging import contents_of, header_of, rebuilt
from tests.indexer.snapshot.synthetic import filled
from tests.support.indexing import exported, follow_to_tip, identity, index_fresh, open_writer
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from indexer.progress import Advance
    from indexer.snapshot.header import Header
    from infra.local.traffic.chain import OfflineChain
    from tests.indexer.snapshot.conftest import KeyPair
    from tests.support.postgres import Cluster


def is_untouched(url: str) -> bool:
    """Tell whether a database is as it was made: without our schemas."""
    with connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname IN ('index', 'ops')").fetchone()
    return row == (0,)


def is_empty(url: str) -> bool:
    """Tell whether a database holds no row of the index: a schema is made in steps, so a table may not be there yet."""
    with connect(url) as connection:
        return all(
            connection.execute("SELECT to_regclass(%s) IS NULL", [f"index.{name}"]).fetchone() == (True,)
            or connection.execute(sql.SQL("SELECT count(*) FROM index.{}").format(sql.Identifier(name))).fetchone()
            == (0,)
            for name in ("chain", *(table.name for table in TABLES))
        )


def test_a_restored_database_holds_what_the_first_one_holds(
    sound_url: str, empty_database_url: str, snapshot: Path, maker: KeyPair
) -> None:
    header, is_new = restore(snapshot, {maker.public}, empty_database_url, identity())
    assert is_new
    assert exported(empty_database_url) == exported(sound_url)
    query = (
        "SELECT tip_height, tip_hash, undo_from, cluster, network, start_height, marketplace_height, node_height"
        " FROM index.chain"
    )
    with connect(sound_url) as first, connect(empty_database_url) as second:
        assert first.execute(query).fetchone() == second.execute(query).fetchone()
        assert second.execute("SELECT epoch FROM index.chain").fetchone() == (1,)
        stale = second.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'index'::regnamespace AND relkind IN ('r', 'p')"
            " AND reltuples < 0 AND relname <> 'chain'"
        ).fetchone()
        assert stale == (0,), "a table has no statistics"
    assert header == header_of(snapshot)


@pytest.mark.parametrize("depth", [0, 1, UNDO_WINDOW])
def test_sync_goes_on_from_a_snapshot_through_a_reorg_and_comes_to_a_fresh_index(
    cluster: Cluster, migrated_template: str, snapshot: Path, maker: KeyPair, depth: int
) -> None:
    winning = grown()
    winning.fork(depth, depth + 4, 8)
    node = MemoryNode(winning.blocks)
    url = cluster.new_database()
    restore(snapshot, {maker.public}, url, identity())
    writer = open_writer(url, undo_window=UNDO_WINDOW)
    assert follow_to_tip(node, writer) == depth
    winning.fork(UNDO_WINDOW, UNDO_WINDOW + 1, 8, name="again")
    node.switch_to(winning.blocks)
    assert follow_to_tip(node, writer) == UNDO_WINDOW
    writer.close()
    assert exported(url) == index_fresh(node, cluster.new_database(migrated_template))


def test_the_first_and_the_restored_one_give_the_same_next_snapshot(
    cluster: Cluster, sound_url: str, snapshot: Path, maker: KeyPair, tmp_path: Path
) -> None:
    winning = grown()
    winning.extend(3, 8)
    made: list[Header] = []
    restored = cluster.new_database()
    restore(snapshot, {maker.public}, restored, identity())
    for url in (cluster.new_database(sound_url.rpartition("/")[2]), restored):
        writer = open_writer(url, undo_window=UNDO_WINDOW)
        follow_to_tip(MemoryNode(winning.blocks), writer)
        writer.close()
        made.append(create(url, maker.private, tmp_path / str(len(made)))[1])
    assert made[0].tables == made[1].tables


def test_restoring_again_has_nothing_to_do(empty_database_url: str, snapshot: Path, maker: KeyPair) -> None:
    # The scenario: the connection is lost while the commit is answered, and nobody knows whether it went through.
    assert restore(snapshot, {maker.public}, empty_database_url, identity())[1]
    before = exported(empty_database_url)
    assert not restore(snapshot, {maker.public}, empty_database_url, identity())[1]
    assert exported(empty_database_url) == before


def test_a_database_that_a_sync_has_begun_but_not_filled_is_empty_enough_and_its_writer_is_fenced_off(
    database_url: str, snapshot: Path, maker: KeyPair, chain: OfflineChain
) -> None:
    open_writer(database_url).close()
    restore(snapshot, {maker.public}, database_url, identity())
    with connect(database_url) as connection:
        assert connection.execute("SELECT epoch FROM index.chain").fetchone() == (2,)
    writer = open_writer(database_url)
    assert follow_to_tip(MemoryNode(chain.blocks), writer) == 0
    writer.close()


def test_a_database_that_holds_anything_is_refused_and_stays_as_it_is(
    damaged_url: str, snapshot: Path, maker: KeyPair
) -> None:
    with connect(damaged_url) as connection:
        connection.execute("DELETE FROM index.blocks WHERE height > 20; UPDATE index.chain SET tip_height = 20")
        before = exported(damaged_url)
        with pytest.raises(StoreError, match=r"database is not empty: index.blocks has rows; restore into an empty"):
            restore(snapshot, {maker.public}, damaged_url, identity())
        connection.execute("TRUNCATE index.blocks, index.operations, index.deploys, index.undo_deploys")
        connection.execute("DELETE FROM index.chain")
        with pytest.raises(StoreError, match=r"index\.balances has rows"):
            restore(snapshot, {maker.public}, damaged_url, identity())
    assert b'"type":"balance"' in before


def test_a_database_that_a_sync_writes_to_is_refused(database_url: str, snapshot: Path, maker: KeyPair) -> None:
    writer = open_writer(database_url)
    with pytest.raises(StoreUnavailableError, match="another process writes to this database; stop its sync"):
        restore(snapshot, {maker.public}, database_url, identity())
    writer.close()
    restore(snapshot, {maker.public}, database_url, identity())


def test_a_database_begun_by_another_cluster_is_refused(database_url: str, snapshot: Path, maker: KeyPair) -> None:
    with connect(database_url) as connection:
        claim(connection, identity(cluster="other"))
    with pytest.raises(StoreError, match="database was begun with CLUSTER_NAME=other, now it is test"):
        restore(snapshot, {maker.public}, database_url, identity())
    with connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM index.blocks").fetchone() == (0,)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"network": "main"}, "was made with BITCOIN_NETWORK=regtest, here it is main; set it so, or take another"),
        ({"start_height": 7}, "was made with START_BLOCK_HEIGHT=1, here it is 7"),
        ({"marketplace_height": 7}, "was made with MARKETPLACE_TRANSFER_BLOCK_HEIGHT=12, here it is 7"),
    ],
)
def test_a_snapshot_of_another_chain_is_refused(
    empty_database_url: str, snapshot: Path, maker: KeyPair, wanted: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        restore(snapshot, {maker.public}, empty_database_url, identity(**wanted))
    assert is_untouched(empty_database_url)


@pytest.mark.parametrize("version", ["0000", "9999"])
def test_a_snapshot_of_another_schema_is_refused(
    empty_database_url: str, snapshot: Path, maker: KeyPair, tmp_path: Path, version: str
) -> None:
    release = "an earlier" if version < schema.head() else "a later"
    other = rebuilt(snapshot, tmp_path / "other", maker, schema=version)
    said = f"has the schema {version}, this release {schema.head()}: restore with {release} release"
    with pytest.raises(ConfigurationError, match=said):
        restore(other, {maker.public}, empty_database_url, identity())
    assert is_untouched(empty_database_url)


def test_a_damaged_forged_or_untrusted_file_changes_nothing(
    empty_database_url: str, snapshot: Path, maker: KeyPair, forger: KeyPair, tmp_path: Path
) -> None:
    data = snapshot.read_bytes()
    rng = random.Random(8)
    positions = rng.sample(range(2_000), 5) + rng.sample(range(PREAMBLE, len(data)), 25)
    hostile = [data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :] for place in positions]
    hostile += [data[:length] for length in (0, 5_000, PREAMBLE, len(data) - 1)] + [data + b"x"]
    hostile.append(rebuilt(snapshot, tmp_path / "forged", forger).read_bytes())
    for bad in hostile:
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(SnapshotError) as refused:
            restore(tmp_path / "bad", {maker.public}, empty_database_url, identity())
        assert str(refused.value).startswith(f"{tmp_path}/bad: ")
        assert "\n" not in str(refused.value)
    with pytest.raises(SnapshotError, match="which is not trusted"):
        restore(snapshot, set(), empty_database_url, identity())
    assert is_untouched(empty_database_url)


@dataclass(frozen=True)
class Wrong:
    """What a signer who errs or lies has made of a table, and what is said of it."""

    table: str
    change: Callable[[list[bytes]], list[bytes]]  # of lines of COPY text
    said: str


def _first(lines: list[bytes], holding: bytes) -> int:
    return next(number for number, line in enumerate(lines) if holding in line)


def _as(old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: b"".join(lines).replace(old, new, 1).splitlines(keepends=True)


WRONG = {
    "a row twice": Wrong("balances", lambda lines: [*lines, lines[0]], "does not take its rows (duplicate key value"),
    "no number": Wrong(
        "balances", _as(b".00000000\t", b"x\t"), "the database does not take its rows (invalid input syntax"
    ),
    "less than nothing": Wrong("balances", _as(b"\t0.", b"\t-1."), "the database does not take its rows (new row for"),
    "another amount": Wrong(
        "balances", _as(b"\t0.00000000\t", b"\t1.00000000\t"), "do not come to the digest of height"
    ),
    "a lost deploy": Wrong("deploys", lambda lines: lines[1:], "deploys and balances do not come to the digest of"),
    "a lost operation": Wrong("operations", lambda lines: lines[1:], "operations of height 2 are not numbered as its"),
    "another sender": Wrong("operations", _as(b"\tbcrt1", b"\tbcrt2"), "operations do not come to the state hash of"),
    "another order": Wrong("operations", lambda lines: lines[::-1], "index.operations is not what the snapshot holds"),
    "a lost block": Wrong(
        "blocks", lambda lines: [*lines[:-1], lines[-2].replace(b"24\t", b"26\t")], "blocks hold height"
    ),
    "an end in the middle": Wrong("undo_balances", lambda lines: [lines[0], b"\\.\n", *lines[1:]], ""),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_rows_that_do_not_fit_are_not_kept_whoever_signed_them(
    empty_database_url: str, snapshot: Path, maker: KeyPair, tmp_path: Path, wrong: Wrong
) -> None:
    lines = contents_of(snapshot)[wrong.table].splitlines(keepends=True)
    bad = rebuilt(snapshot, tmp_path / "bad", maker, {wrong.table: b"".join(wrong.change(lines))})
    with pytest.raises(SnapshotError) as refused:
        restore(bad, {maker.public}, empty_database_url, identity())
    assert wrong.said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert is_empty(empty_database_url)
    assert restore(snapshot, {maker.public}, empty_database_url, identity())[1], "a later attempt finds it empty"


@pytest.mark.parametrize(
    "when", ["importing blocks", "importing deploys", "comparing blocks", "comparing undo_balances"]
)
def test_a_session_that_is_lost_in_the_middle_leaves_the_database_empty(
    empty_database_url: str, snapshot: Path, maker: KeyPair, when: str
) -> None:
    def cut(what: str, total: int) -> AbstractContextManager[Advance]:
        if what == when:
            with connect(empty_database_url) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        return quiet(what, total)

    with pytest.raises(StoreUnavailableError) as lost:
        restore(snapshot, {maker.public}, empty_database_url, identity(), progress=cut)
    assert "\n" not in str(lost.value)
    assert is_empty(empty_database_url)
    assert restore(snapshot, {maker.public}, empty_database_url, identity())[1]


@pytest.mark.proof
def test_when_it_is_killed_at_random_points_then_the_database_is_empty_or_complete(
    cluster: Cluster, sound_url: str, snapshot: Path, maker: KeyPair
) -> None:
    rng = random.Random(17)
    whole = exported(sound_url)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["indexer.snapshot.restore"])

    def begin(url: str) -> BaseProcess:
        process = processes.Process(target=restore, args=(snapshot, {maker.public}, url, identity()))
        process.start()
        return process

    for _ in range(2):  # the first one waits for the imports
        started = time.monotonic()
        process = begin(cluster.new_database())
        process.join()
        assert process.exitcode == 0
        undisturbed = time.monotonic() - started
    for _ in range(100):
        url = cluster.new_database()
        process = begin(url)
        process.join(rng.uniform(0, undisturbed))  # the random point
        process.kill()
        process.join()
        with connect(url) as connection:  # its session ends once the server notices
            connection.execute(f"SELECT pg_advisory_lock({LockKey.WRITER.sql})")
        assert is_untouched(url) or is_empty(url) or exported(url) == whole
        restore(snapshot, {maker.public}, url, identity())
        assert exported(url) == whole


def test_a_file_that_changes_after_it_was_checked_is_noticed_and_not_kept(
    empty_database_url: str, snapshot: Path, maker: KeyPair, tmp_path: Path
) -> None:
    (tmp_path / "changing").write_bytes(snapshot.read_bytes())

    def change(what: str, total: int) -> AbstractContextManager[Advance]:
        if what == "importing balances":
            with (tmp_path / "changing").open("r+b") as file:
                file.seek(-1, 2)
                file.write(b"\xff")
        return quiet(what, total)

    with pytest.raises(SnapshotError, match="section undo_balances is damaged"):
        restore(tmp_path / "changing", {maker.public}, empty_database_url, identity(), progress=change)
    assert is_empty(empty_database_url)


def test_the_reader_role_reads_what_was_restored(
    cluster: Cluster, empty_database_url: str, snapshot: Path, maker: KeyPair
) -> None:
    role = f"reader_{secrets.token_hex(4)}"
    with connect(cluster.url()) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
    restore(snapshot, {maker.public}, empty_database_url, identity(), reader_role=role)
    with connect(empty_database_url.replace("postgres@", f"{role}@")) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM index.operations").fetchone() == (True,)
        assert read_tip(connection).height == header_of(snapshot).height
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM index.operations_p0")


def test_a_database_that_is_away_or_cannot_hold_every_ticker_is_one_line(
    cluster: Cluster, snapshot: Path, maker: KeyPair
) -> None:
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        restore(snapshot, {maker.public}, "postgresql://nobody@127.0.0.1:1/none", identity())
    name = f"latin_{secrets.token_hex(4)}"
    with connect(cluster.url()) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0".encode())
    with pytest.raises(StoreError, match="encoding LATIN1"):
        restore(snapshot, {maker.public}, cluster.url(name), identity())


def test_hostile_tickers_empty_columns_and_partition_edges_come_back_as_they_were(
    cluster: Cluster, migrated_template: str, maker: KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.snapshot.container.PIECE", 64)  # so that every row is cut somewhere
    monkeypatch.setattr("indexer.snapshot.checks._BATCH", 2)
    first = cluster.new_database(migrated_template)
    start = filled(first)
    path, header = create(first, maker.private, tmp_path)
    second = cluster.new_database()
    restore(path, {maker.public}, second, identity(start_height=start))
    assert exported(second) == exported(first)
    with connect(second) as connection:
        partitions = connection.execute(
            "SELECT DISTINCT tableoid::regclass::text FROM index.operations ORDER BY 1"
        ).fetchall()
    assert partitions == [("index.operations_p0",), ("index.operations_p1",)]
    assert header.undo_from == header.height + 1, "no undo data, so nothing can be taken back"


def test_a_snapshot_without_undo_data_goes_on_but_takes_nothing_back(
    cluster: Cluster, damaged_url: str, maker: KeyPair, chain: OfflineChain, tmp_path: Path
) -> None:
    # The scenario: made while sync was catching up, far below the node's tip, where no undo data is written.
    with connect(damaged_url) as connection:
        connection.execute("TRUNCATE index.undo_deploys, index.undo_balances")
        connection.execute("UPDATE index.chain SET undo_from = 900")
    path, header = create(damaged_url, maker.private, tmp_path)
    assert header.undo_from == header.height + 1
    assert [section.rows for section in header.tables[-2:]] == [0, 0]
    url = cluster.new_database()
    restore(path, {maker.public}, url, identity())
    longer = grown()
    longer.extend(2, 5)
    assert longer.blocks[: len(chain.blocks)] == chain.blocks
    writer = open_writer(url)
    assert follow_to_tip(MemoryNode(longer.blocks), writer) == 0
    writer.close()
