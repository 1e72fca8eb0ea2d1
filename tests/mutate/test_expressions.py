from __future__ import annotations

import promql_parser
import pytest

from alerts import rulebook
from alerts.model import REAL
from tests.mutate.expressions import numbers, variants
from tests.mutate.text import written

EXPRESSIONS = [REAL.expression(alert.expr) for alert in rulebook.alerts()] + [
    REAL.expression(record.expr) for record in rulebook.records()
]


def texts(expr: str) -> dict[str, str]:
    return {variant.text: variant.what for variant in variants(expr)}


def whats(expr: str) -> set[str]:
    return {variant.what for variant in variants(expr)}


def test_every_rule_reads_back_as_it_is_written() -> None:
    for expr in EXPRESSIONS:
        text = written(promql_parser.parse(expr))
        assert written(promql_parser.parse(text)) == text


def test_every_fault_can_be_parsed_differs_and_is_there_once() -> None:
    for expr in EXPRESSIONS:
        original = written(promql_parser.parse(expr))
        found = [written(promql_parser.parse(variant.text)) for variant in variants(expr)]
        assert original not in found
        assert len(found) == len(set(found))


def test_a_comparison_is_flipped_and_its_threshold_scaled() -> None:
    assert whats("a > 1.5") == {
        "> is >=", "> is <", "> is <=", "1.5 is 0.75", "1.5 is 1.35", "1.5 is 1.65", "1.5 is 3"
    }  # fmt: skip
    assert "((a{}) >= (1.5))" in texts("a > 1.5")


def test_what_is_joined_is_joined_otherwise_and_a_guard_is_dropped() -> None:
    found = texts("a > 1 and on (x) b > 2")
    assert found["((a{} > 1) unless on (x) (b{} > 2))"] == "and is unless"
    assert found["(a{} > 1)"] == "what follows and is gone"
    assert "(a{})" in texts("a or b")
    assert "((a{}) and (b{}))" in texts("a unless b").keys() | {
        text.replace("and  ", "and ") for text in texts("a unless b")
    }


def test_each_matcher_is_dropped_and_flipped() -> None:
    assert set(texts('up{job="api", x!~"a.*"}')) == {
        'up{x!~"a.*"}', 'up{job!="api", x!~"a.*"}', 'up{job="api"}', 'up{job="api", x=~"a.*"}'
    }  # fmt: skip
    # A selector has to select something.
    assert set(texts('{job="api", x="a"}')) == {'{x="a"}', '{job="api"}', '{job!="api", x="a"}', '{job="api", x!="a"}'}


def test_quotes_and_backslashes_in_a_matcher_survive() -> None:
    expr = 'a{b=~"x\\\\.\\"y\\""} > 1.5'
    assert all(text.count('\\\\.\\"y\\"') == 1 for text in texts(expr) if "b" in text)


def test_windows_offsets_and_subqueries_are_halved_and_doubled() -> None:
    assert {"[5m] is [150s]", "[5m] is [10m]"} <= whats("rate(a[5m])")
    assert {"offset 1d is 12h", "offset 1d is 2d"} <= whats("a offset 1d")
    assert {"[1h:] is [30m:]", "[1h:] is [2h:]"} <= whats("avg_over_time(a[1h:1m])")
    assert "avg_over_time(a{}[30m:1m] offset 1d)" in texts("avg_over_time(a[1h:1m] offset 1d)")


def test_aggregations_and_functions_are_swapped_and_groupings_dropped() -> None:
    assert {"max is min", "by (x) is gone", "by (y) is gone"} <= whats("max by (x, y) (a)")
    assert "max without () (a{})" in texts("max without (x) (a)")
    assert "topk is bottomk" in whats("topk(3, a)")
    assert "rate is increase" in whats("rate(a[5m]) > 2")
    assert "abs is gone" in whats("abs(a - b)")
    assert "- is +" in whats("abs(a - b)")


def test_absence_becomes_presence() -> None:
    assert 'absent(absent(up{job="api"}))' in texts('absent(up{job="api"})')


def test_a_constant_is_a_value_only_where_it_is_read_as_one() -> None:
    assert whats("vector(1)") == {"vector is absent", "vector is nothing", "vector is less than itself"}
    constants = {variant.text for variant in variants("vector(0.5)", values=True)}
    assert {"vector(0.25)", "vector(0.45)", "vector(0.55)", "vector(1)"} <= constants


def test_no_fault_is_made_that_no_series_could_tell_from_the_original() -> None:
    # A factor does not change a sign, nor the quantile of a histogram.
    assert "rate is increase" not in whats("rate(a[5m]) > 0")
    assert "sum is max" not in whats("sum(rate(a[5m])) == 0")
    assert "sum is max" in whats("sum(rate(a[5m])) > 1.5")
    shape = whats("histogram_quantile(0.95, sum by (le) (rate(a_bucket[5m])))")
    assert "rate is increase" not in shape
    assert {"rate is irate", "sum is max"} <= shape


@pytest.mark.parametrize(
    ("value", "others"),
    [
        (0, {"1", "-1"}),
        (1, {"0", "2"}),
        (4, {"3", "5", "2", "8"}),
        (60, {"30", "54", "66", "120"}),
        (0.1, {"0.05", "0.09", "0.11", "0.2"}),
    ],
)
def test_an_integer_stays_one_so_that_a_count_can_lie_between(value: float, others: set[str]) -> None:
    assert set(numbers(value)) == others


def test_an_expression_of_a_kind_that_no_rule_has_had_is_refused() -> None:
    with pytest.raises(TypeError, match="no rule has had a str yet"):
        written("a")  # type: ignore[arg-type]
