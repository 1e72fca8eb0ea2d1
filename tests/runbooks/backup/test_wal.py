"""The archive of WAL without a server: what is stored, fetched, refused, and whether anything is missing."""

from __future__ import annotations

import struct
from random import Random
from typing import TYPE_CHECKING

import pytest

from audit.objects import MissingObjectError, open_store
from runbooks.backup import wal
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.keys import Opening, Sealing, load_opening, make
from runbooks.backup.lsn import Lsn, Switch
from runbooks.backup.repository import Repository
from tests.runbooks.backup.damaging import cut, flip
from tests.support.backups import a_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLUSTER = 7412345678901234567
NAME = "000000010000000000000004"


def segment(cluster: int = CLUSTER, seed: int = 1) -> bytes:
    """Return a segment as PostgreSQL 18 begins one, half of it not written yet."""
    page = struct.pack("=HHIQIIQ", 0xD118, 2, 1, 0x4000000, 0, 0, cluster)
    return (page + Random(seed).randbytes(1 << 19)).ljust(1 << 20, b"\0")


@pytest.fixture
def place(tmp_path: Path, sealing: Sealing) -> Repository:
    made = Repository(open_store((tmp_path / "repository").as_uri()), str(CLUSTER))
    made.begin("local", None, sealing.signer)
    return made


@pytest.fixture
def archive(place: Repository, sealing: Sealing, tmp_path: Path) -> Callable[[str, bytes], bool]:
    """Archive a file of a name with some content."""

    def archived(name: str, content: bytes) -> bool:
        path = tmp_path / "pg_wal" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return wal.archive(place, path, lambda: sealing, tmp_path / "mark")

    return archived


def file_of(tmp_path: Path, name: str = NAME) -> Path:
    return tmp_path / "repository" / "clusters" / str(CLUSTER) / "wal" / name


FILES = {
    NAME: segment(),
    "000000010000000000000004.00000028.backup": b"START WAL LOCATION: 0/4000028\n",
    "00000002.history": b"1\t0/5000000\tno recovery target specified\n",
    "000000010000000000000006": segment()[:60],
    "00000003.history": b"",
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_archived_comes_back_as_it_was(
    place: Repository, archive: Callable[[str, bytes], bool], opening: Opening, tmp_path: Path, name: str
) -> None:
    content = FILES[name]
    assert archive(name, content)
    assert wal.names(place) == [name]
    assert wal.check(place, name, opening.trusted, opening) == len(content)
    assert wal.fetch(place, name, tmp_path / "fetched", opening)
    assert (tmp_path / "fetched").read_bytes() == content
    assert not (tmp_path / "fetched.partial").exists()


def test_a_segment_that_a_promotion_has_cut_off_is_left_out_for_the_next_timeline_begins_with_it(
    place: Repository, archive: Callable[[str, bytes], bool]
) -> None:
    assert not archive(f"{NAME}.partial", segment())
    assert wal.names(place) == []


def test_what_was_stored_once_is_remembered_where_the_repository_is_out_of_sight(
    archive: Callable[[str, bytes], bool], tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    assert not archive(f"{NAME}.partial", segment())
    assert not mark.exists()
    assert archive(NAME, segment())
    assert mark.exists()
    (tmp_path / "repository").rename(tmp_path / "away")
    for name in (NAME, "000000010000000000000005", "00000002.history"):
        with pytest.raises(BackupError, match=r"shows no backups, but had some: is it mounted\? \(.*mark says so\)$"):
            archive(name, segment())
    (tmp_path / "away").rename(tmp_path / "repository")
    assert archive("000000010000000000000005", segment())


def test_a_segment_takes_little_room_when_it_was_hardly_written(
    place: Repository, archive: Callable[[str, bytes], bool], opening: Opening, tmp_path: Path
) -> None:
    archive(NAME, segment()[:8_192].ljust(1 << 24, b"\0"))
    assert file_of(tmp_path).stat().st_size < 20_000
    wal.fetch(place, NAME, tmp_path / "fetched", opening)
    found = (tmp_path / "fetched").stat()
    assert found.st_size == 1 << 24
    assert found.st_blocks * 512 < 1 << 21


def test_the_same_file_again_is_well_and_another_one_is_not(
    archive: Callable[[str, bytes], bool], tmp_path: Path
) -> None:
    assert archive(NAME, segment())
    before = file_of(tmp_path).read_bytes()
    assert not archive(NAME, segment())
    with pytest.raises(BackupError, match=rf"^{NAME} is archived already with other content: two servers write"):
        archive(NAME, segment(seed=2))
    assert file_of(tmp_path).read_bytes() == before


def test_the_same_file_again_is_refused_where_what_is_stored_is_damaged(
    archive: Callable[[str, bytes], bool], tmp_path: Path
) -> None:
    archive(NAME, segment())
    flip(file_of(tmp_path), 0.5)
    with pytest.raises(RefusedError, match="not signed by a trusted key"):
        archive(NAME, segment())


def test_before_the_first_backup_nothing_is_stored_and_no_key_is_asked_for(tmp_path: Path) -> None:
    def locked() -> Sealing:
        raise AssertionError

    place = Repository(open_store((tmp_path / "repository").as_uri()), str(CLUSTER))
    assert not wal.archive(place, tmp_path / NAME, locked, tmp_path / "mark")
    assert place.store.names() == []
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("content", [segment(cluster=12), b"", b"short"], ids=["another", "empty", "short"])
def test_a_segment_that_another_cluster_wrote_or_nobody_is_not_stored(
    place: Repository, archive: Callable[[str, bytes], bool], content: bytes
) -> None:
    with pytest.raises(BackupError, match=rf"was written by cluster (12|unknown), not by {CLUSTER}"):
        archive(NAME, content)
    assert wal.names(place) == []


@pytest.mark.parametrize("name", ["postgresql.conf", "x" * 24, f"{NAME}.new", NAME.lower().replace("4", "a")])
def test_what_postgresql_never_archives_is_not_stored_nor_fetched(
    place: Repository, archive: Callable[[str, bytes], bool], opening: Opening, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BackupError, match="is no file that PostgreSQL archives"):
        archive(name, segment())
    with pytest.raises(BackupError, match="is no file that PostgreSQL archives"):
        wal.fetch(place, name, tmp_path / "fetched", opening)


def test_what_is_not_there_is_told_apart_from_what_is_damaged(
    place: Repository, archive: Callable[[str, bytes], bool], opening: Opening, tmp_path: Path
) -> None:
    assert not wal.fetch(place, NAME, tmp_path / "fetched", opening)
    with pytest.raises(RefusedError, match=f"WAL file {NAME} is missing"):
        wal.check(place, NAME, opening.trusted, opening)
    archive(NAME, segment())
    cut(file_of(tmp_path), 0.9)
    with pytest.raises(RefusedError, match=f"WAL file {NAME} is not signed"):
        wal.fetch(place, NAME, tmp_path / "fetched", opening)
    with pytest.raises(RefusedError, match=f"WAL file {NAME} is not signed"):
        wal.check(place, NAME, opening.trusted, opening)
    assert not (tmp_path / "fetched").exists()


def test_another_identity_reads_nothing(
    place: Repository, archive: Callable[[str, bytes], bool], opening: Opening, tmp_path: Path
) -> None:
    make(tmp_path / "others")
    archive(NAME, segment())
    other = load_opening(tmp_path / "others")
    with pytest.raises(RefusedError, match=f"WAL file {NAME} is not signed by a trusted key"):
        wal.check(place, NAME, other.trusted, other)
    with pytest.raises(RefusedError, match=f"WAL file {NAME} is encrypted for another key"):
        wal.check(place, NAME, opening.trusted, Opening(other.identity, opening.trusted))


def test_a_data_directory_tells_whose_it_is(tmp_path: Path) -> None:
    (tmp_path / "global").mkdir()
    (tmp_path / "global" / "pg_control").write_bytes(struct.pack("=Q", CLUSTER) + bytes(100))
    assert wal.cluster_of(tmp_path) == str(CLUSTER)
    (tmp_path / "global" / "pg_control").write_bytes(b"short")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BackupError, match="is no data directory of PostgreSQL"):
            wal.cluster_of(folder)


def test_histories_are_read_by_timeline(
    place: Repository, archive: Callable[[str, bytes], bool], opening: Opening, tmp_path: Path
) -> None:
    archive(NAME, segment())
    archive("00000002.history", b"1\t0/5000000\tno recovery target specified\n")
    archive("00000003.history", b"1\t0/5000000\tx\n\n2\t0/7000000\tx\n")
    first, second = Switch(1, Lsn.parse("0/5000000")), Switch(2, Lsn.parse("0/7000000"))
    found = wal.histories(place, wal.names(place), opening)
    assert found == {2: [first], 3: [first, second]}
    flip(file_of(tmp_path, "00000003.history"), 0.9)
    with pytest.raises(RefusedError, match=r"WAL file 00000003\.history is not signed"):
        wal.histories(place, wal.names(place), opening)
    with pytest.raises(MissingObjectError):
        wal.histories(place, ["00000009.history"], opening)


def names(timeline: int, *numbers: int) -> list[str]:
    return [f"{timeline:08X}{0:08X}{number:08X}" for number in numbers]


BACKUP = a_manifest(start_lsn="0/4000028", stop_lsn="0/5000120")  # needs segments 4 and 5
ANCESTRY = {2: [Switch(1, Lsn.parse("0/6000100"))], 3: [Switch(1, Lsn.parse("0/4000000"))]}


def test_a_way_leads_from_a_backup_to_the_last_file_there_is() -> None:
    others = ["000000010000000000000004.00000028.backup", "000000010000000000000009.partial", "00000002.history"]
    found = wal.way([*names(1, 2, 3, 4, 5, 6, 7), *others], BACKUP, {})
    assert found == wal.Way(1, names(1, 4, 5, 6, 7), [])
    wal.require_unbroken(found.lost, BACKUP)


@pytest.mark.parametrize(
    ("there", "lost"),
    [
        ((4, 5, 7), (6,)),
        ((5, 6), (4,)),
        ((4,), (5,)),
        ((), (4, 5)),
        ((2, 3), (4, 5)),
        ((4, 9), (5, 6, 7, 8)),
    ],
)
def test_a_gap_is_found_and_named(there: tuple[int, ...], lost: tuple[int, ...]) -> None:
    found = wal.way(names(1, *there), BACKUP, {})
    assert found.lost == names(1, *lost)
    with pytest.raises(
        RefusedError, match=rf"^WAL after backup {BACKUP.id} is missing: {names(1, *lost)[0]}"
    ) as caught:
        wal.require_unbroken(found.lost, BACKUP)
    assert str(caught.value).count("0000") < 30, "a few names are enough"


def test_a_way_to_a_position_needs_nothing_after_it() -> None:
    there = names(1, 4, 5, 6, 8, 9)
    assert wal.way(there, BACKUP, {}, until=Lsn.parse("0/6000200")).lost == []
    assert wal.way(there, BACKUP, {}, until=Lsn.parse("0/8000200")).lost == names(1, 7)
    assert wal.way(there, BACKUP, {}, until=Lsn.parse("0/4000200")).there == names(1, 4, 5), "to be consistent"


def test_a_position_that_was_noted_beyond_the_archive_makes_no_gap() -> None:
    # An agent that was away notes where the server is when it comes back: the block itself may be archived long since.
    assert wal.way(names(1, 4, 5, 6), BACKUP, {}, until=Lsn.parse("0/7000028")) == wal.Way(1, names(1, 4, 5, 6), [])


def test_a_way_stays_on_the_backups_own_timeline_whatever_others_there_are() -> None:
    there = [*names(1, 4, 5, 6, 7), *names(2, 6, 7, 8), *names(3, 4, 5, 6)]
    assert wal.way(there, BACKUP, ANCESTRY) == wal.Way(1, names(1, 4, 5, 6, 7), [])


def test_a_timeline_may_be_chosen() -> None:
    there = [*names(1, 4, 5, 6, 7), *names(2, 6, 7)]
    assert wal.way(there, BACKUP, ANCESTRY, timeline=1).there == names(1, 4, 5, 6, 7)
    assert wal.way(there, BACKUP, ANCESTRY, timeline=2).there == [*names(1, 4, 5), *names(2, 6, 7)]


def test_a_timeline_that_does_not_go_on_from_the_backup_is_left_out() -> None:
    other = a_manifest(timeline=2, start_lsn="0/7000028", stop_lsn="0/7000120")
    there = [*names(1, 4, 5, 6, 7, 8), *names(2, 7, 8), *names(3, 4, 5)]
    assert wal.way(there, other, ANCESTRY) == wal.Way(2, names(2, 7, 8), [])
