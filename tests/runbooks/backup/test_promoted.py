"""A restored server has begun a timeline of its own: what it keeps for the archive, and what is recorded of it."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread
from typing import TYPE_CHECKING

import psycopg
import pytest
from msgspec import structs

from audit.objects import open_store
from indexer.store.connection import connect
from infra.local.components.postgresql import DATABASE
from runbooks.backup import checkpoints, wal
from runbooks.backup.agent import Agent
from runbooks.backup.checkpoints import Log
from runbooks.backup.lsn import Lsn
from runbooks.backup.repository import Repository
from runbooks.backup.target import parse
from tests.runbooks.backup.story import index, planned, restored
from tests.support.backups import new_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runbooks.backup.checkpoints import Checkpoint
    from runbooks.backup.scratch import Scratch
    from runbooks.backup.target import Plan
    from tests.runbooks.backup.story import Story

pytestmark = pytest.mark.xdist_group("backups")  # one worker has the server


@pytest.fixture(scope="module")
def chosen(story: Story) -> Plan:
    """A block some way before the last one that was recorded."""
    return planned(story, parse(str(story.moment_height - 1)))


@pytest.fixture(scope="module")
def promoted(story: Story, chosen: Plan) -> Iterator[Scratch]:
    """A server on timeline 2 that was brought to that block, and whose index has gone no further."""
    folder = new_folder("simplicity-promoted-")
    with restored(story, chosen, folder) as server:
        yield server
    shutil.rmtree(folder)


def height_of(plan: Plan) -> int:
    assert plan.checkpoint is not None
    return plan.checkpoint.height


def test_what_was_recorded_is_recorded_anew_on_the_new_timeline_and_once(
    story: Story, chosen: Plan, promoted: Scratch
) -> None:
    with connect(promoted.url(DATABASE)) as connection:
        anew = checkpoints.since(connection, story.recorded)
        assert [each.height for each in anew] == list(range(1, height_of(chosen) + 1))
        assert {each.timeline for each in anew} == {2}
        assert checkpoints.since(connection, [*story.recorded, *anew]) == []
    old = {(each.block_hash, each.state_hash, each.state_digest, each.xid) for each in story.recorded}
    assert {(each.block_hash, each.state_hash, each.state_digest, each.xid) for each in anew} <= old


def test_only_what_is_remembered_is_recorded_anew(story: Story, chosen: Plan, promoted: Scratch) -> None:
    remembered = [each for each in story.recorded if each.height >= height_of(chosen) - 2]
    with connect(promoted.url(DATABASE)) as connection:
        anew = checkpoints.since(connection, remembered)
    assert [each.height for each in anew] == list(range(height_of(chosen) - 2, height_of(chosen) + 1))


def test_an_old_timeline_that_is_the_live_one_again_is_recorded_anew_as_well(story: Story) -> None:
    tried = [structs.replace(each, timeline=2) for each in story.recorded[-3:]]
    with story.server.source.connected() as connection:
        known = [*story.recorded, *checkpoints.since(connection, story.recorded)]
        anew = checkpoints.since(connection, [*known, *tried])
        assert [each.height for each in anew] == list(range(1, story.chain.height + 1))
        assert {each.timeline for each in anew} == {1}
        assert checkpoints.since(connection, [*known, *tried, *anew]) == []


@contextmanager
def agent(story: Story, server: Scratch, repository: Repository) -> Iterator[Agent]:
    stop, made = Event(), Agent(server.url(DATABASE), repository.store, story.sealing, None)
    thread = Thread(target=made.run, args=(stop,))
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def wait_for(repository: Repository, story: Story, count: int) -> list[Checkpoint]:
    deadline = time.monotonic() + 20
    while len(found := list(checkpoints.read(repository, story.opening.trusted))) < count:
        assert time.monotonic() < deadline, len(found)
        time.sleep(0.05)
    return found


def test_an_agent_records_the_new_timeline_after_the_old_one(
    story: Story, chosen: Plan, promoted: Scratch, tmp_path: Path
) -> None:
    repository = Repository(open_store(tmp_path.as_uri()), story.full.cluster)
    repository.begin("local", None, story.sealing.signer)
    Log(repository, story.sealing).add(story.recorded)
    count = len(story.recorded) + height_of(chosen)
    for _ in range(2):  # another process records nothing again
        with agent(story, promoted, repository):
            found = wait_for(repository, story, count)
    assert len(list(checkpoints.read(repository, story.opening.trusted))) == count
    assert found[: len(story.recorded)] == story.recorded
    assert [each.height for each in found[len(story.recorded) :]] == list(range(1, height_of(chosen) + 1))
    last = checkpoints.find(found, height=height_of(chosen))
    assert last is not None
    assert (last.timeline, last.block_hash) == (2, found[-1].block_hash)


def test_its_wal_waits_for_the_archive_from_the_first_file_of_its_timeline_on(
    story: Story, chosen: Plan, promoted: Scratch, tmp_path: Path
) -> None:
    folder = promoted.data / "pg_wal"
    with psycopg.connect(promoted.url("postgres"), autocommit=True) as connection:
        for _ in range(2):
            connection.execute("SELECT pg_logical_emit_message(true, 'test', '')")
            connection.execute("SELECT pg_switch_wal()")
            connection.execute("CHECKPOINT")
        row = connection.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").fetchone()
    assert row is not None
    repository = Repository(open_store((tmp_path / "repository").as_uri()), story.full.cluster)
    repository.begin("local", None, story.sealing.signer)
    shutil.copy(folder / "00000002.history", tmp_path)
    assert wal.archive(repository, tmp_path / "00000002.history", lambda: story.sealing, tmp_path / "mark")
    (switch,) = wal.histories(repository, wal.names(repository), story.opening)[2]
    assert switch.timeline == 1
    assert switch.at >= Lsn.parse(chosen.backup.stop_lsn)

    size = story.full.segment_size
    first, end = switch.at.segment(size), int(row[0][8:16], 16) * ((1 << 32) // size) + int(row[0][16:], 16)
    assert end - first >= 2
    waiting = [f"{2:08X}{0:08X}{number:08X}" for number in range(first, end)]
    for name in ("00000002.history", *waiting):
        assert (folder / name).exists(), name
        assert (folder / "archive_status" / f"{name}.ready").exists(), name
    for name in waiting:
        assert wal.archive(repository, folder / name, lambda: story.sealing, tmp_path / "mark")
    assert not list((folder / "archive_status").glob("00000002*.done"))


def test_a_block_that_both_timelines_have_is_recorded_on_the_new_one_too(
    story: Story, chosen: Plan, promoted: Scratch
) -> None:
    """Restored to before it, the index comes to the same block again: the way to it is the new timeline's now."""
    with connect(promoted.url(DATABASE)) as connection:
        known = [*story.recorded, *checkpoints.since(connection, story.recorded)]
        index(promoted.url(DATABASE), story.chain)
        known += checkpoints.since(connection, known)
    both = {each.block_hash for each in story.recorded if each.height > height_of(chosen)}
    for height in range(height_of(chosen) + 1, story.recorded[-1].height + 1):
        last = checkpoints.find(known, height=height)
        assert last is not None
        assert last.block_hash in both
        assert last.timeline == 2, height


def test_a_server_tells_its_timeline_and_archives_what_is_not_archived_yet(story: Story) -> None:
    source = story.server.source
    assert source.timeline(story.full.cluster) == 1
    assert source.timeline("12") is None, "another cluster's timeline says nothing"
    assert replace(source, port=9).timeline(story.full.cluster) is None
    for _ in range(3):  # at the very beginning of a segment nothing is left to archive
        began = time.monotonic()
        assert source.archive_now(within=30).startswith("all WAL up to 00000001")
        assert time.monotonic() - began < 25
    assert "does not archive its last WAL" in replace(source, port=9).archive_now(within=1)
