"""What panels are filled with: from a real Prometheus, and from servers that are none."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dashboards.model import Line, Query, Unit
from dashboards.render_data import MOST_CURVES, Drawn, fill, moment, window_of
from dashboards.source import Source, SourceError
from tests.dashboards.render.pictures import END, panel, picture
from tests.runbooks.operations.stack import NOBODY, stack
from tests.support.canned import canned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashboards.model import Panel
    from tests.runbooks.operations.stack import Stack

_EMPTY = Drawn(panel())
EXPORTED = (
    'answers_total{code="2xx"} 7\nanswers_total{code="5xx"} 1\nnot_a_number NaN\n'
    + "".join(f'many{{n="{n:02}"}} {n}\n' for n in range(30))
    + 'part{alertname="ApiDown",instance="api-1"} 1\nother{alertname="ApiDown",instance="api-1"} 60\n'
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("stack"), f"{NOBODY}/alerts", EXPORTED) as made:
        made.wait_for("count_over_time(answers_total[1m]) >= 3")
        yield made


def filled(url: str, shown: Panel, within: float = 10.0) -> Drawn:
    board = picture(replace(_EMPTY, panel=shown)).dashboard
    (drawn,) = fill(
        board, Source(url, 5.0), cluster="local", window=window_of("-2m", "now", time.time()), within=within
    ).panels
    return drawn


def asking(
    *exprs: str,
    legend: str = "{{code}}",
    unit: Unit = Unit.NUMBER,
    **changes: Any,  # noqa: ANN401 - whatever a panel takes
) -> Panel:
    return panel(unit=unit, queries=tuple(Query(expr=expr, legend=legend) for expr in exprs), **changes)


def test_a_range_gives_each_series_with_its_legend_and_its_value_now(running: Stack) -> None:
    drawn = filled(running.prometheus, asking('answers_total{cluster="$cluster"}', legend="answers {{ code }}"))
    assert [(curve.legend, curve.now) for curve in drawn.curves] == [("answers 2xx", 7), ("answers 5xx", 1)]
    assert len(drawn.curves[0].points) >= 2
    assert not drawn.problem


def test_variables_are_put_in_and_an_unknown_one_is_told(running: Stack) -> None:
    drawn = filled(running.prometheus, asking('sum(rate(answers_total{cluster="$cluster"}[$__rate_interval]))'))
    assert [curve.now for curve in drawn.curves] == [0]
    assert "$cluter" in filled(running.prometheus, asking('x{cluster="$cluter"}')).problem


def test_a_panel_of_nothing_is_empty_and_what_is_no_number_is_nothing(running: Stack) -> None:
    for expr in ("nothing_of_this_name", "not_a_number"):
        drawn = filled(running.prometheus, asking(expr))
        assert (drawn.is_empty, drawn.problem) == (True, "")


def test_of_too_many_series_the_worst_are_shown_and_the_others_counted(running: Stack) -> None:
    drawn = filled(running.prometheus, asking("many", legend="{{n}}"))
    assert [curve.legend for curve in drawn.curves] == [f"{n}" for n in range(30 - MOST_CURVES, 30)]
    assert drawn.omitted == 30 - MOST_CURVES
    low = (Line(value=1, severity="critical", source="TargetDown", below=True),)
    lowest = filled(running.prometheus, asking("many", legend="{{n}}", lines=low))
    assert [curve.legend for curve in lowest.curves] == [f"{n:02}" for n in range(MOST_CURVES)]


def test_a_table_has_the_columns_that_are_asked_for_or_the_labels_that_tell_rows_apart(running: Stack) -> None:
    named = filled(
        running.prometheus,
        asking("other", kind="table", unit=Unit.SECONDS, columns=("instance", "team"), value="For"),
    )
    assert named.table is not None
    assert (named.table.columns, named.table.rows) == (("instance", "team", "For"), (("api-1", "", "60 s"),))
    several = panel(
        queries=(Query(expr="part", legend="Part"), Query(expr="other", legend="Other")),
        kind="table",
        unit=Unit.NUMBER,
    )
    both = filled(running.prometheus, several)
    assert both.table is not None
    assert both.table.columns == ("alertname", "instance", "job", "Part", "Other")
    assert both.table.rows == (("ApiDown", "api-1", "test", "1", "60"),)
    many = filled(running.prometheus, asking('label_replace(many, "x", "$1$1", "n", "(.*)")', kind="table"))
    assert many.problem, "a query has no variables but those that are put in"


def test_a_query_that_is_wrong_says_what_prometheus_says_and_the_others_are_drawn(running: Stack) -> None:
    board = picture(
        *(replace(_EMPTY, panel=asking(expr)) for expr in ('sum(answers_total{cluster="$cluster"}', "answers_total"))
    ).dashboard
    wrong, right = fill(
        board, Source(running.prometheus), cluster="local", window=window_of("-1m", "now", time.time())
    ).panels
    assert "HTTP 400: invalid parameter" in wrong.problem
    assert "unclosed left parenthesis" in wrong.problem
    assert "\n" not in wrong.problem
    assert right.curves


def test_a_scalar_is_no_series(running: Stack) -> None:
    with pytest.raises(SourceError, match="gives no series"):
        Source(running.prometheus).instant("1 + 1")


def test_nobody_there_is_told_in_one_line_and_at_once() -> None:
    began = time.monotonic()
    drawn = filled(NOBODY, asking("x"))
    assert "Connection refused" in drawn.problem
    assert "\n" not in drawn.problem
    assert time.monotonic() - began < 2


def test_a_server_that_is_unwell_is_not_asked_again_and_again() -> None:
    with canned() as server:
        for status, answer, says in (
            (503, "<html>busy</html>", "HTTP 503: <html>busy</html>"),
            (200, "no json", "does not answer as Prometheus does"),
            (200, {"data": {}}, "does not answer as Prometheus does"),
            (200, {"data": {"result": 1}}, "does not answer as Prometheus does"),
            (200, [], "does not answer as Prometheus does"),
        ):
            server.answers["/api/v1/query?query=x"] = (status, answer)
            began = time.monotonic()
            with pytest.raises(SourceError) as found:
                Source(server.url).instant("x")
            assert says in str(found.value)
            assert time.monotonic() - began < 2


def test_warnings_of_prometheus_are_kept_and_infinity_is_left_out() -> None:
    answer = {
        "warnings": ["some store is away", "some store is away", "PromQL info: might not be a counter"],
        "data": {"result": [{"metric": {}, "value": [1, "+Inf"]}, {"metric": {}, "value": [1, "2"]}]},
    }
    with canned({"/api/v1/query?query=x&time=1.000": (200, answer)}) as server:
        source = Source(server.url)
        assert [sample.value for sample in source.instant("x", 1)] == [2]
        assert source.warnings == ["some store is away"]


def test_a_dashboard_is_filled_in_time_whatever_hangs(running: Stack) -> None:
    running.pause("prometheus")
    try:
        board = picture(*(replace(_EMPTY, panel=asking("x")) for _ in range(12))).dashboard
        began = time.monotonic()
        window = window_of("-1h", "now", began)
        filled_panels = fill(board, Source(running.prometheus, 0.5), cluster="local", window=window, within=1.0).panels
        assert time.monotonic() - began < 2.5
    finally:
        running.go_on("prometheus")
    assert all(drawn.problem for drawn in filled_panels)
    assert "took too long with the panels before" in filled_panels[-1].problem


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("now", END),
        ("-1h", END - 3_600),
        ("-30m", END - 1_800),
        ("7d", END - 604_800),
        ("2026-11-30T07:00", END - 3_600),
        ("2026-11-30T08:00+01:00", END - 3_600),
        ("2026-11-30T07:00Z", END - 3_600),
    ],
)
def test_times_are_written_as_people_do(text: str, at: float) -> None:
    assert moment(text, END) == at


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        ("soon", "now", "'soon' is no time"),
        ("-1h", "-2h", "-1h is not before -2h"),
        ("now", "now", "now is not before now"),
        ("-400d", "now", "more than a year"),
        ("9999999w", "now", "more than a year"),
        ("0001-01-01", "now", "."),
    ],
)
def test_a_window_that_cannot_be_is_refused(start: str, end: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        window_of(start, end, END)


def test_a_window_has_as_many_steps_as_there_is_room_and_ends_on_one() -> None:
    window = window_of("-1h", "now", END + 0.7)
    assert (window.start, window.end, window.step, window.seconds) == (END - 3_600, END, 20, 3_600)
    long = window_of("-7d", "now", END)
    assert (long.end - long.start) % long.step == 0
    assert long.interval == 2 * long.step
    assert window.interval == 60
