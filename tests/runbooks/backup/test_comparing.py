"""What the agent finds where the index no longer says of its blocks what was recorded of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import psycopg
import pytest
from structlog.testing import capture_logs

from audit.objects import open_store
from runbooks.backup import checkpoints, comparing
from runbooks.backup.checkpoints import Checkpoint, Log
from runbooks.backup.comparing import Comparison
from runbooks.backup.repository import Repository
from tests.support.backups import HASH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runbooks.backup.keys import Sealing
    from tests.support.postgres import Cluster

OTHER = "cd" * 32


def point(height: int, branch: str = "a") -> Checkpoint:
    return Checkpoint(height, f"{branch}{height:063x}", HASH, HASH, 700 + height, 1, f"0/{height:X}000028", height)


class Index:
    """The columns of an index that are compared, to be tampered with."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        connection.execute("CREATE SCHEMA index")
        connection.execute("CREATE TABLE index.blocks (height int, hash bytea, state_hash bytea, state_digest bytea)")

    def has(self, *points: Checkpoint) -> None:
        rows = [
            (p.height, bytes.fromhex(p.block_hash)[::-1], bytes.fromhex(p.state_hash), bytes.fromhex(p.state_digest))
            for p in points
        ]
        self.connection.cursor().executemany("INSERT INTO index.blocks VALUES (%s, %s, %s, %s)", rows)

    def change(self, height: int, column: str, value: str) -> None:
        assert column in {"hash", "state_hash", "state_digest"}
        self.connection.execute(
            f"UPDATE index.blocks SET {column} = %s WHERE height = %s",  # noqa: S608 - one of three names
            [bytes.fromhex(value), height],
        )


@pytest.fixture
def index(cluster: Cluster) -> Iterator[Index]:
    with psycopg.connect(cluster.new_database(), autocommit=True) as connection:
        yield Index(connection)


@pytest.fixture
def log(tmp_path: Path, sealing: Sealing) -> Log:
    return Log(Repository(open_store((tmp_path / "repository").as_uri()), "7412345678901234567"), sealing)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "EACH_SECONDS", 0.0)


def looked(index: Index, log: Log, comparison: Comparison, times: int = 1) -> set[int]:
    for _ in range(times):
        comparison.look(index.connection, log)
    return set(comparison.differing)


@pytest.mark.parametrize("column", ["state_hash", "state_digest"])
def test_another_state_of_the_same_block_is_found_told_once_and_over_when_it_is_mended(
    index: Index, log: Log, column: str
) -> None:
    points = [point(height) for height in range(20)]
    log.add(points)
    index.has(*points)
    comparison = Comparison()
    assert looked(index, log, comparison) == set()
    for height in (7, 9):
        index.change(height, column, OTHER)
    with capture_logs() as said:
        assert looked(index, log, comparison, 3) == {7, 9}
    assert [(line["height"], line["block"], line["recorded"]) for line in said] == [(7, points[7].block_hash, HASH)]
    index.change(7, column, HASH)
    assert looked(index, log, comparison) == {9}
    index.change(9, column, HASH)
    assert looked(index, log, comparison) == set()


def test_another_block_is_a_reorg_and_one_that_is_gone_was_taken_back(index: Index, log: Log) -> None:
    log.add([point(1), point(2), point(3), point(2, "b")])
    index.has(point(1), point(2, "c"))
    index.change(2, "state_hash", OTHER)
    comparison = Comparison()
    assert looked(index, log, comparison, 3) == set()
    index.change(1, "state_hash", OTHER)
    assert looked(index, log, comparison) == {1}
    index.change(1, "hash", OTHER)
    assert looked(index, log, comparison) == set(), "what differed is no longer there"


def test_what_was_recorded_last_of_a_block_is_what_counts(
    index: Index, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a new timeline, where a restore has led to what is recorded anew.
    monkeypatch.setattr(comparing, "NEWEST", 1)
    monkeypatch.setattr(comparing, "WINDOW", 1)
    before = Checkpoint(
        **{name: getattr(point(1), name) for name in Checkpoint.__struct_fields__} | {"state_hash": OTHER}
    )
    log.add([before, point(2), point(1), point(3)])
    index.has(point(1), point(2), point(3))
    assert looked(index, log, Comparison(_read=float("inf")), 8) == set()


def test_all_that_is_remembered_is_looked_at_in_turns(index: Index, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "NEWEST", 5)
    monkeypatch.setattr(comparing, "WINDOW", 10)
    points = [point(height) for height in range(100)]
    log.add(points)
    index.has(*points)
    comparison = Comparison(_read=float("inf"))
    for height in (0, 37, 89):
        index.change(height, "state_hash", OTHER)
        assert looked(index, log, comparison, 10) == {height}
        index.change(height, "state_hash", HASH)
        assert looked(index, log, comparison) == set()
    index.change(97, "state_hash", OTHER)
    assert looked(index, log, comparison) == {97}, "one of the newest is found at once"


def test_older_blocks_are_looked_at_an_object_of_the_repository_at_a_time_and_a_damaged_one_stops_nothing(
    index: Index, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "LINES", 10)
    monkeypatch.setattr(comparing, "OLDER_SECONDS", 0.0)
    monkeypatch.setattr(comparing, "AT_FIRST", 1)
    points = [point(height) for height in range(50)]
    log.add(points)
    log.last = log.last[-10:]
    index.has(*points)
    index.change(3, "state_hash", OTHER)
    index.change(25, "state_hash", OTHER)
    comparison = Comparison()
    assert looked(index, log, comparison) == {3}
    assert looked(index, log, comparison, 2) == {3, 25}
    index.change(3, "state_hash", HASH)
    index.change(25, "state_hash", HASH)
    (first, *_) = sorted((tmp_path / "repository").rglob("*.ndjson"))
    first.write_bytes(first.read_bytes()[:-1] + b"x")
    with capture_logs() as said:
        assert looked(index, log, comparison, 5) == set()
    assert [line["log_level"] for line in said] == ["warning"]
    index.change(25, "state_hash", OTHER)
    assert looked(index, log, comparison, 5) == {25}, "the others are looked at again"


class Recorded:
    """Five objects of ten blocks in the repository, of which the newest alone is remembered."""

    def __init__(self, index: Index, log: Log) -> None:
        points = [point(height) for height in range(50)]
        log.add(points)
        log.last = log.last[-10:]
        index.has(*points)
        self.index, self.log = index, log

    def verdicts(self, comparison: Comparison, looks: int) -> list[float | None]:
        """Look so often; return what it came to each time, None for not known."""
        found = []
        for _ in range(looks):
            comparison.look(self.index.connection, self.log)
            found.append(None if math.isnan(comparison.verdict) else comparison.verdict)
        return found


@pytest.fixture
def old(index: Index, log: Log, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    monkeypatch.setattr(checkpoints, "LINES", 10)
    monkeypatch.setattr(comparing, "AT_FIRST", 2)
    return Recorded(index, log)


def test_who_begins_says_that_nothing_differs_only_after_all_was_looked_at(old: Recorded) -> None:
    comparison = Comparison()
    assert math.isnan(comparison.verdict)
    assert old.verdicts(comparison, 4) == [None, None, 0, 0], "two objects each time, though a later round is slow"
    old.index.change(15, "state_hash", OTHER)
    assert old.verdicts(comparison, 3) == [0, 0, 0], "now an object is looked at once a minute"


def test_who_begins_finds_within_the_first_round_what_was_known_before_and_says_so_at_once(old: Recorded) -> None:
    old.index.change(25, "state_hash", OTHER)
    comparison = Comparison()
    assert old.verdicts(comparison, 4) == [None, 1, 1, 1]
    old.index.change(25, "state_hash", HASH)
    assert old.verdicts(comparison, 1) == [0]


def test_what_the_database_could_not_be_asked_about_counts_as_not_looked_at(old: Recorded) -> None:
    comparison = Comparison()
    old.index.change(5, "state_hash", OTHER)
    old.index.connection.execute("ALTER TABLE index.blocks RENAME TO away")
    with pytest.raises(psycopg.errors.UndefinedTable):
        comparison.look(old.index.connection, old.log)
    old.index.connection.execute("ALTER TABLE index.away RENAME TO blocks")
    assert old.verdicts(comparison, 1) == [1]


@pytest.mark.parametrize("harm", ["damaged", "gone"])
def test_what_cannot_be_read_leaves_open_whether_something_differs_until_it_can_be(
    old: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.setattr(comparing, "OLDER_SECONDS", 0.0)
    names = old.log.objects()
    lost = tmp_path / "repository" / names[1]
    content = lost.read_bytes()
    comparison = Comparison()
    assert old.verdicts(comparison, 1) == [None]
    if harm == "damaged":
        lost.write_bytes(content[:-1] + b"x")
    else:
        monkeypatch.setattr(old.log, "objects", lambda: names)  # it went after they were listed
        lost.unlink()
    comparison = Comparison()
    with capture_logs() as said:
        assert old.verdicts(comparison, 3 + 4) == [None] * 7
    assert [line["log_level"] for line in said] == ["warning"] * 2, "in later rounds it is tried again"
    lost.write_bytes(content)
    assert old.verdicts(comparison, 1 + 5)[-1] == 0
    lost.write_bytes(content[:-1] + b"x")
    assert old.verdicts(comparison, 6) == [0] * 6, "it was looked at while it could be read"


def test_the_database_is_asked_no_more_often_than_is_cheap(
    index: Index, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "EACH_SECONDS", 3600.0)
    log.add([point(1)])
    index.has(point(1))
    comparison = Comparison()
    assert looked(index, log, comparison) == set()
    index.change(1, "state_hash", OTHER)
    assert looked(index, log, comparison, 5) == set()


def test_before_anything_is_recorded_nothing_differs(index: Index, log: Log) -> None:
    index.has(point(1))
    comparison = Comparison()
    assert looked(index, log, comparison, 2) == set()
    assert comparison.verdict == 0
