from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from indexer.sync.ahead import DEPTH
from tests.bench import report
from tests.bench.cluster import Counters
from tests.bench.files import START_HEIGHT
from tests.bench.pipeline import Mark, edges, windows

if TYPE_CHECKING:
    from tests.bench.task import Figures

MACHINE = {"cores": 2, "memory": 2**34, "python": "3.11.7", "load": 0.5}


def pipeline(**changes: object) -> Figures:
    tenth = {"blocks": 500, "cpu": 0.004, "main_cpu": 0.002, "server_cpu": 0.001, "statements": 0.3}
    figures: Figures = {
        "blocks": 5_000,
        "operations": 250_000,
        "seconds": 20.0,
        "cpu": 25.0,
        "server_cpu": 5.0,
        "statements": 1_500,
        "transactions": 400,
        "interface": "files",
        "round_trips": 0,
        "memory": 200_000_000,
        "workers": 1,
        "working_set": 20_000,
        "balances": 200_000,
        "size": 10**8,
        "agrees": True,
        "settings": {"fsync": "on"},
        "indexes": ["CREATE INDEX one"],
        "first_tenth": dict(tenth),
        "last_tenth": dict(tenth),
    }
    return figures | changes


def results(**stages: Figures) -> Figures:
    return {"machine": MACHINE, "chains": {}, **stages}


def test_figures_that_meet_their_targets_miss_none() -> None:
    assert report.missed(results(files=pipeline())) == []


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        ({"seconds": 30.0, "operations": 300_000}, "blocks/s"),
        ({"operations": 150_000}, "operations/s"),
        ({"transactions": 5_001}, "transactions a block"),
        ({"memory": 400_000_001}, "peak memory, 1 worker(s) included"),
        ({"agrees": False}, "state hash as apply only"),
    ],
)
def test_a_figure_beyond_its_target_is_missed(change: Figures, figure: str) -> None:
    assert [line.figure for line in report.missed(results(files=pipeline(**change)))] == [figure]


def test_a_last_tenth_that_costs_more_than_the_first_is_missed() -> None:
    last = {"blocks": 500, "cpu": 0.004, "main_cpu": 0.002, "server_cpu": 0.001, "statements": 0.34}
    assert [line.figure for line in report.missed(results(files=pipeline(last_tenth=last)))] == [
        "last tenth / first: statements"
    ]


def test_a_block_late_at_the_tip_and_a_slow_reorg_are_missed() -> None:
    tip = {"blocks": 40, "p50": 0.2, "p95": 0.26, "worst": 0.3}
    undo = {"depth": 100, "rounds": 3, "p50": 1.9, "p95": 2.1, "worst": 2.1}
    assert [line.stage for line in report.missed(results(tip=tip, undo=undo))] == ["at the tip", "reorg"]


def test_the_table_names_settings_figures_targets_and_indexes() -> None:
    text = io.StringIO()
    report.show(results(files=pipeline()), Console(file=text, width=150))
    for part in ("2 cores", "fsync=on", "250", "≥ 200", "met", "index present: CREATE INDEX one"):
        assert part in text.getvalue()


def test_tenths_leave_out_the_first_step_and_what_was_prepared_before_the_end() -> None:
    height = START_HEIGHT + 4_999
    first = START_HEIGHT + 39
    assert edges(first, height) == (first + 500, height - 500 - 2 * DEPTH, height - 2 * DEPTH, height)
    marks = [
        Mark(at, 0.0, 2.0 * at, 3.0 * at, Counters(statements=at, transactions=0, cpu=at / 2))
        for at in (START_HEIGHT - 1, first, first + 520, height - 472 - 2 * DEPTH, height + 28 - 2 * DEPTH, height)
    ]
    cost = {"blocks": 520, "cpu": 3.0, "main_cpu": 2.0, "server_cpu": 0.5, "statements": 1.0}
    assert windows(marks, height) == {"first_tenth": cost, "last_tenth": cost | {"blocks": 500}}


def test_a_chain_too_short_for_tenths_has_no_ratio() -> None:
    marks = [Mark(at, 0.0, 0.0, 0.0, Counters(0, 0, 0.0)) for at in (START_HEIGHT - 1, START_HEIGHT + 9)]
    assert windows(marks, START_HEIGHT + 9) == {"first_tenth": None, "last_tenth": None}
