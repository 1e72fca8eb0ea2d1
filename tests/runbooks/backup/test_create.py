"""Backups of a running server: what they are, when they are refused, what an interrupted one leaves."""

from __future__ import annotations

import io
import os
import re
import signal
import stat
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from audit.objects import ObjectStoreError, open_store
from indexer.bitcoin.block import display
from infra.local.components import sync
from infra.local.components.postgresql import BACKUP
from runbooks.backup import pruning, restore, verifying
from runbooks.backup import wal as archive
from runbooks.backup.create import Wanted, create, read_list
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.manifest import new_id
from runbooks.backup.repository import Repository
from runbooks.backup.retention import Policy
from runbooks.backup.sealed import unseal
from runbooks.backup.source import Source, content
from tests.runbooks.backup.story import MARK
from tests.support.backups import ID, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.progress import Advance
    from runbooks.backup.manifest import Kind, Manifest
    from tests.runbooks.backup.story import Story
    from tests.support.postgres import Cluster

pytestmark = pytest.mark.xdist_group("backups")  # one worker has the server


def wanted(kind: Kind = "full", **files: bytes) -> Wanted:
    return Wanted(new_id(datetime.now(UTC), kind), kind, sync.CLUSTER, files)


@pytest.fixture
def place(story: Story, folder: Path) -> Repository:
    """A repository of its own for the story's cluster."""
    return Repository(open_store((folder / "other").as_uri()), story.full.cluster)


def foreign_source(foreign: Cluster) -> Source:
    with psycopg.connect(foreign.url(), autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (BACKUP,)).fetchone() is None:
            connection.execute(f"CREATE ROLE {BACKUP} LOGIN REPLICATION")
            connection.execute(f"GRANT pg_read_all_data TO {BACKUP}")
    return Source("127.0.0.1", foreign.port, "postgres", BACKUP, "")


def test_each_kind_builds_on_what_it_says(story: Story) -> None:
    assert [(each.kind, each.parent) for each in story.backups] == [
        ("full", None),
        ("incremental", story.full.id),
        ("differential", story.full.id),
    ]
    trusted = story.opening.trusted
    assert story.repository.backups(trusted) == (story.backups, [])
    assert story.repository.chain(story.differential, trusted) == [story.full, story.differential]
    assert story.repository.unfinished() == []


def test_a_backup_says_what_it_is_of(story: Story) -> None:
    assert story.full.tip is not None
    assert story.full.owner is not None
    assert (story.full.tip.height, story.full.owner.cluster, story.full.owner.network) == (8, "local", "regtest")
    assert (story.full.schema, story.full.postgres, story.full.timeline) == ("0003", 18, 1)
    assert story.full.audit is None
    assert story.incremental.audit is not None
    assert story.incremental.audit.seq == 1
    for each in story.backups:
        assert each.first_segment <= each.last_segment
        assert each.started_at <= each.ended_at


def test_it_is_at_least_60_percent_smaller_than_the_data_and_increments_much_more(story: Story) -> None:
    assert story.full.stored_size <= 0.4 * story.full.data_size
    assert story.incremental.stored_size < 0.3 * story.full.stored_size
    assert story.differential.stored_size < 0.3 * story.full.stored_size


def test_each_is_whole_and_the_wal_after_it_has_no_gap(story: Story) -> None:
    for each in story.backups:
        found = verifying.verify(story.repository, each.id, story.server.place.keys)
        assert found.backup == each.id
        assert found.wal_files >= 3
        assert "without a gap" in found.sentence
    assert found.chain == [story.full.id, story.differential.id]
    assert found.as_dict()["until"] == found.until


def test_nothing_was_archived_before_the_first_backup_and_everything_after_it(story: Story) -> None:
    assert story.before == []
    there = archive.names(story.repository)
    numbers = [int(name[8:], 16) for name in there if len(name) == 24]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[0] <= story.full.first_segment
    assert any(name.endswith(".backup") for name in there)


def addresses(story: Story) -> set[bytes]:
    return {found for each in story.exports.values() for found in re.findall(rb"bcrt1[a-z0-9]{20,}", each)}


def test_nothing_secret_stands_in_the_clear_in_the_repository(story: Story) -> None:
    passwords = [value.encode() for value in story.server.envelope.secrets.values()]
    marks = [*passwords, MARK.encode(), b"AGE-SECRET-KEY", b"PRIVATE KEY", *addresses(story)]
    assert len(marks) > 12
    tickers = {found for each in story.exports.values() for found in re.findall(rb'"ticker":"(\w{4,})"', each)}
    assert tickers
    stored = bytes_of(story.folder)
    assert any(name.endswith("base.tar.zst.age") for name in stored)
    for name, data in stored.items():
        listed = read_list(story.repository, story.full) if "files.json" in name else b""
        assert not [mark for mark in marks if mark in data + listed], name
        if not name.endswith(".age") and "/wal/" not in name:
            # Four random bytes are a ticker now and then: only what is not encrypted tells.
            assert not [ticker for ticker in tickers if ticker in data + listed], name


def test_what_is_looked_for_above_would_be_found_if_it_were_not_sealed(story: Story, tmp_path: Path) -> None:
    plain = io.BytesIO()
    with story.repository.reading(story.full.id, story.full.base.name) as source:
        unseal(source, plain, story.full.base.sums, story.opening.identity, name="it")
    assert any(address in plain.getvalue() for address in addresses(story))
    names = restore.read_configuration(story.repository, story.full, story.opening, tmp_path / "configuration")
    assert {"environment.json", "secrets/database_writer_password", "secrets/database_backup_password"} <= set(names)


def test_the_repository_is_for_its_owner_alone(story: Story) -> None:
    for path in story.server.envelope.layout.backups.rglob("*"):
        wanted_mode = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted_mode, path


def test_configuration_comes_back_into_a_private_directory(story: Story, tmp_path: Path) -> None:
    target = tmp_path / "configuration"
    names = restore.read_configuration(story.repository, story.differential, story.opening, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    kept = story.server.envelope.layout.secrets / "sync_password"
    assert (target / "secrets/database_writer_password").read_bytes() == kept.read_bytes()
    assert stat.S_IMODE((target / "secrets/database_writer_password").stat().st_mode) == 0o600
    assert "environment.json" in names
    assert not [name for name in names if "identity" in name or "signing" in name], "no backup holds its own key"
    with pytest.raises(BackupError, match="exists already; choose a new directory"):
        restore.read_configuration(story.repository, story.differential, story.opening, target)
    with pytest.raises(BackupError, match="Not a directory; choose another directory"):
        restore.read_configuration(story.repository, story.full, story.opening, target / "environment.json" / "x")


@pytest.mark.parametrize("kind", ["incremental", "differential"])
def test_without_a_backup_to_build_on_only_a_full_one_is_made(story: Story, place: Repository, kind: Kind) -> None:
    with pytest.raises(BackupError, match=f"there is no backup that a {kind} one could build on; make a full one"):
        create(story.server.source, place, story.sealing, wanted(kind))
    assert place.unfinished() == place.ids() == []


def test_a_parent_whose_list_of_files_is_damaged_is_refused_before_anything_is_copied(
    story: Story, place: Repository
) -> None:
    data = story.repository.store.get(story.repository.name("backups", story.full.id, "manifest.json"))
    place.store.put(place.name("backups", story.full.id, "manifest.json"), data)
    place.store.put(place.name("backups", story.full.id, story.full.files.name), b"no list")
    with pytest.raises(RefusedError, match=f"the list of files of {story.full.id} is damaged"):
        create(story.server.source, place, story.sealing, wanted("incremental"))
    assert place.ids() == [story.full.id]
    assert place.unfinished() == []


def test_another_cluster_is_not_backed_up_into_this_ones_folder(
    story: Story, place: Repository, foreign: Cluster
) -> None:
    with pytest.raises(BackupError, match=rf"not {story.full.cluster}; nothing was backed up"):
        create(foreign_source(foreign), place, story.sealing, wanted())
    assert place.store.names() == []


def of(source: Source, place: Repository) -> Repository:
    """Return the part of a repository of another server's cluster."""
    with source.connected() as connection:
        row = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    assert row is not None
    return replace(place, cluster=row[0])


def test_a_server_without_summaries_has_full_backups_only(story: Story, place: Repository, foreign: Cluster) -> None:
    source = foreign_source(foreign)
    own = of(source, place)
    with pytest.raises(BackupError, match=r"summarises no WAL \(summarize_wal is off\); make a full backup"):
        create(source, own, story.sealing, wanted("incremental"))
    made = create(source, own, story.sealing, wanted())
    assert (made.owner, made.tip, made.schema, made.audit) == (None, None, "", None), "no index is there yet"
    with pytest.raises(BackupError, match="summarises no WAL"):
        create(source, own, story.sealing, wanted("differential"))
    _copied_into_the_story(story, own, made)


def _copied_into_the_story(story: Story, own: Repository, made: Manifest) -> None:
    """A whole backup of one cluster, in the folder of another one, is refused there."""
    there = Repository(own.store, story.full.cluster)
    for name in own.store.names(own.name("backups", "")):
        own.store.put(name.replace(own.cluster, there.cluster), own.store.get(name))
    with pytest.raises(RefusedError, match=rf"is of another database cluster \({own.cluster}\)"):
        verifying.verify(there, made.id, story.server.place.keys)
    good, bad = there.backups(story.opening.trusted)
    assert (good, [each.id for each in bad]) == ([], [made.id])


def test_a_server_that_archives_nothing_is_not_backed_up(story: Story, place: Repository, cluster: Cluster) -> None:
    source = foreign_source(cluster)
    with pytest.raises(BackupError, match=r"archives no WAL \(archive_mode is off\)"):
        create(source, of(source, place), story.sealing, wanted())


def test_a_database_that_does_not_answer_is_told_in_one_line(story: Story, place: Repository) -> None:
    nowhere = replace(story.server.source, port=9)
    with pytest.raises(BackupError) as caught:
        create(nowhere, place, story.sealing, wanted())
    assert "\n" not in str(caught.value)
    assert story.server.source.password not in str(caught.value) + repr(nowhere)


def test_a_wrong_password_is_told_without_it(story: Story, place: Repository) -> None:
    wrong = replace(story.server.source, password="hunter2")
    with pytest.raises(BackupError, match="refused the user or password") as caught:
        create(wrong, place, story.sealing, wanted())
    assert "hunter2" not in str(caught.value)


def test_the_role_of_backups_changes_nothing(story: Story) -> None:
    with psycopg.connect(story.server.backup_url, autocommit=True) as connection:
        for statement in (
            "DELETE FROM index.blocks",
            "INSERT INTO ops.audit (seq) VALUES (99)",
            "CREATE TABLE index.mine ()",
            "CREATE SCHEMA mine",
            "ALTER SYSTEM SET archive_command = 'true'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def ending(how: BaseException) -> Any:  # noqa: ANN401 - a Progress
    @contextmanager
    def progress(_what: str, _total: int) -> Iterator[Advance]:
        def advance(done: int) -> None:
            if done > 1 << 22:
                raise how

        yield advance

    return progress


@pytest.mark.parametrize("how", [KeyboardInterrupt(), ObjectStoreError("the place is full")])
def test_one_that_is_interrupted_leaves_nothing(story: Story, place: Repository, how: BaseException) -> None:
    with pytest.raises(type(how)):
        create(story.server.source, place, story.sealing, wanted(), ending(how))
    assert place.store.names() == [place.name("cluster.json")]
    assert place.ids() == place.unfinished() == []


class _Refusing:
    """A store that takes no manifest, nor anything back: as when the host dies at the last step."""

    def __init__(self, store: Any) -> None:  # noqa: ANN401 - an ObjectStore
        self._store = store

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._store, name)

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        if name.endswith("manifest.json"):
            raise ObjectStoreError("the place is gone")
        self._store.put(name, data, replace=replace)

    def delete(self, _name: str) -> None:
        raise ObjectStoreError("the place is gone")


def test_one_without_a_manifest_is_unfinished_and_goes_after_a_day(
    story: Story, place: Repository, folder: Path
) -> None:
    what = wanted(secret=b"x")
    broken = Repository(_Refusing(place.store), place.cluster)
    with pytest.raises(ObjectStoreError, match="the place is gone"):
        create(story.server.source, broken, story.sealing, what)
    assert (place.ids(), place.unfinished()) == ([], [what.id])
    with pytest.raises(BackupError, match=f"there is no backup {what.id}"):
        place.manifest(what.id, story.opening.trusted)
    assert pruning.plan(place, story.opening.trusted, Policy())[0].unfinished == [], "it may be in the making"
    yesterday = (datetime.now(UTC) - timedelta(hours=25)).timestamp()
    for path in (folder / "other").rglob("*"):
        if path.is_file():
            os.utime(path, (yesterday, yesterday))
    assert pruning.prune(place, story.opening.trusted).unfinished == [what.id]
    assert place.unfinished() == []


def kill_one(story: Story, place: Repository) -> str:
    """Kill a process in the middle of making a backup; return the backup's id."""
    what = wanted()
    document = story.server.envelope.layout.environment
    words = [sys.executable, str(Path(__file__).with_name("killed.py")), str(document), place.store.url, what.id]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60, cwd=Path.cwd(), env=_path())
    assert done.returncode == -signal.SIGKILL, done.stderr
    return what.id


def _path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path.cwd())}


def test_one_that_is_killed_is_no_backup_and_the_server_copies_no_more(story: Story, place: Repository) -> None:
    backup = kill_one(story, place)
    assert place.ids() == []
    with psycopg.connect(story.server.url(), autocommit=True) as connection:
        deadline = time.monotonic() + 10
        while connection.execute("SELECT FROM pg_stat_replication").fetchone() is not None:
            assert time.monotonic() < deadline, "the server still copies for a process that is gone"
            time.sleep(0.05)
    again = create(story.server.source, place, story.sealing, replace(wanted(), id=backup))
    assert place.ids() == [again.id] == [backup], "the same id can be taken up again"


def test_what_a_killed_one_leaves_is_unfinished_and_can_be_pruned(
    story: Story, place: Repository, folder: Path
) -> None:
    backup = kill_one(story, place)
    assert place.unfinished() == [backup]
    place.remove(backup)
    assert not [path for path in (folder / "other").rglob(f"*/{backup}/*") if path.is_file()]


def test_what_is_read_of_a_database_is_of_one_moment(story: Story) -> None:
    with story.server.source.connected() as connection:
        found = content(connection)
        row = connection.execute("SELECT height, hash FROM index.blocks ORDER BY height DESC LIMIT 1").fetchone()
    assert found.tip is not None
    assert row is not None
    assert (found.tip.height, found.tip.block_hash) == (row[0], display(row[1]))


def test_ids_that_are_none_are_asked_for_in_vain(story: Story) -> None:
    for name in ("../../etc", "", "latest", ID + "/.."):
        with pytest.raises(BackupError, match="is no id of a backup"):
            story.repository.manifest(name, story.opening.trusted)
    with pytest.raises(BackupError, match=f"there is no backup {ID}"):
        story.repository.manifest(ID, story.opening.trusted)


def test_a_full_tar_of_the_server_is_what_is_sealed(story: Story) -> None:
    plain = io.BytesIO()
    with story.repository.reading(story.incremental.id, story.incremental.base.name) as source:
        unseal(source, plain, story.incremental.base.sums, story.opening.identity, name="it")
    plain.seek(0)
    with tarfile.open(fileobj=plain) as tar:
        names = tar.getnames()
        listed = tar.extractfile("backup_manifest")
        assert listed is not None
        assert listed.read() == read_list(story.repository, story.incremental)
    assert any("INCREMENTAL." in name for name in names)
