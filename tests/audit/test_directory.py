"""Objects in a directory: modes, durability, and what a killed writer leaves."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit.objects import ObjectExistsError, ObjectStoreError, open_store

_WRITER = """
import os, signal, sys
from audit.objects import open_store
with open_store(sys.argv[1]).writing("a/large") as file:
    file.write(bytes(100_000))
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
_ROUND_TRIP = """
import sys
from audit.objects import open_store
store = open_store(sys.argv[1], lock_days=1)
store.put("a/b", b"data")
with store.writing("a/c") as file:
    file.write(b"data")
assert store.get("a/b") == store.get("a/c") == b"data"
assert store.names() == ["a/b", "a/c"]
store.delete("a/b")
"""


def _modes(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): oct(path.stat().st_mode & 0o777) for path in [root, *sorted(root.rglob("*"))]}


def test_only_the_owner_reads_what_is_stored(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/store")
    store.put("a/b", b"")
    with store.writing("a/c"):
        pass

    assert _modes(tmp_path / "store") == {".": "0o700", "a": "0o700", "a/b": "0o600", "a/c": "0o600"}


def test_under_a_lock_not_even_the_owner_writes_by_mistake(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/store", lock_days=30)
    store.put("a", b"")

    assert _modes(tmp_path / "store") == {".": "0o700", "a": "0o400"}


def test_the_url_is_that_of_the_directory(tmp_path: Path) -> None:
    folder = tmp_path / "with space"

    assert open_store(folder.as_uri()).url == folder.as_uri()
    open_store(folder.as_uri()).put("a", b"")
    assert (folder / "a").exists()


def test_a_killed_writer_leaves_no_object_and_the_next_one_cleans_up_after_it(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    subprocess.run([sys.executable, "-c", _WRITER, f"file://{tmp_path}"], check=False)
    (left,) = (tmp_path / "a").iterdir()

    assert store.names() == []
    store.put("a/b", b"")
    assert left.exists(), "its writer may have made it this very moment"
    os.utime(left, (0, 0))
    store.put("a/c", b"")
    assert not left.exists()


def test_a_writer_that_lives_is_not_cleaned_up_after(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    with store.writing("slow") as file:
        file.write(b"slow")
        (partial,) = tmp_path.iterdir()
        file.flush()
        os.utime(partial, (0, 0))
        store.put("quick", b"")

    assert store.names() == ["quick", "slow"]


def test_it_works_in_a_user_namespace_without_any_power_over_others_files(tmp_path: Path) -> None:
    command = ["unshare", "--user", "--map-user=1000", "--map-group=1000", sys.executable, "-c", _ROUND_TRIP]
    done = subprocess.run([*command, f"file://{tmp_path}/store"], check=False, capture_output=True, text=True)
    if done.returncode and "unshare" in done.stderr:
        pytest.skip("this machine has no user namespaces")

    assert done.returncode == 0, done.stderr
    assert open_store(f"file://{tmp_path}/store").names() == ["a/c"]


def test_what_is_no_objects_file_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "a").touch()
    (tmp_path / "no name").touch()
    (tmp_path / "lost+found").mkdir()

    assert open_store(f"file://{tmp_path}").names() == []


def test_a_name_below_an_object_is_refused(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    store.put("a", b"")

    with pytest.raises(ObjectStoreError, match="a/b: Not a directory"):
        store.put("a/b", b"")
    with pytest.raises(ObjectStoreError, match="a/b/c: Not a directory"):
        store.put("a/b/c", b"")


def test_what_the_disk_refuses_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"file://{tmp_path}/store")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ObjectStoreError, match=r"store/a: No space left on device"):
        store.put("a", b"")
    monkeypatch.undo()
    assert store.names() == []
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_a_full_disk_is_told_from_an_error_of_the_source() -> None:
    from audit.directory import _File  # noqa: PLC0415 - its own errors are what is tested

    with pytest.raises(ObjectStoreError, match="/dev/full: No space left on device"), _File("/dev/full", "w") as file:
        file.write(b"data")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="has no /proc")
def test_a_disk_that_cannot_be_read_is_told_in_one_line() -> None:
    from audit.directory import _File  # noqa: PLC0415 - as above

    with _File("/proc/self/mem") as file, pytest.raises(ObjectStoreError, match="/proc/self/mem: Input/output error"):
        file.readinto(bytearray(1))


def test_a_folder_that_cannot_be_listed_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ObjectStoreError, match="Permission denied"):
        open_store(f"file://{tmp_path}").names()


def test_two_writers_make_one_folder(tmp_path: Path) -> None:
    first, second = (open_store(f"file://{tmp_path}/a/b") for _ in range(2))
    with first.writing("x/1") as one, second.writing("x/2") as two:
        one.write(b"1")
        two.write(b"2")

    assert first.names() == ["x/1", "x/2"]
    with pytest.raises(ObjectExistsError):
        second.put("x/1", b"")
