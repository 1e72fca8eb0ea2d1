"""Backups brought back as a second server: to the end, to a block, to a moment; equal to the last row."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from msgspec import structs

from audit import trail
from infra.local.components.postgresql import DATABASE
from runbooks.backup import checkpoints, keys, pruning, restore, wal
from runbooks.backup import scratch as module
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.lsn import Lsn, Segment, Switch
from runbooks.backup.manifest import new_id, pack
from runbooks.backup.restoring import known_of
from runbooks.backup.scratch import Scratch, scratch
from runbooks.backup.target import Target, parse, plan
from runbooks.backup.verifying import verify
from tests.runbooks.backup.story import WITHIN, planned, restored
from tests.support.indexing import exported

if TYPE_CHECKING:
    from pathlib import Path

    from runbooks.backup.checkpoints import Checkpoint
    from runbooks.backup.manifest import Manifest
    from tests.runbooks.backup.damaging import Scene
    from tests.runbooks.backup.story import Story

pytestmark = pytest.mark.xdist_group("backups")  # one worker has the server


def valid(recorded: list[Checkpoint], tip: Checkpoint) -> list[Checkpoint]:
    """Return what was recorded, up to a block, of the chain that ends there."""
    upto = recorded[: recorded.index(tip) + 1]
    last = {each.height: each for each in upto}
    return [last[height] for height in range(1, tip.height + 1)]


def hashes(points: list[Checkpoint]) -> list[tuple[int, str, str, str, int]]:
    return [(each.height, each.block_hash, each.state_hash, each.state_digest, each.xid) for each in points]


def require_equal(story: Story, server: Scratch, tip: Checkpoint) -> None:
    """Require the index as it was at a block, and what was recorded of it outside."""
    url = server.url(DATABASE)
    assert exported(url) == story.exports[tip.block_hash]
    with psycopg.connect(url, autocommit=True) as connection:
        found = checkpoints.since(connection, [])
    assert hashes(found) == hashes(valid(story.recorded, tip))


@pytest.mark.parametrize("kind", ["full", "incremental", "differential"])
def test_the_end_of_the_archive_is_reached_from_every_backup(story: Story, folder: Path, kind: str) -> None:
    chosen = planned(story, Target("latest"), [getattr(story, kind)])
    with restored(story, chosen, folder) as server:
        require_equal(story, server, story.recorded[-1])
        with psycopg.connect(server.url(DATABASE), autocommit=True) as connection:
            there = list(trail.links(connection))
            assert [each.facts["target"] for each in there] == ["first", "second"]
            assert trail.cluster_id(connection) == story.full.cluster
            connection.execute("CREATE TABLE index.written ()")  # it takes writes
        with psycopg.connect(story.server.url(DATABASE), autocommit=True) as live:
            assert list(trail.links(live))[:2] == there  # other tests have written since


def test_a_block_of_a_branch_that_was_left_is_reached_by_its_hash(story: Story, folder: Path) -> None:
    assert story.left.block_hash != valid(story.recorded, story.recorded[-1])[story.left.height - 1].block_hash
    chosen = planned(story, parse(story.left.block_hash))
    assert chosen.backup == story.incremental
    with restored(story, chosen, folder) as server:
        require_equal(story, server, story.left)


def test_a_height_is_reached_by_the_transaction_of_its_last_block(story: Story, folder: Path) -> None:
    wanted = checkpoints.find(story.recorded, height=story.moment_height - 1)
    assert wanted is not None
    chosen = planned(story, parse(str(wanted.height)))
    assert chosen.backup == story.differential
    with restored(story, chosen, folder) as server:
        require_equal(story, server, wanted)


def test_the_last_block_is_reached_though_its_position_was_noted_after_the_last_file(
    story: Story, folder: Path
) -> None:
    wanted = story.recorded[-1]
    chosen = planned(story, parse(wanted.block_hash))
    assert chosen.last is not None
    size = story.full.segment_size
    assert chosen.last.segment(size) > int(wal.names(story.repository)[-1][8:24], 16), "nothing of it is archived"
    with restored(story, chosen, folder) as server:
        require_equal(story, server, wanted)


def test_a_moment_is_reached_and_no_block_after_it(story: Story, folder: Path) -> None:
    chosen = planned(story, parse(story.moment.isoformat()))
    wanted = checkpoints.find(story.recorded, height=story.moment_height)
    assert wanted is not None
    with restored(story, chosen, folder) as server:
        require_equal(story, server, wanted)


def test_a_server_that_was_killed_within_recovery_goes_on(story: Story, folder: Path) -> None:
    chosen = planned(story, Target("latest"))
    restore.fetch(story.repository, chosen, story.opening, folder)
    with scratch(folder / restore.DATA, folder / "log") as server:
        restore.recover(server, chosen, folder, within=WITHIN)
        assert server.process is not None
        server.process.kill()
        server.process.wait(10)
        assert (folder / restore.DATA / "postmaster.pid").exists()
    with scratch(folder / restore.DATA, folder / "log") as server:
        restore.recover(server, chosen, folder, within=WITHIN)
        require_equal(story, server, story.recorded[-1])


def test_a_moment_after_the_end_of_the_archive_is_refused(story: Story, folder: Path) -> None:
    chosen = planned(story, parse("2199-01-01T00:00:00Z"))
    with pytest.raises(RefusedError) as caught, restored(story, chosen, folder):
        pass
    assert "\n" not in str(caught.value)
    assert "the archive ends before the target" in str(caught.value)


REASONS = {
    "recovery ended before configured recovery target was reached": "the archive ends before the target",
    "could not locate required checkpoint record at 0/2000080": "WAL that the backup needs is missing",
    "requested recovery stop point is before consistent recovery point": "the target is older than the backup",
    "could not open file": "the restored files do not start: could not open file",
}


@pytest.mark.parametrize("words", REASONS)
@pytest.mark.parametrize(
    "after",
    [
        "",
        "FATAL:  the database system is not accepting connections",
    ],
)
def test_why_a_server_does_not_come_up_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str, after: str
) -> None:
    lines = [f"2026-11-30 05:12:00.000 UTC [7] FATAL:  {words}", after, "LOG:  database system is shut down"]
    program = tmp_path / "postgres"
    program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}' >&2\n" for line in lines) + "exit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(module, "binary", lambda _: str(program))
    (tmp_path / "data").mkdir()
    with (
        pytest.raises(RefusedError, match=f"^{REASONS[words]}"),
        scratch(tmp_path / "data", tmp_path / "log") as server,
    ):
        server.start({}, within=20)


def test_what_an_earlier_attempt_has_left_is_replaced(story: Story, folder: Path) -> None:
    chosen = planned(story, Target("latest"), [story.incremental])
    for name in ("data", "wal", "parts"):
        (folder / name).mkdir()
        (folder / name / "left").write_text("of before")
    count = restore.fetch(story.repository, chosen, story.opening, folder)
    assert count == len([name for name in (folder / "wal").iterdir() if len(name.name) == 24])
    assert not list(folder.rglob("left"))
    assert not (folder / "parts").exists()


def test_a_folder_that_cannot_be_written_is_told_in_one_line(story: Story, folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(BackupError, match="Not a directory; a restore needs the space of the database there"):
        restore.fetch(story.repository, planned(story, Target("latest")), story.opening, folder / "file" / "x")


def aged(story: Story, scene: Scene) -> Manifest:
    """Let a scene's backups be old: a later one was made on each of seven days since. Return the last of these."""
    last = story.differential
    for day in range(1, 8):
        ended = last.ended + timedelta(days=day)
        later = structs.replace(last, id=new_id(ended, "differential"), ended_at=ended.isoformat())
        shutil.copytree(scene.file("", last.id), scene.file("", later.id))
        scene.file("manifest.json", later.id).write_bytes(pack(later, scene.signer()))
    return later


def segments_of(backup: Manifest) -> list[str]:
    numbers = range(backup.first_segment, backup.last_segment + 1)
    return [Segment(backup.timeline, number).name(backup.segment_size) for number in numbers]


def test_an_old_backup_whose_later_wal_was_pruned_is_whole_and_comes_back_as_it_is(
    story: Story, scene: Scene, folder: Path
) -> None:
    there, opening = scene.there, keys.load_opening(scene.keys)
    before, last = wal.names(there), aged(story, scene)
    pruned = pruning.prune(there, opening.trusted)
    assert story.full.id in pruned.kept, "the later ones build on it"
    gone = set(before) - set(wal.names(there))
    assert {len(name) for name in gone} & {24}, "there has to be a gap behind it"
    assert not gone & set(segments_of(story.full))

    found = verify(there, story.full.id, scene.keys)
    assert (found.wal_files, found.until) == (len(segments_of(story.full)), segments_of(story.full)[-1])
    known = known_of(there, opening, there.backups(opening.trusted)[0], None)
    assert plan(Target("latest"), known).backup == last
    chosen = plan(Target("latest"), known, story.full)
    assert (chosen.as_it_is, chosen.settings["recovery_target"]) == (True, "immediate")
    with restored(story, chosen, folder, there) as server:
        assert story.full.tip is not None
        assert exported(server.url(DATABASE)) == story.exports[story.full.tip.block_hash]
        with psycopg.connect(server.url(DATABASE), autocommit=True) as connection:
            assert list(trail.links(connection)) == [], "its first entry was made later"
            connection.execute("CREATE TABLE index.written ()")  # it takes writes


def test_an_old_backup_is_whole_on_a_host_without_the_identity_too(story: Story, scene: Scene) -> None:
    aged(story, scene)
    pruning.prune(scene.there, keys.load_trusted(scene.keys))
    (scene.keys / keys.IDENTITY).unlink()
    assert verify(scene.there, story.full.id, scene.keys).wal_files == len(segments_of(story.full))


def test_a_verification_does_not_follow_a_timeline_that_was_tried_and_left(
    story: Story, scene: Scene, tmp_path: Path
) -> None:
    there, wanted = scene.there, verify(scene.there, scene.backup, scene.keys)
    mark, size = tmp_path / "mark", story.full.segment_size
    fork = Lsn.parse(story.incremental.stop_lsn)
    history = tmp_path / "00000002.history"
    history.write_text(f"1\t{fork}\tno recovery target specified\n")
    assert wal.archive(there, history, lambda: story.sealing, mark)
    for number, name in enumerate(scene.segments, start=fork.segment(size)):
        tried = tmp_path / Segment(2, number).name(size)
        wal.fetch(there, name, tried, story.opening)
        assert wal.archive(there, tried, lambda: story.sealing, mark)
    assert wal.histories(there, wal.names(there), story.opening) == {2: [Switch(1, fork)]}
    assert verify(there, scene.backup, scene.keys) == wanted
    assert wanted.until.startswith("00000001")
    assert verify(there, story.differential.id, scene.keys).until == wanted.until
