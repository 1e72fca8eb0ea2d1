"""What holds for a directory and for a bucket alike."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from audit.objects import MissingObjectError, ObjectExistsError, ObjectStore, ObjectStoreError, open_store
from audit.s3_parts import _PART

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "directory":
        return open_store(f"file://{tmp_path}/store")
    return open_store(f"s3://{request.getfixturevalue('s3').new()}/some/prefix")


def _broken(store: ObjectStore, size: int) -> None:
    with store.writing("a") as file:
        file.write(bytes(size))
        raise RuntimeError("the source broke")


def _overtaken(store: ObjectStore, size: int) -> None:
    with store.writing("a") as slow:
        slow.write(bytes(size))
        with store.writing("a") as quick:
            quick.write(b"quick")


def test_an_object_comes_back_as_it_was_put(store: ObjectStore) -> None:
    store.put("a/b-1.json", b"\x00 bytes")

    assert store.get("a/b-1.json") == b"\x00 bytes"
    assert store.size("a/b-1.json") == 7
    assert store.modified("a/b-1.json") == pytest.approx(time.time(), abs=30)
    assert store.names() == ["a/b-1.json"]


def test_nothing_is_written_twice(store: ObjectStore) -> None:
    store.put("a", b"first")

    with pytest.raises(ObjectExistsError, match="a: is there already"):
        store.put("a", b"second")
    with pytest.raises(ObjectExistsError, match="a: is there already"), store.writing("a") as file:
        file.write(b"third")
    assert store.get("a") == b"first"
    assert store.names() == ["a"]


def test_an_object_is_replaced_where_that_is_asked_for(store: ObjectStore) -> None:
    store.put("a", b"first", replace=True)
    store.put("a", b"second", replace=True)

    assert store.get("a") == b"second"


@pytest.mark.parametrize("size", [0, 5, _PART - 1, _PART, 2 * _PART + 5])
def test_a_stream_is_written_and_read_whole(store: ObjectStore, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]

    with store.writing("large") as file:
        for at in range(0, size, 3_000_001):
            file.write(data[at : at + 3_000_001])
        assert file.writable()
        assert file.tell() == size
        assert store.names() == []

    assert store.size("large") == size
    with store.reading("large") as read:
        assert read.read(3) == data[:3]
        assert read.read() == data[3:]


@pytest.mark.parametrize("size", [5, _PART + 5])
def test_of_a_stream_that_fails_nothing_is_left(store: ObjectStore, size: int) -> None:
    with pytest.raises(RuntimeError, match="the source broke"):
        _broken(store, size)

    assert store.names() == []
    with pytest.raises(MissingObjectError):
        store.get("a")
    store.put("a", b"anew")


@pytest.mark.parametrize("size", [5, _PART + 5])
def test_of_two_streams_of_one_name_the_first_that_ends_wins(store: ObjectStore, size: int) -> None:
    with pytest.raises(ObjectExistsError):
        _overtaken(store, size)

    assert store.get("a") == b"quick"
    assert store.names() == ["a"]


def test_what_is_not_there_is_missing_in_one_line(store: ObjectStore) -> None:
    store.put("folder/a", b"")

    for ask in (store.get, store.size, store.modified):
        for name in ("none", "folder/none", "none/none", "folder"):
            with pytest.raises(MissingObjectError, match=f"{name}: no such object"):
                ask(name)
    with pytest.raises(MissingObjectError), store.reading("none"):
        pass


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(store: ObjectStore) -> None:
    store.put("a/b", b"")
    store.put("a/c", b"")

    store.delete("a/b")
    store.delete("a/b")
    store.delete("none/at/all")

    assert store.names() == ["a/c"]


def test_names_are_given_in_order_and_by_how_they_begin(store: ObjectStore) -> None:
    for name in ("b/2", "a/1", "b/10", "b.c", "bc/1"):
        store.put(name, b"")

    assert store.names() == ["a/1", "b.c", "b/10", "b/2", "bc/1"]
    assert store.names("b/") == ["b/10", "b/2"]
    assert store.names("b/1") == ["b/10"]
    assert store.names("b") == ["b.c", "b/10", "b/2", "bc/1"]
    assert store.names("c/") == []


@pytest.mark.parametrize(
    "name", ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.b", "a b", "a\\b", "a\n", "ä", "a" * 901]
)
def test_a_name_that_could_lead_elsewhere_is_refused(store: ObjectStore, name: str) -> None:
    for ask in (store.get, store.size, store.modified, store.delete):
        with pytest.raises(ObjectStoreError, match="object name"):
            ask(name)
    with pytest.raises(ObjectStoreError, match="object name"):
        store.put(name, b"")
    with pytest.raises(ObjectStoreError, match="object name"), store.writing(name):
        pass
    if name not in {"", "a/", "a" * 901}:
        with pytest.raises(ObjectStoreError, match="object name"):
            store.names(name)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/backups",
        "file://",
        "file:///",
        "file://host/var",
        "file:relative",
        "ftp://host/a",
        "s3://",
        "s3:///a",
        "s3://UPPER/a",
        "s3://bucket/../a",
        "s3://bucket/a?b=c",
        "s3://bucket/a#b",
        "s3://[bucket/a",
    ],
)
def test_a_url_of_no_store_is_refused_with_the_forms_that_there_are(url: str) -> None:
    with pytest.raises(ObjectStoreError, match="must look like file:///var/backups/simplicity or s3://bucket/prefix"):
        open_store(url)


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(ObjectStoreError, match="must hold no credentials") as told:
        open_store("s3://AKIA:hidden@bucket/a")
    assert "hidden" not in str(told.value)


def test_a_lock_of_no_days_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ObjectStoreError, match="at least one day"):
        open_store(f"file://{tmp_path}", lock_days=0)


def test_what_is_read_once_cannot_be_replaced(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}", write_once=True)
    store.put("a", b"first")

    with pytest.raises(ObjectStoreError, match="write-once"):
        store.put("a", b"second", replace=True)
    with suppress(ObjectExistsError):
        store.put("a", b"third")
    assert store.get("a") == b"first"


def test_a_missing_package_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.delitem(sys.modules, "audit.s3", raising=False)

    with pytest.raises(ObjectStoreError, match=r"needs the package 'boto3'; run: pip install 'simplicity\[ops\]'"):
        open_store("s3://bucket/a")
