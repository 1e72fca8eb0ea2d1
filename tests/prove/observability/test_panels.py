"""What counts as moved, and as back."""

from __future__ import annotations

import pytest

from tests.prove.observability.panels import Values, moves, returned

A, B = (0, (("job", "a"),)), (0, (("job", "b"),))
QUIET: Values = {A: [10.0, 12.0, 11.0]}


@pytest.mark.parametrize("seen", [{A: [11.0, 12.2]}, {A: [9.7]}])
def test_what_stays_about_where_it_was_has_not_moved(seen: Values) -> None:
    assert not moves(QUIET, seen)


@pytest.mark.parametrize(
    ("seen", "back", "away"),
    [
        ({A: [11.0, 40.0]}, {A: [13.0]}, {A: [35.0]}),
        ({A: [11.0, 1.0]}, {A: [9.0]}, {A: [2.0]}),
        ({A: [11.0], B: [5.0]}, {A: [11.0]}, {A: [11.0], B: [5.0]}),
        ({A: [11.0], B: [5.0]}, {A: [11.0], B: [0.0]}, {B: [4.0]}),
        ({}, {A: [50.0]}, {}),
    ],
    ids=["up", "down", "a new series that goes again", "a new series that falls to nothing", "a series that was gone"],
)
def test_what_moved_is_back_when_it_is_near_where_it_was(seen: Values, back: Values, away: Values) -> None:
    moved = moves(QUIET, seen)
    assert moved
    assert returned(moved, back)
    assert not returned(moved, away)


def test_what_moved_a_little_beside_a_fault_is_not_waited_for() -> None:
    moved = moves({A: [10.0], B: [10.0]}, {A: [100.0], B: [20.0]})
    assert returned(moved, {A: [10.0], B: [21.0]})
    assert not returned(moved, {A: [90.0], B: [10.0]})
