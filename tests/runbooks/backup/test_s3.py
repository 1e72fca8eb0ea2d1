"""The same repository in a bucket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from audit.objects import ObjectStoreError, open_store
from infra.local.components import sync
from runbooks.backup import checkpoints, pruning, restore, verifying, wal
from runbooks.backup.checkpoints import Log
from runbooks.backup.create import Wanted, create
from runbooks.backup.errors import RefusedError
from runbooks.backup.listing import Listing
from runbooks.backup.lsn import Segment
from runbooks.backup.manifest import new_id
from runbooks.backup.repository import Repository, clusters
from runbooks.backup.restoring import known_of
from runbooks.backup.target import Target, plan
from tests.support.buckets import Buckets, buckets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runbooks.backup.manifest import Kind, Manifest
    from tests.runbooks.backup.story import Story

pytestmark = pytest.mark.xdist_group("backups")  # one worker has the server


@pytest.fixture(scope="module")
def s3_server() -> Iterator[Buckets]:
    with buckets() as running:
        yield running


@pytest.fixture
def place(story: Story, s3_server: Buckets, monkeypatch: pytest.MonkeyPatch) -> Repository:
    s3_server.configure(monkeypatch)
    return Repository(open_store(f"s3://{s3_server.new()}/backups/test"), story.full.cluster)


def made(story: Story, place: Repository, kind: Kind) -> Manifest:
    """Make a backup in the bucket, and bring it the WAL that it needs."""
    what = Wanted(new_id(datetime.now(UTC), kind), kind, sync.CLUSTER, {"secret": b"x"})
    backup = create(story.server.source, place, story.sealing, what)
    story.server.archived()
    return backup


def with_wal(story: Story, place: Repository, folder: Path, since: Manifest) -> None:
    """Bring the bucket what is archived since a backup and is not there yet."""
    folder.mkdir(exist_ok=True)
    live, there = story.server.place.repository(), set(wal.names(place))
    first = Segment(since.timeline, since.first_segment).name(since.segment_size)
    for name in (each for each in wal.names(live) if each >= first and each not in there):
        wal.fetch(live, name, folder / name, story.opening)
        wal.archive(place, folder / name, lambda: story.sealing, folder / "mark")


def test_backups_in_a_bucket_are_made_listed_verified_and_fetched(
    story: Story, place: Repository, tmp_path: Path
) -> None:
    full = made(story, place, "full")
    with_wal(story, place, tmp_path / "wal-of-full", full)
    log = Log(place, story.sealing)
    with story.server.source.connected() as connection:
        log.add(checkpoints.since(connection, log.last))
    incremental = made(story, place, "incremental")
    with_wal(story, place, tmp_path / "wal-of-incremental", full)

    assert clusters(place.store) == [story.full.cluster]
    assert place.backups(story.opening.trusted) == ([full, incremental], [])
    listed = Listing.of(place, story.server.place.keys).as_dict()
    assert [each["id"] for each in listed["backups"]] == [full.id, incremental.id]
    assert listed["repository"].startswith("s3://test-")

    found = verifying.verify(place, incremental.id, story.server.place.keys)
    assert found.chain == [full.id, incremental.id]
    known = known_of(place, story.opening, [full, incremental], None)
    chosen = plan(Target("latest"), known, incremental)
    (tmp_path / "restored").mkdir()
    assert restore.fetch(place, chosen, story.opening, tmp_path / "restored") == found.wal_files
    assert (tmp_path / "restored" / "data" / "PG_VERSION").read_text() == "18\n"
    assert pruning.prune(place, story.opening.trusted).removed == []

    place.store.delete(place.name("backups", full.id, full.base.name))
    with pytest.raises(RefusedError, match=f"{full.base.name} of {full.id} is missing"):
        verifying.verify(place, incremental.id, story.server.place.keys)
    place.remove(full.id)
    with pytest.raises(RefusedError, match=f"{incremental.id} builds on {full.id}, which is gone"):
        verifying.verify(place, incremental.id, story.server.place.keys)


def test_one_that_is_interrupted_leaves_no_upload_behind(
    story: Story, place: Repository, s3_server: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbooks.backup.create._finish", _interrupted)
    what = Wanted(new_id(datetime.now(UTC), "full"), "full", sync.CLUSTER, {})
    with pytest.raises(KeyboardInterrupt):
        create(story.server.source, place, story.sealing, what)
    assert place.store.names() == [place.name("cluster.json")]
    bucket = place.store.url.split("/")[2]
    assert "Uploads" not in s3_server.client.list_multipart_uploads(Bucket=bucket)


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_bucket_that_is_not_there_is_told_in_one_line_without_credentials(
    story: Story, s3_server: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_server.configure(monkeypatch)
    place = Repository(open_store("s3://not-there"), story.full.cluster)
    with pytest.raises(ObjectStoreError, match="not-there") as caught:
        place.ids()
    assert "\n" not in str(caught.value)
    assert "not-to-be-shown" not in str(caught.value)
