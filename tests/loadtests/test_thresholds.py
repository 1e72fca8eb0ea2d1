from __future__ import annotations

import pytest

from alerts.slo import slo
from loadtests.answers import Outcome
from loadtests.tally import Tally
from loadtests.thresholds import ENOUGH, Verdict, is_counted, judge


def tally(*parts: tuple[int, Outcome, float], route: str = "/v1/indexer/brc20/list") -> Tally:
    made = Tally()
    for number, outcome, seconds in parts:
        for _ in range(number):
            made.add("wallet", route, outcome, seconds)
    return made


def missed(verdict: Verdict) -> list[str]:
    assert verdict.met is (all(each.met for each in verdict.judged) and not verdict.void)
    return [each.name for each in verdict.judged if not each.met]


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ([(1_000, Outcome.OK, 0.01)], []),
        # An error in a thousand is what 99.9 % allow, two are not.
        ([(999, Outcome.OK, 0.01), (1, Outcome.SERVER_ERROR, 0.01)], []),
        ([(998, Outcome.OK, 0.01), (2, Outcome.SERVER_ERROR, 0.01)], ["api-availability"]),
        ([(998, Outcome.OK, 0.01), (2, Outcome.UNANSWERED, 10.0)], ["api-availability"]),
        ([(998, Outcome.OK, 0.01), (2, Outcome.WRONG, 0.01)], ["right-answers"]),
        # 95 % within 20 ms: exactly so is met, one fewer is not.
        ([(950, Outcome.OK, 0.02), (50, Outcome.OK, 0.4)], []),
        ([(949, Outcome.OK, 0.02), (51, Outcome.OK, 0.0201)], ["api-latency"]),
        ([(1_000, Outcome.OK, 0.01), (5_000, Outcome.LIMITED, 0.3)], []),
        ([(ENOUGH, Outcome.OK, 0.01)], []),
        ([(ENOUGH - 1, Outcome.OK, 0.01), (900, Outcome.LIMITED, 0.01)], ["requests"]),
        ([], ["requests", "api-availability", "api-latency", "right-answers"]),
    ],
)
def test_the_objectives_decide(parts: list[tuple[int, Outcome, float]], names: list[str]) -> None:
    assert missed(judge(tally(*parts), slo())) == names


def test_streams_and_bulk_lists_have_no_part_in_the_latency_as_in_the_objective_itself() -> None:
    fast = tally((200, Outcome.OK, 0.01))
    fast.merge(tally((200, Outcome.OK, 2.0), route="/v1/indexer/brc20/list/all"))
    assert missed(judge(fast, slo())) == []
    assert [is_counted(route) for route in ("/a/events", "/a/all", "/a/list")] == [False, False, True]
    assert '.*/(events|all)"' in slo()["api-latency"].total


def test_the_sentence_has_what_was_measured_and_the_objective() -> None:
    verdict = judge(tally((900, Outcome.OK, 0.0301), (1, Outcome.SERVER_ERROR, 0.1)), slo())
    assert verdict.sentence == (
        "missed: 99.889 % were answered without an error of ours (objective 99.9 %); p95 30.1 ms (objective 20 ms)"
    )
    assert verdict.as_dict()["objectives"][2]["measured"] == 0.0301
    assert judge(tally((900, Outcome.OK, 0.01)), slo()).sentence.startswith("met: 900 requests; 100.00 % were")


def test_a_share_that_misses_by_little_is_not_rounded_into_one_that_meets() -> None:
    verdict = judge(tally((99_899, Outcome.OK, 0.01), (101, Outcome.SERVER_ERROR, 0.01)), slo())
    assert "99.899 % were answered" in verdict.sentence


@pytest.mark.parametrize(("limited", "is_void"), [(10, False), (11, True), (99_000, True)])
def test_where_a_limit_refused_more_than_a_hundredth_the_service_is_not_judged(limited: int, *, is_void: bool) -> None:
    verdict = judge(tally((1_000, Outcome.OK, 0.01), (limited, Outcome.LIMITED, 0.01)), slo())
    assert (bool(verdict.void), verdict.met) == (is_void, not is_void)
    if is_void:
        assert verdict.sentence.startswith("not judged: ")
        assert "were refused by the rate limit (429)" in verdict.sentence
        assert "--key-file" in verdict.sentence


def test_a_problem_of_the_test_itself_makes_it_tell_nothing() -> None:
    verdict = judge(tally((1_000, Outcome.OK, 0.01)), slo(), ["1 of 2 workers were lost"])
    assert (verdict.met, verdict.sentence) == (False, "not judged: 1 of 2 workers were lost")


def test_questions_that_were_not_asked_during_a_standstill_count_as_late() -> None:
    counted = tally((980, Outcome.OK, 0.004), (20, Outcome.OK, 8.0))
    assert missed(judge(counted, slo())) == []
    counted.add_unasked("/v1/indexer/brc20/list/all", [7.0] * 200, answered=True)
    assert missed(judge(counted, slo())) == []
    counted.add_unasked("/v1/indexer/brc20/list", [7.0] * 100, answered=True)
    assert missed(judge(counted, slo())) == ["api-latency"]


def test_questions_that_were_not_asked_while_there_was_no_answer_count_as_unanswered() -> None:
    counted = tally((9_999, Outcome.OK, 0.004), (1, Outcome.UNANSWERED, 10.0))
    counted.add_unasked("/v1/indexer/brc20/list", [9.0] * 9, answered=False)
    assert missed(judge(counted, slo())) == []
    counted.add_unasked("/v1/indexer/brc20/list", [9.0], answered=False)
    assert missed(judge(counted, slo())) == ["api-availability"]


def test_questions_that_were_not_asked_never_make_it_better() -> None:
    counted = tally((900, Outcome.OK, 0.004), (100, Outcome.OK, 0.03))
    counted.add_unasked("/v1/indexer/brc20/list", [0.001] * 9_000, answered=True)
    assert missed(judge(counted, slo())) == ["api-latency"]


def test_an_objective_of_latency_without_a_limit_is_an_error() -> None:
    objectives = slo()
    without = objectives.model_copy(
        update={"objectives": tuple(each.model_copy(update={"limit_seconds": None}) for each in objectives.objectives)}
    )
    with pytest.raises(ValueError, match="api-latency has no limit_seconds"):
        judge(tally((200, Outcome.OK, 0.01)), without)
