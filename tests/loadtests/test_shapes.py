from __future__ import annotations

import pytest

from loadtests.errors import UsageError
from loadtests.shapes import ABOUT, Course, Shape


def test_a_ramp_rises_to_all_users_over_four_fifths_and_stays_there() -> None:
    course = Course(Shape.RAMP, 100, 100)
    assert [course.users_at(at) for at in (0, 20, 40, 80, 99)] == [1, 25, 50, 100, 100]


def test_a_steady_load_has_all_its_users_after_ten_seconds_at_most() -> None:
    assert [Course(Shape.STEADY, 50, 600).users_at(at) for at in (0, 5, 10, 599)] == [1, 25, 50, 50]
    assert Course(Shape.STEADY, 50, 20).users_at(2) == 50


def test_a_spike_is_the_middle_fifth_and_ten_times_what_is_around_it() -> None:
    course = Course(Shape.SPIKE, 100, 100)
    assert [course.users_at(at) for at in (0, 39.9, 40, 59.9, 60, 99)] == [10, 10, 100, 100, 10, 10]


def test_a_soak_is_a_tide_of_ten_minutes_that_never_falls_below_three_fifths() -> None:
    course = Course(Shape.SOAK, 100, 3_600)
    assert [course.users_at(10 + at) for at in (0, 300, 600)] == [100, 60, 100]
    assert min(course.users_at(at) for at in range(10, 3_600)) == 60


@pytest.mark.parametrize("shape", list(Shape))
def test_there_is_always_a_user_while_it_lasts_never_more_than_asked_for_and_none_after_it(shape: Shape) -> None:
    for users in (1, 2, 7):
        course = Course(shape, users, 30)
        assert all(1 <= course.users_at(at / 4) <= users for at in range(120))
        assert [course.users_at(at) for at in (-0.1, 30, 31)] == [0, 0, 0]


@pytest.mark.parametrize(("users", "seconds"), [(0, 60), (10_001, 60), (1, 9), (1, 90_000)])
def test_a_test_without_bounds_is_refused(users: int, seconds: float) -> None:
    with pytest.raises(UsageError, match="give from"):
        Course(Shape.SPIKE, users, seconds)


def test_every_shape_has_a_sentence_and_a_time_of_its_own() -> None:
    assert set(ABOUT) == set(Shape)
    assert all(Course(shape, 1, about.seconds).users_at(0) == 1 and about.sentence for shape, about in ABOUT.items())
