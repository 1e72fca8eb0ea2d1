"""The trail's copy: what it proves, and what it refuses to copy."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import psycopg
import pytest

from audit import anchor as anchor_module
from audit import trail
from audit.anchor import Anchor, AnchorMismatchError, Head
from audit.chain import ChainError, Kind, examine, line
from audit.objects import ObjectStoreError, open_store
from tests.audit.forging import forge
from tests.audit.writing import append

if TYPE_CHECKING:
    from pathlib import Path

    from audit.objects import ObjectStore
    from audit.trail import Connection
    from tests.support.buckets import Buckets

TRAIL = "7412345678901234567"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(f"file://{tmp_path}/second", write_once=True)


@pytest.fixture
def anchor(store: ObjectStore) -> Anchor:
    return Anchor(store, TRAIL)


def test_an_anchor_holds_what_the_trail_has(anchor: Anchor, store: ObjectStore, connection: Connection) -> None:
    assert (anchor.head(), list(anchor.links()), anchor.extend(connection)) == (None, [], 0)
    links = append(connection, 3)
    assert anchor.extend(connection) == 3
    assert anchor.extend(connection) == 0
    links += append(connection, 2, begin=4)
    assert anchor.extend(connection) == 2

    assert anchor.head() == Head(5, links[-1].hash)
    assert list(anchor.links()) == links
    assert store.names() == [
        f"audit/{TRAIL}/000000000001-000000000003-{links[2].hash.hex()}.ndjson",
        f"audit/{TRAIL}/000000000004-000000000005-{links[4].hash.hex()}.ndjson",
    ]
    assert anchor.url == f"{store.url}/audit/{TRAIL}"


def test_many_entries_are_copied_in_segments(
    anchor: Anchor, store: ObjectStore, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchor_module, "_SEGMENT", 4)
    links = append(connection, 10)

    assert anchor.extend(connection) == 10
    assert len(store.names()) == 3
    assert list(anchor.links()) == links


@pytest.mark.parametrize("kind", [Kind.TRUNCATED, Kind.REWRITTEN])
def test_a_trail_without_the_anchored_head_is_not_copied(
    anchor: Anchor, store: ObjectStore, connection: Connection, kind: Kind
) -> None:
    append(connection, 9)
    anchor.extend(connection)
    before = store.names()
    forge(connection, kind, random.Random(3))

    with pytest.raises(AnchorMismatchError, match=r"entry 9 of the trail is anchored with hash .* nothing was copied"):
        anchor.extend(connection)
    assert store.names() == before
    assert kind in {forgery.kind for forgery in examine(trail.links(connection), anchor.links())}


def test_a_forged_tail_is_not_copied(anchor: Anchor, store: ObjectStore, connection: Connection) -> None:
    append(connection, 3)
    anchor.extend(connection)
    append(connection, 5, begin=4)
    with connection.transaction():
        connection.execute("ALTER TABLE ops.audit DISABLE TRIGGER append_only")
        connection.execute("UPDATE ops.audit SET body = body || ' ' WHERE seq = 6")
        connection.execute("ALTER TABLE ops.audit ENABLE TRIGGER append_only")

    with pytest.raises(AnchorMismatchError, match=r"entry 6 .* nothing from there on was anchored"):
        anchor.extend(connection)
    assert len(store.names()) == 1


def test_a_restored_database_adopts_the_tail(anchor: Anchor, connection: Connection, empty_database_url: str) -> None:
    from indexer.store.schema import migrate  # noqa: PLC0415 - imports SQLAlchemy, which few tests need

    links = append(connection, 6)
    anchor.extend(connection)
    migrate(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as restored:
        trail.adopt(restored, links[:2])
        with pytest.raises(AnchorMismatchError, match="it ends at entry 2"):
            anchor.extend(restored)
        assert trail.adopt(restored, anchor.links()) == 4
        assert anchor.extend(restored) == 0


def test_two_that_anchor_at_once_do_no_harm(anchor: Anchor, store: ObjectStore, connection: Connection) -> None:
    links = append(connection, 4)
    for first, last in ((1, 2), (1, 3), (2, 3), (1, 4)):
        chosen = links[first - 1 : last]
        store.put(f"audit/{TRAIL}/{first:012}-{last:012}-{chosen[-1].hash.hex()}.ndjson", b"".join(map(line, chosen)))

    assert list(anchor.links()) == links
    assert anchor.head() == Head(4, links[3].hash)


def test_one_that_wrote_the_same_object_meanwhile_is_no_error(
    anchor: Anchor, store: ObjectStore, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(connection, 4)
    anchor.extend(connection)
    monkeypatch.setattr(anchor, "head", lambda: None)  # as it was before the other one's

    assert anchor.extend(connection) == 4
    assert len(store.names()) == 1


@pytest.mark.parametrize("damage", ["cut", "other content", "no lines", "gap", "another chain beside it"])
def test_a_damaged_anchor_is_named(
    anchor: Anchor, store: ObjectStore, connection: Connection, tmp_path: Path, damage: str
) -> None:
    append(connection, 3)
    anchor.extend(connection)
    append(connection, 3, begin=4)
    anchor.extend(connection)
    first, second = (tmp_path / "second" / name for name in store.names())
    if damage == "cut":
        second.write_bytes(second.read_bytes()[:-100])
    elif damage == "other content":
        second.write_bytes(second.read_bytes().replace(b"thing 5", b"thing 9"))
    elif damage == "no lines":
        second.write_bytes(b"")
    elif damage == "gap":
        first.unlink()
    else:
        (first.parent / f"000000000001-000000000003-{'f' * 64}.ndjson").write_bytes(b"")

    with pytest.raises(ChainError, match=r"\.ndjson: .*damaged"):
        list(anchor.links())


def test_what_is_no_segment_is_passed_over(anchor: Anchor, store: ObjectStore, connection: Connection) -> None:
    links = append(connection, 2)
    anchor.extend(connection)
    store.put(f"audit/{TRAIL}/README", b"")
    store.put("audit/7412345678901234568/000000000001-000000000002-ff.ndjson", b"")

    assert list(anchor.links()) == links


def test_in_a_locked_bucket_an_anchor_outlasts_who_owns_the_bucket(s3: Buckets, connection: Connection) -> None:
    bucket = s3.new(locked=True)
    anchor = Anchor(open_store(f"s3://{bucket}/safe", lock_days=400, write_once=True), TRAIL)
    links = append(connection, 3)
    anchor.extend(connection)
    (name,) = (each["Key"] for each in s3.client.list_objects_v2(Bucket=bucket)["Contents"])
    s3.client.put_object(Bucket=bucket, Key=name, Body=b"forged")
    s3.client.delete_object(Bucket=bucket, Key=name)

    assert anchor.head() == Head(3, links[2].hash)
    assert list(anchor.links()) == links


def test_a_place_that_does_not_answer_is_told(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "second").touch()
    append(connection, 1)

    with pytest.raises(ObjectStoreError, match="Not a directory"):
        Anchor(open_store(f"file://{tmp_path}/second"), TRAIL).extend(connection)


@pytest.mark.parametrize("trail_id", ["", "../x", "a/b", "x" * 65])
def test_a_trail_is_named_by_a_clusters_id(store: ObjectStore, trail_id: str) -> None:
    with pytest.raises(ValueError, match="must be the id of a database cluster"):
        Anchor(store, trail_id)
