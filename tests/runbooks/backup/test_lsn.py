"""Positions in the WAL and the names of its files, as PostgreSQL writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.backup.lsn import (
    Lsn,
    Segment,
    Switch,
    history_of,
    is_archived_name,
    is_segment_name,
    path_of,
    switches,
)

MB = 1 << 20
SIZES = [MB << power for power in range(11)]  # what initdb --wal-segsize takes: 1 MB to 1 GB
HISTORY = """1\t0/5000000\tno recovery target specified

2\t0/8000158\tbefore 2026-11-30 05:12:00+00
"""


@given(st.integers(0, (1 << 64) - 1))
def test_a_position_is_written_as_it_is_read(number: int) -> None:
    assert Lsn.parse(str(Lsn(number))) == number


def test_a_position_has_two_hexadecimal_halves() -> None:
    assert Lsn.parse("16/B374D848") == 0x16_B374D848
    assert str(Lsn(0x1_0000_0000)) == "1/0"


@pytest.mark.parametrize("text", ["", "16", "/", "1/", "x/0", "1/0/0"])
def test_what_is_no_position_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Lsn.parse(text)


@given(st.integers(1, (1 << 32) - 1), st.integers(0, (1 << 44) - 1), st.sampled_from(SIZES))
def test_a_segments_name_leads_back_to_it_for_every_size(timeline: int, number: int, size: int) -> None:
    number %= (1 << 64) // size
    segment = Segment(timeline, number)
    assert len(segment.name(size)) == 24
    assert is_segment_name(segment.name(size))
    assert Segment.parse(segment.name(size), size) == segment


@pytest.mark.parametrize(
    ("position", "size", "name"),
    [  # as pg_walfile_name() of a server with this --wal-segsize says
        ("0/1000028", 16 * MB, "000000010000000000000001"),
        ("0/FFFFFFFF", 16 * MB, "0000000100000000000000FF"),
        ("1/0", 16 * MB, "000000010000000100000000"),
        ("1/28", MB, "000000010000000100000000"),
        ("0/FFFFFFFF", MB, "000000010000000000000FFF"),
        ("2/80000000", 1 << 30, "000000010000000200000002"),
    ],
)
def test_the_segment_of_a_position_has_the_name_that_postgresql_gives_it(position: str, size: int, name: str) -> None:
    assert Segment(1, Lsn.parse(position).segment(size)).name(size) == name


@pytest.mark.parametrize(
    ("name", "kind", "history"),
    [
        ("00000001000000000000000A", "segment", None),
        ("00000001000000000000000A.partial", "other", None),
        ("00000001000000000000000A.00000028.backup", "other", None),
        ("0000000B.history", "other", 11),
        ("00000001.history", "other", 1),
        ("00000001000000000000000a", "", None),
        ("00000001000000000000000A\n", "", None),
        ("0000000B.history\n", "", None),
        ("../000000010000000000000A", "", None),
        ("00000001000000000000000A.backup", "", None),
        ("RECOVERYXLOG", "", None),
        ("", "", None),
    ],
)
def test_names_of_the_archive_are_told_from_others(name: str, kind: str, history: int | None) -> None:
    assert is_archived_name(name) is bool(kind)
    assert is_segment_name(name) is (kind == "segment")
    assert (Segment.parse(name, 16 * MB) is not None) is (kind == "segment")
    assert history_of(name) == history


def test_a_history_file_tells_its_switches_oldest_first_and_nothing_else() -> None:
    wanted = [Switch(1, Lsn.parse("0/5000000")), Switch(2, Lsn.parse("0/8000158"))]
    assert switches(HISTORY) == wanted
    assert switches("# a comment\n\n" + HISTORY) == wanted
    assert switches("") == []


def path(start: Segment, last: int, history: str, timeline: int) -> list[tuple[int, int]]:
    return [tuple(each) for each in path_of(start, last, switches(history), timeline, 16 * MB)]  # type: ignore[misc]  # pairs


def test_a_path_on_one_timeline_has_every_number() -> None:
    assert path(Segment(1, 3), 6, "", 1) == [(1, 3), (1, 4), (1, 5), (1, 6)]
    assert path(Segment(1, 3), 3, "", 1) == [(1, 3)]
    assert path(Segment(1, 3), 2, "", 1) == []


def test_a_path_goes_over_to_the_next_timeline_in_the_segment_of_the_switch() -> None:
    # 0/5000000 is the first byte of segment 5, 0/8000158 lies in segment 8: both were begun anew by the next timeline.
    assert path(Segment(1, 3), 9, HISTORY, 3) == [(1, 3), (1, 4), (2, 5), (2, 6), (2, 7), (3, 8), (3, 9)]


def test_a_path_leaves_out_the_timelines_before_its_start() -> None:
    assert path(Segment(2, 6), 9, HISTORY, 3) == [(2, 6), (2, 7), (3, 8), (3, 9)]
    assert path(Segment(3, 9), 10, HISTORY, 3) == [(3, 9), (3, 10)]


def test_a_path_that_ends_before_a_switch_stays_on_the_older_timeline() -> None:
    assert path(Segment(1, 3), 4, HISTORY, 3) == [(1, 3), (1, 4)]
    assert path(Segment(1, 3), 7, HISTORY, 3)[-1] == (2, 7)


def test_two_switches_within_one_segment_need_it_from_the_last_timeline_only() -> None:
    history = "1\t0/5000100\tx\n2\t0/5000200\tx\n"
    assert path(Segment(1, 4), 6, history, 3) == [(1, 4), (3, 5), (3, 6)]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(0, 30), st.integers(0, 60))
def test_a_path_has_each_number_once_and_never_goes_back_to_an_older_timeline(
    ends: list[int], first: int, last: int
) -> None:
    ancestry = [Switch(number, Lsn(end * 16 * MB + 88)) for number, end in enumerate(sorted(ends), start=1)]
    found = list(path_of(Segment(1, first), last, ancestry, len(ends) + 1, 16 * MB))
    assert [each.number for each in found] == list(range(first, last + 1))
    assert [each.timeline for each in found] == sorted(each.timeline for each in found)
