"""The agent beside a real database: what it records, copies, shows, and outlives."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import httpx2
import psycopg
import pytest

from audit import trail
from audit.anchor import Anchor
from audit.objects import open_store
from runbooks.backup import agent as module
from runbooks.backup import checkpoints
from runbooks.backup.agent import Agent
from runbooks.backup.repository import Repository
from tests.runbooks.backup.damaging import flip, forge_proof
from tests.runbooks.backup.story import index, note
from tests.support.postgres import free_port
from tests.support.processes import running, simplicity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.runbooks.backup.damaging import Scene
    from tests.runbooks.backup.story import Story

pytestmark = pytest.mark.xdist_group("backups")  # one worker has the server
# What the service promises: after an outage everything is seen again this soon.
AGAIN = 5.0


class Watched:
    """An agent that runs, with a repository and an anchor of its own."""

    def __init__(self, story: Story, folder: Path, *, anchored: bool = True) -> None:
        self.store = open_store((folder / "repository").as_uri())
        self.place = Repository(self.store, story.full.cluster)
        self.anchor_store = open_store((folder / "anchor").as_uri())
        self.agent = Agent(story.server.backup_url, self.store, story.sealing, self.anchor_store if anchored else None)
        self.trusted = story.opening.trusted

    def metric(self, name: str, **labels: str) -> float:
        value = self.agent.metrics.registry.get_sample_value(f"simplicity_{name}", labels)
        assert value is not None, name
        return value

    def wait(self, what: Callable[[], bool], within: float = 10) -> None:
        deadline = time.monotonic() + within
        while not what():
            assert time.monotonic() < deadline, f"not within {within} s"
            time.sleep(0.02)

    def recorded(self) -> list[checkpoints.Checkpoint]:
        return list(checkpoints.read(self.place, self.trusted))

    def copied(self) -> list[str]:
        return [str(each.facts["target"]) for each in Anchor(self.anchor_store, self.place.cluster).links()]


@contextmanager
def watching(watched: Watched) -> Iterator[Watched]:
    stop = Event()
    thread = Thread(target=watched.agent.run, args=(stop,))
    thread.start()
    try:
        yield watched
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the repository be looked at often."""
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.1)


@pytest.fixture
def watched(story: Story, tmp_path: Path) -> Iterator[Watched]:
    made = Watched(story, tmp_path)
    made.place.begin("local", None, story.sealing.signer)
    with watching(made):
        made.wait(lambda: made.metric("backup_agent_connected") == 1)
        yield made


def test_every_block_is_recorded_and_the_trail_is_copied(story: Story, watched: Watched) -> None:
    tip = story.chain.height
    watched.wait(lambda: watched.metric("checkpoint_height") == tip)
    assert [each.height for each in watched.recorded()] == list(range(1, tip + 1))
    watched.wait(lambda: watched.metric("audit_anchored_entries") == watched.metric("audit_entries") > 0)
    assert watched.copied()[:2] == ["first", "second"]
    assert watched.metric("audit_anchor_mismatch") == 0
    before = time.time()
    story.chain.extend(1, 3)
    index(story.server.writer_url, story.chain)
    watched.wait(lambda: watched.metric("checkpoint_height") == tip + 1, within=3)
    assert watched.metric("checkpoint_timestamp_seconds") >= before - 5
    story.chain.fork(1, 2, 3)
    index(story.server.writer_url, story.chain)
    watched.wait(lambda: watched.metric("checkpoint_height") == tip + 2, within=3)
    assert [each.height for each in watched.recorded()][-3:] == [tip + 1, tip + 1, tip + 2], "the reorg's blocks too"
    note(story.server, "third")
    watched.wait(lambda: watched.copied()[-1] == "third", within=3)


def test_another_process_goes_on_and_records_nothing_twice(story: Story, tmp_path: Path) -> None:
    tip = story.chain.height
    for _ in range(2):
        made = Watched(story, tmp_path)
        made.place.begin("local", None, story.sealing.signer)
        with watching(made):
            made.wait(lambda: made.metric("audit_anchored_entries") > 0)  # noqa: B023 - it is called here
            made.wait(lambda: len(made.recorded()) >= tip)  # noqa: B023 - as above
            made.wait(lambda: made.metric("checkpoint_height") == tip)  # noqa: B023 - as above
    assert [each.height for each in made.recorded()] == list(range(1, tip + 1))


def test_before_the_first_backup_nothing_is_recorded(story: Story, tmp_path: Path) -> None:
    made = Watched(story, tmp_path, anchored=False)
    with watching(made):
        made.wait(lambda: made.metric("audit_entries") > 0)
        assert made.store.names() == []
        assert made.metric("backup_last_timestamp_seconds", kind="full") == 0
        assert made.metric("audit_anchored_entries") == 0
        assert made.metric("audit_anchor_mismatch") == 0
        assert math.isnan(made.metric("state_hash_mismatch")), "nothing is recorded that it could be compared with"
        made.place.begin("local", None, story.sealing.signer)
        made.wait(lambda: made.metric("checkpoint_height") == story.chain.height)


def test_the_database_may_go_away_and_come_back(story: Story, watched: Watched) -> None:
    tip = story.chain.height
    watched.wait(lambda: watched.metric("checkpoint_height") == tip)
    story.server.stop()
    try:
        watched.wait(lambda: watched.metric("backup_agent_connected") == 0)
    finally:
        story.server.start()
    began = time.monotonic()
    story.chain.extend(1, 3)
    index(story.server.writer_url, story.chain)
    watched.wait(lambda: watched.metric("checkpoint_height") == tip + 1, within=AGAIN - (time.monotonic() - began))
    assert watched.metric("backup_agent_connected") == 1


def test_an_index_that_contradicts_what_was_recorded_is_told_until_it_is_mended(story: Story, watched: Watched) -> None:
    watched.wait(lambda: watched.metric("checkpoint_height") == story.chain.height)
    watched.wait(lambda: watched.metric("state_hash_mismatch") == 0)
    change = "UPDATE index.blocks SET state_hash = %s WHERE height = 3"
    with psycopg.connect(story.server.writer_url, autocommit=True) as connection:
        row = connection.execute("SELECT state_hash FROM index.blocks WHERE height = 3").fetchone()
        assert row is not None
        connection.execute(change, [bytes(32)])
        try:
            watched.wait(lambda: watched.metric("state_hash_mismatch") == 1)
        finally:
            connection.execute(change, row)
        watched.wait(lambda: watched.metric("state_hash_mismatch") == 0)


def test_a_copy_that_contradicts_the_trail_is_told_and_kept(story: Story, watched: Watched, tmp_path: Path) -> None:
    watched.wait(lambda: watched.metric("audit_anchored_entries") > 0)
    with story.server.source.connected() as connection:
        head = trail.head(connection)
    assert head is not None
    (copy,) = (tmp_path / "anchor").rglob("*.ndjson")
    forged = copy.with_name(f"{copy.name[:26]}{'0' * 64}.ndjson")
    copy.rename(forged)
    note(story.server, "fourth")
    watched.wait(lambda: watched.metric("audit_anchor_mismatch") == 1)
    assert [path.name for path in (tmp_path / "anchor").rglob("*.ndjson")] == [forged.name]
    forged.rename(copy)
    note(story.server, "fifth")
    watched.wait(lambda: watched.metric("audit_anchor_mismatch") == 0)
    watched.wait(lambda: watched.copied()[-1] == "fifth")


def test_a_repository_that_cannot_be_used_is_told_and_used_again(
    story: Story, watched: Watched, tmp_path: Path
) -> None:
    watched.wait(lambda: watched.metric("checkpoint_height") == story.chain.height)
    folder = tmp_path / "repository"
    folder.rename(tmp_path / "away")
    folder.write_text("in the way")
    watched.wait(lambda: watched.metric("backup_repository_up") == 0)
    folder.unlink()
    (tmp_path / "away").rename(folder)
    watched.wait(lambda: watched.metric("backup_repository_up") == 1)
    watched.wait(lambda: watched.metric("backup_agent_connected") == 1)


# What tells of the agent itself is known from the beginning.
KNOWN = {"simplicity_backup_agent_connected", "simplicity_backup_repository_up"}


def test_an_agent_that_begins_while_the_repository_is_away_does_not_say_that_there_never_was_a_backup(
    story: Story, tmp_path: Path
) -> None:
    (tmp_path / "repository").write_text("in the way")
    made = Watched(story, tmp_path)
    with watching(made):
        made.wait(lambda: made.metric("backup_agent_last_look_timestamp_seconds") > 0)
        told = {
            (sample.name, *sample.labels.values()): sample.value
            for family in made.agent.metrics.registry.collect()
            for sample in family.samples
        }
    assert told["simplicity_backup_repository_up",] == 0
    known = {name for (name, *_), value in told.items() if not math.isnan(value)}
    assert known == KNOWN | {"simplicity_backup_agent_last_look_timestamp_seconds"}
    assert ("simplicity_backup_last_timestamp_seconds", "full") in told, "it is there, so that it is seen to be unknown"


def test_an_agent_that_hangs_is_seen_by_when_it_looked_last(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, go_on, hangs = Watched(story, tmp_path), Event(), Event()

    def hang(*_: object) -> None:
        hangs.set()
        assert go_on.wait(30)

    look = "backup_agent_last_look_timestamp_seconds"
    with watching(made):
        made.wait(lambda: made.metric(look) > 0)
        first = made.metric(look)
        made.wait(lambda: made.metric(look) > first)
        monkeypatch.setattr(Agent, "_copy_trail", hang)
        assert hangs.wait(10)
        before = made.metric(look)
        time.sleep(1.5 * module.WAIT_SECONDS)  # longer than it rests between its looks
        assert made.metric(look) == before
        assert made.metric("backup_agent_connected") == 1, "as it said last"
        go_on.set()
        made.wait(lambda: made.metric(look) > before)


def test_metrics_are_the_repositorys_own_word(story: Story, tmp_path: Path) -> None:
    made = Watched(story, tmp_path)
    metrics = made.agent.metrics
    metrics.refresh(story.repository, story.opening.trusted)
    assert made.metric("backup_count", proven="no") == 3
    assert made.metric("backup_count", proven="yes") == 0
    assert made.metric("backup_last_timestamp_seconds", kind="full") == story.full.ended.timestamp()
    assert made.metric("backup_last_timestamp_seconds", kind="differential") == story.differential.ended.timestamp()
    assert made.metric("backup_stored_bytes") == sum(each.stored_size for each in story.backups)
    assert made.metric("backup_saved_ratio") > 0.6
    assert made.metric("wal_missing_segments") == 0
    assert abs(made.metric("wal_last_archived_timestamp_seconds") - time.time()) < 600


def test_metrics_tell_damage_gaps_and_proofs(story: Story, scene: Scene, tmp_path: Path) -> None:
    made = Watched(story, tmp_path / "own")
    forge_proof(scene, scene.signer())
    scene.segment(2).unlink()
    flip(scene.file("manifest.json", story.differential.id), 0.7)
    made.agent.metrics.refresh(scene.there, story.opening.trusted)
    assert made.metric("backup_unusable_count") == 1
    assert made.metric("backup_count", proven="yes") == 1
    assert made.metric("backup_count", proven="no") == 1
    assert made.metric("backup_last_proven_timestamp_seconds") == story.incremental.ended.timestamp()
    assert made.metric("backup_last_proof_timestamp_seconds") > 0
    assert made.metric("backup_last_failed_proof_timestamp_seconds") == 0
    assert made.metric("wal_missing_segments") == 1


def environment_of(story: Story, folder: Path, **changes: str) -> dict[str, str]:
    return {
        "BACKUP_REPOSITORY": (folder / "repository").as_uri(),
        "BACKUP_KEYS": str(story.server.place.keys),
        "BACKUP_DATABASE_URL": story.server.backup_url,
        "AUDIT_ANCHOR_URL": (folder / "anchor").as_uri(),
    } | changes


def test_as_a_process_it_serves_its_metrics_until_it_is_told_to_stop(story: Story, tmp_path: Path) -> None:
    Repository(open_store((tmp_path / "repository").as_uri()), story.full.cluster).begin(
        "local", None, story.sealing.signer
    )
    url = f"127.0.0.1:{free_port()}"
    settings = environment_of(story, tmp_path)
    with running("backup", "agent", f"--listen={url}", environment=settings, log=tmp_path / "log") as agent:
        agent.wait_for("watching", within=20, cluster=story.full.cluster)
        deadline, wanted = time.monotonic() + 10, f"simplicity_checkpoint_height {story.chain.height}.0"
        while wanted not in httpx2.get(f"http://{url}/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert agent.stop() == 0
    assert story.server.envelope.secrets["backup_password"] not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"BACKUP_REPOSITORY": "nowhere"}, "must look like file:///"),
        ({"AUDIT_ANCHOR_URL": "s3://user:hunter2@bucket"}, "must hold no credentials"),
        ({"BACKUP_KEYS": "/proc/nowhere"}, "recipient is missing"),
    ],
)
def test_settings_that_cannot_work_end_it_with_one_line(
    story: Story, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    done = simplicity("backup", "agent", environment=environment_of(story, tmp_path, **changes))
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr
