"""What was recorded of each block: kept as signed objects that one process after the other writes on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from audit.objects import open_store
from runbooks.backup import checkpoints
from runbooks.backup.checkpoints import Checkpoint, Log, find
from runbooks.backup.errors import RefusedError
from runbooks.backup.repository import Repository
from runbooks.backup.sealed import sign
from tests.support.backups import HASH

if TYPE_CHECKING:
    from pathlib import Path

    from runbooks.backup.keys import Sealing

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def point(number: int, branch: str = "a") -> Checkpoint:
    block = f"{branch}{number:063x}"
    return Checkpoint(number, block, HASH, HASH, 700 + number, 1, f"0/{number:X}000028", NOON.timestamp() + number)


@pytest.fixture
def place(tmp_path: Path) -> Repository:
    return Repository(open_store((tmp_path / "repository").as_uri()), "7412345678901234567")


def recorded(place: Repository, sealing: Sealing) -> list[Checkpoint]:
    return list(checkpoints.read(place, sealing.trusted))


def objects(place: Repository) -> list[str]:
    return [name.rpartition("/")[2] for name in place.store.names(place.name("checkpoints", ""))]


def test_a_height_finds_what_was_last_recorded_of_it_and_a_hash_its_own() -> None:
    points = [point(1), point(2), point(2, "b"), point(3, "b")]
    assert find(points, height=2) == points[2]
    assert find(points, block_hash=points[1].block_hash) == points[1]
    assert find(points, height=4) is None
    assert find(points, height=0) is None
    assert find(points, block_hash="ff" * 32) is None
    assert find([], height=0) is None


def test_what_was_added_is_read_in_its_order(place: Repository, sealing: Sealing) -> None:
    log = Log(place, sealing)
    assert (log.last, recorded(place, sealing)) == ([], [])
    log.add([])
    assert objects(place) == []
    points = [point(2), point(1, "b"), point(3)]
    log.add(points[:1])
    log.add(points[1:])
    assert recorded(place, sealing) == points == log.last
    assert objects(place) == ["000000000000.ndjson"]


def test_a_new_process_goes_on_where_the_last_one_was_cut_off(place: Repository, sealing: Sealing) -> None:
    points = [point(number) for number in range(12)]
    for one in range(0, 12, 3):
        log = Log(place, sealing)
        assert log.last == points[:one]
        log.add(points[one : one + 3])
    assert recorded(place, sealing) == points


def test_objects_fill_and_each_is_named_by_its_first_line(
    place: Repository, sealing: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "LINES", 5)
    points = [point(number) for number in range(23)]
    log = Log(place, sealing)
    log.add(points[:4])
    log.add(points[4:5])
    assert objects(place) == ["000000000000.ndjson"]
    log.add(points[5:16])
    log = Log(place, sealing)  # in the middle of the fourth
    assert log.last == points[10:16], "those of the last two objects are known again"
    log.add(points[16:20])
    log = Log(place, sealing)  # at the end of the fourth
    log.add(points[20:])
    assert objects(place) == [f"{first:012}.ndjson" for first in (0, 5, 10, 15, 20)]
    assert recorded(place, sealing) == points


def test_a_full_object_is_never_written_again(
    place: Repository, sealing: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "LINES", 5)
    log = Log(place, sealing)
    log.add(point(number) for number in range(6))
    first = place.store.get(place.name("checkpoints", "000000000000.ndjson"))
    log.add([point(6)])
    assert place.store.get(place.name("checkpoints", "000000000000.ndjson")) == first


def test_only_so_many_are_remembered_as_a_reorg_can_take_back(
    place: Repository, sealing: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "REMEMBERED", 3)
    log = Log(place, sealing)
    log.add(point(number) for number in range(8))
    assert log.last == [point(5), point(6), point(7)] == Log(place, sealing).last


def test_lines_that_are_damaged_forged_or_unknown_are_refused(place: Repository, sealing: Sealing) -> None:
    Log(place, sealing).add([point(1)])
    name = place.name("checkpoints", "000000000000.ndjson")
    data = bytearray(place.store.get(name))
    data[-5] ^= 1
    place.store.put(name, bytes(data), replace=True)
    for read in (lambda: recorded(place, sealing), lambda: Log(place, sealing)):
        with pytest.raises(RefusedError, match=r"000000000000.ndjson is not signed by a trusted key"):
            read()
    for body in (b"{}\n", b'{"height":1}\n', b"\xff\n"):
        place.store.put(name, sign(body, sealing.signer), replace=True)
        with pytest.raises(RefusedError, match="cannot be read by this release"):
            recorded(place, sealing)
