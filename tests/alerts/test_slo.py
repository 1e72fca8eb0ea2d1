from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alerts.slo import FILE, SloError, read, slo

if TYPE_CHECKING:
    from pathlib import Path

OBJECTIVE = {
    "name": "api-latency",
    "title": "API latency",
    "team": "api",
    "target": 95,
    "reason": "People notice.",
    "dashboard": "api",
    "runbook": "answer-slow-api",
    "total": "rate(a_count[WINDOW])",
    "good": "rate(a_bucket[WINDOW])",
    "minimum_rate": 0.1,
}


def given(tmp_path: Path, **changes: Any) -> Path:  # noqa: ANN401 - any field of an objective
    objective = {key: value for key, value in (OBJECTIVE | changes).items() if value is not None}
    path = tmp_path / "slo.yaml"
    path.write_text(yaml.safe_dump({"window": "30d", "objectives": [objective]}), encoding="utf-8")
    return path


def test_the_objectives_are_those_that_users_were_promised() -> None:
    assert {each.name: each.target for each in slo().objectives} == {
        "api-availability": 99.9,
        "api-latency": 95,
        "sql-latency": 95,
        "indexing-freshness": 99.9,
        "backup-freshness": 99,
    }
    assert slo()["api-latency"].limit_seconds == 0.02
    assert slo()["sql-latency"].limit_seconds == 0.1


def test_a_budget_is_what_the_target_leaves() -> None:
    assert slo()["api-availability"].budget == 0.001


def test_an_objective_that_does_not_exist_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="uptime"):
        slo()["uptime"]


def test_the_limit_of_a_latency_is_a_bucket_of_its_histogram() -> None:
    for objective in slo().objectives:
        if objective.limit_seconds:
            assert f'le="{objective.limit_seconds:g}"' in objective.good


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"bad": "rate(b[WINDOW])"}, "either total with one of good and bad, or moment"),
        ({"good": None}, "either total with one of good and bad, or moment"),
        ({"total": None, "good": None}, "either total with one of good and bad, or moment"),
        ({"moment": "a > bool 1"}, "either total with one of good and bad, or moment"),
        ({"minimum_rate": None}, "give minimum_rate: at low traffic a single error would page"),
        ({"target": 100}, "objectives.0.target: input should be less than 100"),
        ({"name": "API latency"}, "objectives.0.name: string should match pattern"),
        ({"slack": 1}, "objectives.0.slack: extra inputs are not permitted"),
    ],
)
def test_an_objective_that_says_too_little_or_too_much_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    path = given(tmp_path, **changes)
    with pytest.raises(SloError) as raised:
        read(path)
    assert problem in str(raised.value)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_yaml_or_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("window: [", encoding="utf-8")
    for path in (tmp_path / "bad.yaml", tmp_path / "none.yaml"):
        with pytest.raises(SloError) as raised:
            read(path)
        assert "\n" not in str(raised.value)


def test_the_file_is_read_once() -> None:
    assert slo() is slo()
    assert read(FILE) == slo()
