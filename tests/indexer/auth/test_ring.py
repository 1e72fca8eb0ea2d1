"""The ring's file: whole or refused, for its owner only, read again where it changed."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from indexer.auth import ring_file
from indexer.auth.ring import LEEWAY, Ring, create, decoded, encoded, pruned, rotated
from indexer.settings import ConfigurationError
from tests.indexer.auth.world import NOW, Clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def kids(ring: Ring) -> list[str]:
    return [key.kid for key in ring.keys]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ring.json"
    ring_file.create(path, create(NOW))
    return path


def test_what_is_written_is_what_is_read(path: Path) -> None:
    ring = ring_file.change(path, lambda old: rotated(old, NOW, delay=60, token_seconds=900))
    again = ring_file.load(path)
    assert encoded(again) == encoded(ring) == path.read_bytes()
    assert [(key.kid, key.signs_from, key.verifies_until) for key in again.keys] == [
        (ring.keys[0].kid, int(NOW), int(NOW) + 61 + 900 + LEEWAY),
        (ring.keys[1].kid, int(NOW) + 61, None),
    ]
    assert [again.state(key, NOW) for key in again.keys] == ["signs", "waits"]
    assert [again.state(key, NOW + 61) for key in again.keys] == ["verifies", "signs"]
    assert [again.state(key, NOW + 971) for key in again.keys] == ["ended", "signs"]
    assert kids(pruned(again, NOW + 970)) == kids(again)
    assert kids(pruned(again, NOW + 971)) == kids(again)[1:]


def test_a_key_that_has_an_end_keeps_it_through_later_rotations() -> None:
    ring = rotated(create(NOW), NOW, delay=60, token_seconds=900)
    again = rotated(ring, NOW + 500, delay=60, token_seconds=900)
    assert again.keys[0] == ring.keys[0]
    assert [key.kid for key in rotated(again, NOW + 1_000, delay=60, token_seconds=900).keys[:2]] == kids(again)[1:]


def test_a_host_whose_clock_is_behind_signs_with_what_there_is(path: Path) -> None:
    ring = ring_file.load(path)
    assert ring.signer(NOW - 3_600) is ring.keys[0]


def test_a_rotation_after_one_with_a_longer_delay_still_comes_last() -> None:
    ring = rotated(create(NOW), NOW, delay=3_600, token_seconds=900)
    ring = rotated(ring, NOW + 1, delay=60, token_seconds=900)
    assert [key.verifies_until is None for key in ring.keys] == [False, False, True]
    assert ring.signer(NOW + 3_700) is ring.keys[-1]
    assert kids(decoded(encoded(ring))) == kids(ring)


def test_the_file_is_its_owners_alone_and_never_overwritten(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"ring\.json: exists"):
        ring_file.create(path, create(NOW))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["ring.json"]


@pytest.mark.parametrize("mode", [0o604, 0o640 | 0o020, 0o666, 0o601])
def test_a_file_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=r"others can read or change it; run: chmod 600 .*ring\.json"):
        ring_file.load(path)


def test_a_change_keeps_mode_owner_and_link(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 4242, 4243)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    ring = ring_file.change(link, lambda old: rotated(old, NOW, delay=60, token_seconds=900))
    assert link.is_symlink()
    assert kids(ring_file.load(path)) == kids(ring)
    found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o640
    if os.geteuid() == 0:
        assert (found.st_uid, found.st_gid) == (4242, 4243)


def test_what_a_killed_process_left_does_not_hinder(path: Path) -> None:
    (path.parent / ".ring.json.partial").write_text("{")
    ring_file.change(path, lambda old: rotated(old, NOW, delay=60, token_seconds=900))
    assert [each.name for each in path.parent.iterdir()] == ["ring.json"]


def test_rotations_at_the_same_time_lose_no_key(path: Path) -> None:
    def rotate() -> None:
        ring_file.change(path, lambda old: rotated(old, NOW, delay=60, token_seconds=900))

    threads = [threading.Thread(target=rotate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ring_file.load(path).keys) == 9


def test_where_nothing_can_be_written_it_is_one_line(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "missing" / "ring.json", "No such file or directory"),
        (tmp_path, "exists"),
        (tmp_path / ("x" * 250), "cannot be written"),
    ):
        with pytest.raises(ConfigurationError, match=words) as error:
            ring_file.create(path, create(NOW))
        assert "\n" not in str(error.value)
    for path in (tmp_path / "missing" / "ring.json", tmp_path / "none.json", tmp_path):
        with pytest.raises(ConfigurationError, match="no such file; make one with: simplicity auth ring create"):
            ring_file.load(path)


def test_a_full_disk_leaves_the_ring_as_it_was_and_no_secret_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConfigurationError, match=r"cannot be written \(No space left on device\)"):
        ring_file.change(path, lambda old: rotated(old, NOW, delay=60, token_seconds=900))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["ring.json"]


def _without_end(document: Any) -> None:  # noqa: ANN401 - JSON
    document["keys"][0]["verifies_until"] = None


def _all_ended(document: Any) -> None:  # noqa: ANN401 - JSON
    document["keys"][1]["verifies_until"] = 5


def _swapped(document: Any) -> None:  # noqa: ANN401 - JSON
    first, second = document["keys"]
    first["private_key"], second["private_key"] = second["private_key"], first["private_key"]


def _twice(document: Any) -> None:  # noqa: ANN401 - JSON
    document["keys"].insert(0, document["keys"][0])


DAMAGES: list[Callable[[Any], object]] = [
    _without_end,
    _all_ended,
    _swapped,
    _twice,
    lambda document: document["keys"].clear(),
    lambda document: document["keys"].reverse(),
    lambda document: document.update(version=2),
    lambda document: document.update(more=1),
    lambda document: document.pop("keys"),
    lambda document: document["keys"][0].update(private_key="c2hvcnQ="),
    lambda document: document["keys"][0].update(private_key="!"),
    lambda document: document["keys"][0].update(signs_from="now"),
    lambda document: document["keys"][0].update(kid="0" * 16),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ring_is_one_line_and_shows_nothing_of_it(path: Path, damage: Callable[[Any], object]) -> None:
    ring_file.change(path, lambda old: rotated(old, NOW, delay=60, token_seconds=900))
    document = json.loads(path.read_bytes())
    secrets = [key["private_key"] for key in document["keys"]]
    damage(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match=r"AUTH_KEY_RING=.*ring\.json: is ") as error:
        ring_file.load(path)
    assert "\n" not in str(error.value)
    assert not any(secret in str(error.value) for secret in secrets)
    with pytest.raises(ConfigurationError):
        ring_file.change(path, lambda old: old)


def test_no_cut_and_no_noise_makes_a_ring(path: Path) -> None:
    data = path.read_bytes()
    for cut in (
        b"",
        b"\x00" * 10,
        b"\xff\xfe",
        b"[" * 100_000,
        *(data[:length] for length in range(0, len(data) - 2, 7)),
    ):
        path.write_bytes(cut)
        with pytest.raises(ConfigurationError):
            ring_file.load(path)


def test_a_process_sees_a_new_ring_a_second_later_without_asking_more_often(path: Path) -> None:
    clock = Clock()
    file = ring_file.RingFile(path, clock)
    first = file.current()
    new = ring_file.change(path, lambda old: rotated(old, NOW, delay=60, token_seconds=900))
    clock.now += 0.9
    assert file.current() is first
    clock.now += 0.1
    with capture_logs() as logs:
        second = file.current()
    assert kids(second) == kids(new)
    assert [(line["event"], line["keys"]) for line in logs] == [("key ring read", kids(new))]
    clock.now += 5
    assert file.current() is second


def test_a_ring_damaged_later_is_told_once_and_the_last_good_one_stays(path: Path) -> None:
    clock = Clock()
    file = ring_file.RingFile(path, clock)
    good, data = file.current(), path.read_bytes()

    def logged(change: Callable[[], object]) -> list[str]:
        change()
        with capture_logs() as logs:
            for _ in range(3):
                clock.now += 1
                file.current()
        return [f"{line['log_level']}: {line['event']}" for line in logs]

    refused = ["error: key ring refused: the last good one stays"]
    assert logged(lambda: path.write_bytes(data[:50])) == refused
    assert logged(path.unlink) == refused
    assert file.current() is good
    assert logged(lambda: path.write_bytes(data)) == refused  # the umask's mode: others can read it
    assert logged(lambda: path.chmod(0o600)) == ["info: key ring read"]
    assert kids(file.current()) == kids(good)
    assert logged(lambda: path.chmod(0o644)) == refused
    assert logged(lambda: None) == []


def test_a_file_of_another_user_is_said_to_be_that(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_arguments: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("pathlib.Path.open", forbidden)
    with pytest.raises(ConfigurationError, match="Permission denied; it must be owned by the user that serves"):
        ring_file.load(path)


def test_a_process_does_not_begin_with_a_bad_ring(path: Path) -> None:
    path.write_text("{}")
    with pytest.raises(ConfigurationError, match="is no key ring"):
        ring_file.RingFile(path)
