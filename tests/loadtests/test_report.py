from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from alerts.slo import slo
from loadtests import report, thresholds
from loadtests.answers import Outcome
from loadtests.charts import Chart, Limit, Line, thinned
from loadtests.driver import Point, Result
from loadtests.errors import LoadtestError
from loadtests.page import charts, page
from loadtests.plan import Plan, Work
from loadtests.sample import Sample
from loadtests.shapes import Course, Shape
from loadtests.tally import Tally
from loadtests.target import Target

if TYPE_CHECKING:
    from pathlib import Path

BEGUN = datetime(2026, 11, 30, 5, 12, tzinfo=UTC)
SAMPLE = Sample(900, ("ORDI",), ("bcrt1pholder",), (), (), (800,))
PLAN = Plan(
    role="alone",
    course=Course(Shape.SPIKE, 30, 60),
    work=Work(host="http://127.0.0.1:8080", seed=5, think=1.0, sample=SAMPLE, share=30),
    keys=("sk-secret",),
)
TARGET = Target(host="http://127.0.0.1:8080", name="<local>")


def result(tally: Tally, **changes: Any) -> Result:  # noqa: ANN401 - fields
    points = tuple(
        Point(at, 30, 30, 10, at % 2, 0, 0.004, None if at == 7 else 0.01 + at / 1_000, 0.05) for at in range(1, 61)
    )
    given: dict[str, Any] = {"seconds": 60.0, "early": False, "busy": False, "points": points, "problems": ()}
    return Result(begun=BEGUN, ended=BEGUN + timedelta(minutes=1), tally=tally, **(given | changes))


def tally(limited: int = 0) -> Tally:
    made = Tally()
    for number in range(400):
        made.add("wallet" if number % 2 else "explorer", "/v1/indexer/brc20/list", Outcome.OK, 0.004)
    made.add("explorer", "/v1/indexer/state/{height}", Outcome.WRONG, 0.4, "<script>alert(1)</script>")
    for _ in range(limited):
        made.add("explorer", "/v1/indexer/brc20/list", Outcome.LIMITED, 0.001)
    return made


def reported(counted: Tally, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields
    made = result(counted, **changes)
    return report.document(PLAN, TARGET, made, thresholds.judge(counted, slo(), made.problems))


def test_the_report_says_what_was_run_what_came_of_it_and_no_secret() -> None:
    made = reported(tally())
    assert made["shape"] == "spike"
    assert made["begun"] == "2026-11-30T05:12:00+00:00"
    assert made["verdict"]["met"] is False
    assert made["total"] == {
        "requests": 401,
        "per_second": 6.68,
        "failed": 1,
        "limited": 0,
        "p50": 0.004,
        "p95": 0.004,
        "p99": 0.004,
        "longest": 0.4,
    }
    assert [row["route"] for row in made["routes"]] == ["/v1/indexer/brc20/list", "/v1/indexer/state/{height}"]
    assert [(row["user"], row["requests"]) for row in made["by_user"]] == [("explorer", 201), ("wallet", 200)]
    assert made["failures"] == [
        {"route": "/v1/indexer/state/{height}", "reason": "<script>alert(1)</script>", "count": 1}
    ]
    assert len(made["points"]) == 60
    assert "sk-secret" not in json.dumps(made)
    assert "holder" not in json.dumps(made)


@pytest.mark.parametrize(
    ("changes", "unasked", "says"),
    [
        ({"early": True}, 0, "it was ended early"),
        ({"busy": True}, 0, "the load's own machine was busy"),
        ({}, 5, "5 questions were not asked while users waited for answers: the objectives count them"),
    ],
)
def test_what_a_reader_has_to_know_is_noted(changes: dict[str, Any], unasked: int, says: str) -> None:
    counted = tally()
    counted.add_unasked("/v1/indexer/brc20/list", [4.0] * unasked, answered=True)
    made = reported(counted, **changes)
    assert made["unasked"] == unasked
    assert len(made["notes"]) == 1
    assert says in made["notes"][0]


def test_what_hardly_matters_is_not_noted() -> None:
    counted = tally(limited=3)
    counted.add_unasked("/v1/indexer/brc20/list", [4.0] * 3, answered=True)
    assert reported(counted)["notes"] == []


@pytest.mark.parametrize(
    ("changes", "limited", "says"),
    [
        ({}, 100, "20.0 % of requests were refused by the rate limit (429)"),
        ({"problems": ("1 of 2 workers were lost",)}, 0, "1 of 2 workers were lost"),
    ],
)
def test_a_test_that_tells_nothing_is_not_shown_as_one_that_was_met(
    changes: dict[str, Any], limited: int, says: str
) -> None:
    made = reported(tally(limited), **changes)
    assert says in made["problems"][0]
    assert made["verdict"]["met"] is False
    text = page(made)
    assert "Not judged" in text
    assert says in text
    assert "objectives were met" not in text


class Page(HTMLParser):
    """What a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "xlink:href"}]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(text: str) -> Page:
    parsed = Page()
    parsed.feed(text)
    return parsed


def test_the_page_has_the_verdict_first_asks_for_nothing_and_runs_nothing() -> None:
    text = page(reported(tally()))
    parsed = read(text)
    assert parsed.links == []
    assert "script" not in parsed.tags
    assert "url(" not in text
    assert "@import" not in text
    shown = " ".join(parsed.texts)
    assert shown.index("Objectives were missed") < shown.index("Second by second") < shown.index("By route")
    assert "<script>alert(1)</script>" in shown  # as a text
    assert "99.75" in shown
    assert "met" in page(reported(only_good()))


def only_good() -> Tally:
    made = Tally()
    for _ in range(400):
        made.add("wallet", "/v1/indexer/brc20/list", Outcome.OK, 0.004)
    return made


def test_a_report_of_nothing_is_a_page_too() -> None:
    text = page(reported(Tally(), points=(), seconds=0.0, problems=("1 of 2 workers were lost",)))
    assert "1 of 2 workers were lost" in text
    assert "What failed" not in text


def test_the_charts_are_drawings_with_a_line_for_each_series() -> None:
    drawn = charts(reported(tally()))
    assert [chart.title for chart in drawn] == [
        "Users",
        "Requests a second",
        "Time of answers",
        "Failed and limited requests a second",
    ]
    svg = ET.fromstring(drawn[2].svg())  # noqa: S314 - our own
    paths = [each.attrib["d"] for each in svg.iter("path")]
    assert len(paths) == 3
    assert paths[1].count("M") == 2  # a gap where nothing was measured
    assert [each.attrib["class"] for each in svg.iter("line")].count("limit") == 1
    assert "objective of p95" in drawn[2].figure()
    numbers = [float(number) for path in paths for number in re.findall(r"-?\d+\.\d+", path)]
    assert min(numbers) >= 0
    assert max(numbers) <= 720


def test_a_long_test_keeps_its_peaks_in_the_chart() -> None:
    points = [(float(at), 900.0 if at == 12_345 else None if at % 2 else 1.0) for at in range(14_400)]
    few = thinned(points)
    assert len(few) == 600
    assert (12_345.0, 900.0) in few
    assert thinned([]) == []


@pytest.mark.parametrize(("highest", "limit", "drawn"), [(30.0, 20.0, 1), (10.0, 20.0, 1), (1.0, 20.0, 0)])
def test_a_limit_far_above_the_line_does_not_flatten_it(highest: float, limit: float, drawn: int) -> None:
    chart = Chart("t", " ms", (Line("a", [(1.0, highest)]),), Limit("objective", limit))
    assert chart.svg().count('class="limit"') == drawn


def test_a_report_is_two_files(tmp_path: Path) -> None:
    files = report.write(tmp_path / "new" / "out", reported(tally()))
    assert json.loads(files.data.read_text())["users"] == 30
    assert files.page.read_text().startswith("<!DOCTYPE html>")


def test_a_directory_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LoadtestError, match="the report cannot be written"):
        report.write(tmp_path / "file", reported(tally()))
