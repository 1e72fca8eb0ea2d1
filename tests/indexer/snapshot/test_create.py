from __future__ import annotations

import resource
import shutil
import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from indexer.progress import quiet
from indexer.settings import ConfigurationError
from indexer.snapshot import tables
from indexer.snapshot.create import create
from indexer.snapshot.errors import SnapshotError
from indexer.snapshot.restore import restore
from indexer.store.chain import read_tip
from indexer.store.connection import StoreError, connect
from tests.indexer.snapshot.conftest import UNDO_WINDOW, grown
from tests.indexer.snapshot.forging import header_of, sections_of
from tests.support.indexing import exported, follow_to_tip, identity, index_fresh, open_writer
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from indexer.progress import Advance
    from tests.indexer.snapshot.conftest import KeyPair
    from tests.support.postgres import Cluster


def test_the_header_says_what_the_index_says(sound_url: str, snapshot: Path) -> None:
    header = header_of(snapshot)
    with connect(sound_url) as connection:
        tip = read_tip(connection)
    assert snapshot.name == f"simplicity-regtest-{tip.height}-{tip.position.state_hash.hex()[:12]}.snapshot"
    assert (header.network, header.start_height, header.height) == ("regtest", 1, tip.height)
    assert header.block_hash == tip.hash[::-1].hex()
    assert header.state_digest == tip.position.state_digest.hex()
    assert header.undo_from == tip.height - UNDO_WINDOW + 1
    assert all(section.rows > 0 for section in header.tables)
    assert header.file_size == snapshot.stat().st_size


def test_the_same_state_gives_the_same_bytes_but_for_the_time_and_the_signature(
    cluster: Cluster, snapshot: Path, maker: KeyPair, forger: KeyPair, tmp_path: Path
) -> None:
    again = cluster.new_database()
    restore(snapshot, {maker.public}, again, identity())
    name = again.rpartition("/")[2]
    with psycopg.connect(again, autocommit=True) as connection:
        for setting in ("TimeZone = 'Asia/Tokyo'", "DateStyle = 'SQL, DMY'", "bytea_output = 'escape'"):
            connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())
        connection.execute("UPDATE index.balances SET height = height WHERE amount > 0")  # rows move to the end
    path, header = create(again, forger.private, tmp_path)
    first = header_of(snapshot)
    assert sections_of(path) == sections_of(snapshot)
    differing = {name for name in header.__struct_fields__ if getattr(header, name) != getattr(first, name)}
    assert differing <= {"created_at", "public_key"}


def test_every_column_of_the_index_is_in_a_snapshot_unless_the_database_makes_it_itself(sound_url: str) -> None:
    with connect(sound_url) as connection:
        rows = connection.execute(
            "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns"
            " WHERE table_schema = 'index' AND is_generated = 'NEVER' AND table_name NOT LIKE 'operations\\_p%'"
            " GROUP BY table_name"
        ).fetchall()
    found = {name: tuple(columns) for name, columns in rows}
    assert found.pop("chain") == (
        *("only_row", "cluster", "network", "start_height", "marketplace_height"),
        *("epoch", "tip_height", "tip_hash", "undo_from", "node_height"),
    ), "what is new in the chain row has to be thought of in create and restore"
    assert found == {table.name: table.columns for table in tables.TABLES}


def test_blocks_that_sync_commits_or_undoes_meanwhile_do_not_touch_it(
    cluster: Cluster, maker: KeyPair, tmp_path: Path, database_url: str
) -> None:
    chain = grown(seed=5)
    node = MemoryNode(chain.blocks[:15])
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    before = exported(database_url)
    other = grown(seed=5, blocks=13)
    other.extend(9, 3)
    moves = iter((chain.blocks[:20], other.blocks))

    def while_sync_goes_on(what: str, total: int) -> AbstractContextManager[Advance]:
        if (blocks := next(moves, None)) is not None:
            node.switch_to(blocks)
            follow_to_tip(node, writer)
        return quiet(what, total)

    path, header = create(database_url, maker.private, tmp_path, while_sync_goes_on)
    assert (header.height, writer.tip.height) == (15, len(other.blocks))
    writer.close()
    restored = cluster.new_database()
    restore(path, {maker.public}, restored, identity())
    assert exported(restored) == before


def test_at_whatever_moment_of_a_sync_it_is_taken_it_is_the_index_of_a_whole_block(
    cluster: Cluster, migrated_template: str, maker: KeyPair, tmp_path: Path, database_url: str
) -> None:
    chain = grown(seed=6, blocks=60)
    writer = open_writer(database_url)
    follow_to_tip(MemoryNode(chain.blocks[:5]), writer)
    stop = threading.Event()

    def sync() -> None:
        for length in range(6, len(chain.blocks) + 1):
            follow_to_tip(MemoryNode(chain.blocks[:length]), writer)
            if stop.is_set():
                return

    thread = threading.Thread(target=sync)
    thread.start()
    try:
        made = []
        for number in range(4):
            (tmp_path / str(number)).mkdir()
            made.append(create(database_url, maker.private, tmp_path / str(number)))
    finally:
        stop.set()
        thread.join()
        writer.close()
    for path, header in made[1:3]:
        restored = cluster.new_database()
        restore(path, {maker.public}, restored, identity())
        fresh = index_fresh(MemoryNode(chain.blocks[: header.height]), cluster.new_database(migrated_template))
        assert exported(restored) == fresh


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            "UPDATE index.balances SET amount = amount + 1 WHERE ctid = (SELECT min(ctid) FROM index.balances)",
            "deploys and balances do not come to the digest of height 25",
        ),
        (
            "DELETE FROM index.balances WHERE ctid = (SELECT min(ctid) FROM index.balances WHERE amount > 0)",
            "deploys and balances do not come to the digest of height 25",
        ),
        (
            "UPDATE index.balances SET amount = 'NaN' WHERE ctid = (SELECT min(ctid) FROM index.balances)",
            "balances hold a row that cannot be read",
        ),
        (
            "UPDATE index.deploys SET minted = 0 WHERE ctid = (SELECT min(ctid) FROM index.deploys WHERE minted > 0)",
            "deploys and balances do not come to the digest of height 25",
        ),
        (
            "UPDATE index.operations SET sender = 'mallory' WHERE op_id = 9 << 20",
            "operations do not come to the state hash of height 25",
        ),
        (
            "UPDATE index.operations SET error = 'NO_SUCH_CODE' WHERE op_id = 9 << 20",
            "operations do not come to the state hash of height 25",
        ),
        ("UPDATE index.blocks SET op_count = op_count + 1 WHERE height = 9", "operations of height 9 are not numbered"),
        (
            "UPDATE index.undo_balances SET amount = 1, amount_height = NULL",
            r"undo_balances hold a row that cannot be read .what block \d+ changed was not so before it",
        ),
        ("DELETE FROM index.operations WHERE op_id = 9 << 20", "operations of height 9 are not numbered as its block"),
        ("DELETE FROM index.operations WHERE op_id >= 25 << 20", "operations do not come to the state hash of"),
        (
            "UPDATE index.operations SET op_id = op_id + (20 << 20) WHERE op_id = 9 << 20",
            "operations of height 9 are not numbered as its block has them",
        ),
        (
            "UPDATE index.operations SET op_id = 26 << 20 WHERE op_id = (SELECT max(op_id) FROM index.operations)",
            "operations of height 25 are not numbered as its block has them",
        ),
        (
            "UPDATE index.blocks SET events_hash = sha256('') WHERE height = 9",
            "block 9 does not follow from the one before",
        ),
        ("UPDATE index.blocks SET hash = sha256('') WHERE height = 9", "block 10 does not follow from the one before"),
        ("DELETE FROM index.blocks WHERE height = 9", "blocks hold height 10 where 9 should be"),
        ("DELETE FROM index.blocks WHERE height = 25", "blocks end at height 24, not in the tip of height 25"),
        ("UPDATE index.chain SET tip_hash = sha256('')", "blocks end at height 25, not in the tip of height 25"),
        (
            "UPDATE index.blocks SET state_digest = sha256('') WHERE height = 25",
            "deploys and balances do not come to the digest of height 25",
        ),
    ],
)
def test_an_index_that_does_not_come_to_its_own_values_is_refused_and_no_file_is_left(
    damaged_url: str, maker: KeyPair, tmp_path: Path, damage: str, said: str
) -> None:
    with connect(damaged_url) as connection:
        assert connection.execute(damage.encode()).rowcount > 0
    with pytest.raises(SnapshotError, match=f"the index is damaged: {said}.*; look with: simplicity state verify"):
        create(damaged_url, maker.private, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_index_without_a_block_or_without_a_schema_is_refused(
    cluster: Cluster, database_url: str, maker: KeyPair, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="database holds no index yet; run: simplicity sync"):
        create(cluster.new_database(), maker.private, tmp_path)
    open_writer(database_url).close()
    with pytest.raises(StoreError, match="database holds no block yet; run: simplicity sync"):
        create(database_url, maker.private, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_schema_of_another_release_is_refused(damaged_url: str, maker: KeyPair, tmp_path: Path) -> None:
    with connect(damaged_url) as connection:
        connection.execute("UPDATE ops.schema_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"database has schema 9999, this release .*: use that one's release"):
        create(damaged_url, maker.private, tmp_path)


def test_a_disk_without_room_is_refused_before_anything_is_written(
    sound_url: str, maker: KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ConfigurationError, match=r"the snapshot needs at least \d+ bytes of free disk"):
        create(sound_url, maker.private, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def nearly_full_disk() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("nearly_full_disk")
def test_a_disk_that_is_full_in_the_middle_leaves_nothing_behind(
    sound_url: str, maker: KeyPair, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"snapshot: File too large; choose another place"):
        create(sound_url, maker.private, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_can_be_given_and_a_file_that_is_there_is_not_overwritten(
    sound_url: str, maker: KeyPair, tmp_path: Path
) -> None:
    path, _ = create(sound_url, maker.private, tmp_path / "mine")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="mine: exists already; remove it or choose another name"):
        create(sound_url, maker.private, tmp_path / "mine")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("mine", before)]
    with pytest.raises(ConfigurationError, match="No such file or directory; choose another place"):
        create(sound_url, maker.private, tmp_path / "nowhere" / "mine")


def test_two_at_once_in_one_directory_do_not_write_into_each_other(
    sound_url: str, maker: KeyPair, tmp_path: Path
) -> None:
    refusals: list[str] = []

    def meanwhile(what: str, total: int) -> AbstractContextManager[Advance]:
        with pytest.raises(ConfigurationError) as refused:
            create(sound_url, maker.private, tmp_path / "second")
        refusals.append(str(refused.value))
        return quiet(what, total)

    path, header = create(sound_url, maker.private, tmp_path / "first", meanwhile)
    assert set(refusals) == {f"--output {tmp_path}: another snapshot is being written there; wait for it"}
    assert [each.name for each in tmp_path.iterdir()] == ["first"]
    assert header_of(path) == header


def test_what_a_killed_one_left_is_used_up_by_the_next(sound_url: str, maker: KeyPair, tmp_path: Path) -> None:
    (tmp_path / ".snapshot.partial").write_bytes(b"x" * 1_000_000)
    path, header = create(sound_url, maker.private, tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_size == header.file_size


def test_a_link_in_the_place_of_the_partial_file_is_not_followed(
    sound_url: str, maker: KeyPair, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".snapshot.partial").symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigurationError, match="Too many levels of symbolic links; choose another place"):
        create(sound_url, maker.private, tmp_path)
    assert (tmp_path / "precious").read_text() == "precious"
