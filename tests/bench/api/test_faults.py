from __future__ import annotations

from typing import Any

from tests.bench.api.faults import NEW, PROBES, WARMED, Moments, outcome, recovery
from tests.bench.api.load import Answer, Answered, Failed

MOMENTS = Moments(hurt=2.0, back=5.0, well=5.5)


def at(due: float, status: int = 200, group: int = WARMED, **more: Any) -> Answer:  # noqa: ANN401 - the answer's other fields
    return Answer(due, 0.001, status, group)._replace(**more)


def outcome_of(*answers: Answer) -> dict[str, object]:
    return outcome(Answered(0.0, 8.0, list(answers), [], {}, 0.0, 0), MOMENTS)


def test_stale_answers_and_honest_refusals_are_no_fault() -> None:
    stale = at(3.0, is_stale=True, age=2)
    refused = at(3.1, 503, NEW, retry_after=True)
    unready = at(3.2, 503, PROBES)
    found = outcome_of(at(1.0), stale, refused, unready, at(6.0))
    assert found["dishonest"] == {}
    assert found["warmed_failed"] == {}
    assert (found["warmed_stale"], found["oldest"]) == (1, 2)


def test_errors_refusals_without_a_time_and_silence_are_faults() -> None:
    found = outcome_of(at(3.0, 500), at(3.1, 503, NEW), at(3.2, Failed.DROPPED, NEW), at(3.3, 429, NEW))
    assert found["dishonest"] == {"status 500": 1, "503 without Retry-After": 1, "no answer": 1, "status 429": 1}
    assert found["warmed_failed"] == {"status 500": 1}


def test_an_address_that_was_asked_before_must_be_answered_even_if_the_refusal_is_honest() -> None:
    assert outcome_of(at(3.0, 503, retry_after=True))["warmed_failed"] == {"503": 1}


def test_recovery_lasts_until_the_last_answer_that_is_not_fresh() -> None:
    assert recovery([at(1.0), at(4.0, 503), at(6.0)], 5.0) == 0.0
    assert recovery([at(5.5, 503), at(6.25, is_stale=True), at(7.0)], 5.0) == 1.25


def test_answers_are_counted_by_the_second_and_kind() -> None:
    found = outcome_of(at(1.0), at(1.5), at(3.0, is_stale=True), at(3.5, 503, NEW, retry_after=True))
    assert found["seconds"] == [
        {"second": 1, "is_out": False, "warmed": {"fresh": 2}, "new": {}, "probes": {}},
        {"second": 3, "is_out": True, "warmed": {"stale": 1}, "new": {"503": 1}, "probes": {}},
    ]


def test_metrics_that_never_tell_of_health_are_told_so() -> None:
    answered = Answered(0.0, 8.0, [], [], {}, 0.0, 0)
    assert outcome(answered, Moments(2.0, 5.0, None))["metrics_well"] is None
    assert outcome(answered, MOMENTS)["metrics_well"] == 0.5
