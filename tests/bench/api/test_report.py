from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from tests.bench.api import report
from tests.bench.api.bench import combined

if TYPE_CHECKING:
    from tests.bench.task import Figures


def measured(rate: float = 3_000.0, **changes: object) -> Figures:
    figures: Figures = {
        "requests": 3_000,
        "seconds": 1.0,
        "rate": rate,
        "p50": 0.01,
        "p95": 0.015,
        "p99": 0.02,
        "worst": 0.03,
        "errors": 0,
        "statuses": {"200": 3_000},
        "idle_drops": 0,
        "bytes": 400.0,
        "cpu": {"server": 0.9, "client": 0.1},
        "elsewhere": 0.1,
        "hits": 0.99,
        "of_bare": 0.4,
        "of_bare_by_cpu": 0.4,
        "asked": 300.0,
    }
    return figures | changes


def fault(**changes: object) -> Figures:
    row = {"second": 3, "is_out": True, "warmed": {"stale": 9}, "new": {"503": 2}, "probes": {"fresh": 1}}
    figures: Figures = {
        "requests": 100,
        "asked": 300.0,
        "outage": 10.0,
        "stale_window": 300.0,
        "outlasts_window": False,
        "seconds": [row],
        "dishonest": {},
        "warmed_failed": {},
        "warmed_stale": 9,
        "oldest": 4,
        "p95_before": 0.004,
        "p95_during": 0.005,
        "p95_during_warmed": 0.003,
        "worst_during": 0.1,
        "answers_well": 0.8,
        "metrics_well": 0.9,
        "idle_drops": 0,
    }
    return figures | changes


def results(**parts: Figures) -> Figures:
    ways = {"bare": measured(9_000.0), "warm": measured(), "cold": measured(900.0)}
    data = {"operations": 1, "balances": 1, "tickers": 1, "keys": 1, "settings": {"fsync": "on"}, "extra": {}}
    every: Figures = {
        "machine": {"cores": 2, "memory": 2**34, "python": "3.11.7", "load": 0.5},
        "data": data,
        "closed": {"ticker-info": {"50": ways}},
        "open": {"ticker-info": measured()},
        "ceiling": measured(40_000.0),
        "many": measured(300.0),
        "queries": {"ticker": {"count": 9, "p95": 0.01}},
        "whole_reads": 0,
        "bodies": {"ticker-info": {"compared": 3, "differences": []}},
        "faults": {"Redis killed": fault()},
    }
    return every | parts


DROPPED = measured(errors=2, statuses={"dropped": 2})


def test_figures_that_meet_their_targets_miss_none() -> None:
    assert report.missed(results()) == []


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        ({"closed": {"ticker-info": {"50": {"warm": measured(2_400.0)}}}}, "warm: requests/s"),
        ({"closed": {"ticker-info": {"50": {"warm": measured(of_bare=0.2)}}}}, "warm: of the bare"),
        (
            {"closed": {"holders": {"1000": {"cold": measured(errors=2, statuses={"dropped": 2})}}}},
            "cold, 1000 connections: errors",
        ),
        ({"many": measured(p95=0.021)}, "p95"),
        ({"many": measured(idle_drops=1)}, "errors, dropped connections"),
        ({"queries": {"ticker": {"count": 9, "p95": 0.1}}}, "p95 of the slowest query"),
        ({"whole_reads": 1}, "large tables read wholly"),
        ({"bodies": {"list": {"compared": 3, "differences": ["/list: [] instead of [1]"]}}}, "3 compared with SQL"),
        ({"faults": {"a": fault(dishonest={"status 500": 1})}}, "other than 200 or an honest 503"),
        ({"faults": {"a": fault(warmed_failed={"503": 1})}}, "asked before, and not answered"),
        ({"faults": {"a": fault(outlasts_window=True, oldest=301)}}, "oldest stale answer"),
        ({"faults": {"a": fault(answers_well=5.1)}}, "all answers fresh after"),
        ({"faults": {"a": fault(metrics_well=None)}}, "metrics without trouble after"),
    ],
)
def test_a_figure_beyond_its_target_is_missed(change: Figures, figure: str) -> None:
    assert [line.figure for line in report.missed(results(**change))] == [figure]


def test_only_without_a_cache_and_far_too_many_may_be_refused() -> None:
    refused = measured(errors=7, statuses={"200": 9, "503": 7})
    assert report.missed(results(closed={"holders": {"1000": {"cold": refused}}})) == []
    for connections, way in (("1000", "warm"), ("1", "cold")):
        assert len(report.missed(results(closed={"holders": {connections: {way: refused}}}))) == 1


def test_the_tables_name_figures_targets_and_what_clients_saw_by_the_second() -> None:
    text = io.StringIO()
    bodies = {"list": {"compared": 3, "differences": ["/list: [] instead of [1]"]}}
    report.show(results(bodies=bodies), Console(file=text, width=170))
    for part in ("2 cores", "fsync=on", "≥ 2,500", "met", "missed", "9 stale", "2 503", "body differs: /list"):
        assert part in text.getvalue()


def test_the_round_of_median_speed_stands_for_all_and_ratios_are_of_the_same_round() -> None:
    rounds = [
        {"bare": measured(bare), "warm": measured(warm)}
        for bare, warm in ((10_000.0, 4_000.0), (2_000.0, 1_000.0), (6_000.0, 1_800.0))
    ]
    figures = combined(rounds)
    assert figures["warm"]["rate"] == 1_800.0
    assert figures["bare"]["rate"] == 6_000.0
    assert figures["warm"]["of_bare"] == pytest.approx(0.4)
