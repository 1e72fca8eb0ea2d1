"""Whatever is wrong with a dashboard is found, and what is right is let through."""

from __future__ import annotations

import pytest

from dashboards.catalog import dashboards
from dashboards.lint import numbers_of, problems, sources
from dashboards.model import Dashboard, Line, Query, Row
from tests.dashboards.sample import EXPR, PANEL, asking, board, panel

UP = 'up{cluster="$cluster"}'
KNOWN = {"TooMany": {5.0}}


def test_a_dashboard_without_a_fault_has_no_problem() -> None:
    assert problems(board()) == []
    assert problems(board(), KNOWN) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (board(uid="No Uid"), "uid is not lower case with dashes"),
        (board(title=" "), "has no title"),
        (board(description=""), "has no description"),
        (board(rows=()), "it has no panel"),
        (board(rows=(Row(title="Empty", panels=()),)), "the row 'Empty' has no panel"),
        (board(rows=(Row(title="", panels=(PANEL,)),)), "a row has no title"),
        (board(panel(title="")), "a panel without a title: it has no title"),
        (board(panel(description="Answers.")), "its description does not say what it shows"),
        (board(panel(unit="")), "it has no unit"),
        (board(panel(witness="")), "it has no witness"),
        (board(panel(witness="full-moon")), "nobody knows the witness 'full-moon'"),
        (board(panel(queries=())), "it has no query"),
        (board(panel(width=25)), "it is 25 columns wide, of 24"),
        (board(panel(kind="table")), "a table names its columns"),
        (board(panel(columns=("code",))), "only a table has some"),
        (
            board(panel(kind="table", columns=("a",), queries=(*PANEL.queries, Query(expr=UP, legend="up")))),
            "a table has one query",
        ),
        (board(PANEL, PANEL), "two panels are called 'Answers'"),
        (board(panel(queries=(Query(expr=EXPR, legend=" "),))), "a query has no legend"),
        (board(panel(queries=PANEL.queries * 2)), "two queries have the legend '{{code}}'"),
        (asking(f"sum({UP}"), "not PromQL (unclosed left parenthesis)"),
        (asking("up{cluster='$clusters'}"), "not PromQL ($clusters is no variable of a query"),
        (asking("1 + 1"), "a constant is no measurement"),
        (asking("time()"), "a constant is no measurement"),
        (asking(f"{UP} or vector(0)"), "vector(...) shows a number where there is no data"),
        (asking(f"clamp_min(sum({UP} or vector(1)), 1)"), "vector(...) shows a number where there is no data"),
        (asking("up"), "up is not of $cluster"),
        (asking('up{cluster="local"}'), "up is not of $cluster"),
        (asking('up{cluster!="$cluster"}'), "up is not of $cluster"),
        (asking(f"{UP} / on (job) scrapes"), "scrapes is not of $cluster"),
        (asking(f"rate({UP}[5m])"), "the range [5m] is not one of $__range, $__rate_interval"),
        (asking(f"max_over_time({UP}[1h:1m])"), "the range [1h:1m] is not one of"),
        (board(panel(lines=(Line(value=1, severity="warning", source=""),))), "the line at 1 has no source"),
    ],
)
def test_each_mistake_is_found(wrong: Dashboard, says: str) -> None:
    found = problems(wrong)
    assert len([line for line in found if says in line]) == 1, found
    assert all(line.startswith(f"{wrong.uid}: ") for line in found)


def test_a_range_within_a_label_is_no_range() -> None:
    assert problems(asking(f'{UP[:-1]}, job=~"[a-z]+"}}')) == []


def test_series_that_lost_their_cluster_may_be_asked_for_too() -> None:
    assert problems(asking('ALERTS{cluster=~"$cluster|"}')) == []


def test_panels_whose_numbers_fall_together_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.lint.identity", lambda _: 7)
    assert "two titles have the panel number 7" in problems(board())[0]


def test_a_line_stands_where_its_alert_says() -> None:
    moved = board(panel(lines=(Line(value=6, severity="warning", source="TooMany"),)))
    assert problems(moved, KNOWN) == ["sample: Answers: the line at 6 is of TooMany, which says 5"]
    assert problems(moved, {"TooMany": ()}) == ["sample: Answers: the line at 6 is of TooMany, which says no number"]


def test_a_line_of_an_alert_that_does_not_exist_is_found() -> None:
    found = problems(board(), {"Another": {5.0}})
    assert found == ["sample: Answers: the line at 5 is of TooMany, which is neither an objective nor an alert"]


def test_lines_may_be_of_objectives_alerts_and_speeds_of_burning() -> None:
    known = sources()
    assert 0.02 in known["api-latency"]
    assert 0.001 in known["api-availability"]
    assert 0.05 in known["HighErrorRate"]
    assert known["ApiLatencyBurn"] >= {14.4, 6, 3, 1}
    assert 26 * 3_600 in known["BackupTooOld"]


@pytest.mark.parametrize(
    ("expr", "numbers"),
    [
        ("simplicity_lag_blocks > 1", {2}),
        ("(min by (cluster) (simplicity_lag_blocks == simplicity_lag_blocks) > bool 1)", {2}),
        ("simplicity_last_reorg_depth > 3 and increase(reorgs_total[1h]) > 0", {0, 4}),
        ("avg(simplicity_lag_blocks) > 1", {1}),
        ("simplicity_lag_blocks / 2 > 1", {1, 2}),
        ("rate(simplicity_lag_blocks[5m]) > 1", {1}),
        ("seconds > 1", {1}),
        ("simplicity_lag_blocks >= 1", {1}),
        ("ready == 0", {0, 1}),
    ],
)
def test_a_line_is_where_it_begins_to_be_bad_of_whole_numbers_one_further(expr: str, numbers: set[float]) -> None:
    assert numbers_of(expr) == numbers


def test_the_lines_of_blocks_and_depths_are_those_at_which_their_alerts_fire() -> None:
    known = sources()
    assert 2 in known["IndexerLagging"]
    assert 1 not in known["IndexerLagging"]
    assert 4 in known["DeepReorg"]
    assert 2 in known["indexing-freshness"]


def test_what_is_bad_at_nothing_is_drawn_below_one() -> None:
    assert 1 in sources()["NoApiInstance"]


@pytest.mark.parametrize("shipped", dashboards(), ids=lambda each: each.uid)
def test_the_shipped_dashboards_have_no_problem(shipped: Dashboard) -> None:
    assert problems(shipped, sources()) == []
