from __future__ import annotations

import json
import random

import pytest

from loadtests.answers import Outcome
from loadtests.tally import REASONS, Tally, bucket, waits_of_unasked


@pytest.mark.parametrize(
    ("seconds", "end"),
    [
        (0, 1),
        (0.0001, 1),
        (0.00011, 2),
        (0.02, 200),
        (0.0200001, 201),
        (0.1, 1_000),
        (0.1001, 1_010),
        (1.0, 10_000),
        (1.0001, 10_100),
    ],
)
def test_a_time_is_rounded_up_to_the_end_of_its_bucket(seconds: float, end: int) -> None:
    assert bucket(seconds) == end


def test_quantiles_are_never_better_than_those_of_the_times_themselves_and_hardly_worse() -> None:
    rng = random.Random(3)
    times = sorted(rng.lognormvariate(-4, 1.2) for _ in range(1_000))
    tally = Tally()
    for time in times:
        tally.add("wallet", "/a", Outcome.OK, time)
    for share in (0.01, 0.5, 0.95, 0.99, 1.0):
        exact, measured = times[round(share * 1_000) - 1], tally.times().quantile(share)
        assert measured is not None
        assert exact - 1e-9 <= measured <= exact * 1.02 + 0.0001


def test_what_lies_within_a_limit_is_counted_exactly() -> None:
    tally = Tally()
    for time in (0.0199, 0.02, 0.0201, 0.5):
        tally.add("wallet", "/a", Outcome.OK, time)
    assert tally.times().within(0.02) == 2
    assert Tally().times().quantile(0.5) is None


def test_requests_that_a_limit_refused_have_no_part_in_the_times_and_are_no_failures() -> None:
    tally = Tally()
    tally.add("bot", "/a", Outcome.LIMITED, 0.0001, "429")
    tally.add("bot", "/a", Outcome.SERVER_ERROR, 0.3, "503")
    assert (tally.count(), tally.count(Outcome.LIMITED), tally.failed) == (2, 1, 1)
    assert tally.times().number == 1
    assert dict(tally.reasons) == {("/a", "503"): 1}


def test_tallies_add_up_and_go_through_json_unchanged() -> None:
    first, second, both = Tally(), Tally(), Tally()
    for number in range(50):
        one = first if number % 2 else second
        outcome = list(Outcome)[number % 5]
        for tally in (one, both):
            tally.add(f"user-{number % 3}", f"/{number % 4}", outcome, number / 1_000, f"reason {number % 2}")
            tally.add_unasked(f"/{number % 4}", [1.0, number / 10], answered=number % 3 > 0)
    total = Tally.of(json.loads(json.dumps(first.rows())))
    total.merge(second)
    assert total == both
    assert both.routes == ["/0", "/1", "/2", "/3"]
    assert both.users == ["user-0", "user-1", "user-2"]
    assert (
        sum(both.count(user=user) for user in both.users) == sum(both.count(route=each) for each in both.routes) == 50
    )
    assert both.times_unasked().number == 100
    assert both.times_unasked(route=lambda each: each == "/1").number == 26
    assert both.unasked_and_unanswered == 34
    assert both.times(user="user-1", route=lambda each: each == "/1").number < both.times(user="user-1").number


def test_what_was_drained_is_counted_once() -> None:
    tally = Tally()
    tally.add("wallet", "/a", Outcome.OK, 0.1)
    tally.add_unasked("/a", [0.1], answered=True)
    drained = tally.drain()
    assert (drained.count(), drained.times_unasked().number) == (1, 1)
    assert tally == Tally()


@pytest.mark.parametrize(
    ("waited", "pace", "asking", "waits"),
    [
        (0.5, 1.0, 60.0, []),
        (1.0, 1.0, 60.0, []),
        (4.5, 1.0, 60.0, [3.5, 2.5, 1.5, 0.5]),
        (0.3, 0.1, 60.0, [0.2, 0.1]),  # three tenths are not a little more than three times a tenth
        (4.5, 1.0, 2.5, [3.5, 2.5]),  # it ended while it waited: later ones it would not have asked
        (4.5, 1.0, -1.0, []),
    ],
)
def test_a_user_that_waits_does_not_ask_what_it_would_have_asked_meanwhile(
    waited: float, pace: float, asking: float, waits: list[float]
) -> None:
    assert waits_of_unasked(waited, pace, asking) == pytest.approx(waits)


def test_a_server_that_gives_always_another_reason_does_not_fill_the_memory() -> None:
    tally = Tally()
    for number in range(REASONS * 3):
        tally.add("wallet", "/a", Outcome.WRONG, 0.1, f"{number}" + "x" * 1_000)
    assert len(tally.reasons) == REASONS + 1
    assert tally.reasons["", "others"] == REASONS * 2
    assert max(len(reason) for _, reason in tally.reasons) == 200
