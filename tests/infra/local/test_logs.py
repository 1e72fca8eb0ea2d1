from __future__ import annotations

import json
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from infra.local.logs import Line, Wanted, follow, last, parse, shown

if TYPE_CHECKING:
    from pathlib import Path


def test_a_json_line_shows_time_level_logger_and_message() -> None:
    fields = {"timestamp": "T", "level": "WARNING", "logger": "indexer.sync", "message": "waiting", "s": 3}
    assert parse(json.dumps(fields)) == Line("warning", "T WARNING  indexer.sync waiting s=3", fields)


@pytest.mark.parametrize(
    ("raw", "level"),
    [
        ("2026-11-22 18:25:42.773 UTC [8696] LOG:  listening", "info"),
        ("2026-11-22 18:25:42.773 UTC [8696] FATAL:  no such role", "critical"),
        ('ts=2026 caller=main.go:1 level=warn msg="x"', "warning"),
        ("2026-11-22 18:25:44,505 CRIT reaped", "critical"),
        ('pid=1 role=primary timestamp="2026" level=warning message="bye"', "warning"),
        ("[WARNING]  (9628) : Server api/api-1 is DOWN", "warning"),
        ("[ALERT]    (9628) : backend 'api' has no server available!", "critical"),
        ("anything else", "info"),
        ('{"broken', "info"),
        ("[1]", "info"),
    ],
)
def test_the_level_of_each_components_lines_is_understood(raw: str, level: str) -> None:
    assert parse(raw) == Line(level, raw)


def test_lines_below_the_level_are_left_out() -> None:
    raw = [json.dumps({"level": level, "message": level}) for level in ("DEBUG", "INFO", "ERROR")]
    assert len(list(shown(raw, Wanted("info")))) == 2
    assert len(list(shown(raw, Wanted("error")))) == 1


def test_the_lines_of_one_request_or_user_are_those_whose_fields_say_so() -> None:
    raw = [
        json.dumps({"message": "one", "request_id": "a", "user_id": "u"}),
        json.dumps({"message": "two", "request_id": "b", "user_id": "u"}),
        json.dumps({"message": "of nobody", "request_id": "b", "user_id": None}),
        "a plain line with a, b and u",
    ]
    assert [line.split()[1] for line in shown(raw, Wanted(fields={"user_id": "u"}))] == ["one", "two"]
    assert [line.split()[1] for line in shown(raw, Wanted(fields={"request_id": "b", "user_id": "u"}))] == ["two"]
    assert list(shown(raw, Wanted("error", {"user_id": "u"}))) == []


def test_the_last_wanted_lines_are_counted_not_the_last_of_all(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("a\nERROR b\nERROR c\nERROR d\ne\n")
    assert last(path, 2) == ["ERROR d", "e"]
    assert last(path, 2, Wanted("error")) == ["ERROR c", "ERROR d"]
    assert last(tmp_path / "none.log", 2) == []


def test_a_request_is_found_in_rotated_files_too_the_oldest_first(tmp_path: Path) -> None:
    for name in ("x.log.2", "x.log.1", "x.log"):
        (tmp_path / name).write_text(json.dumps({"message": name, "request_id": "a"}) + "\n")
    found = last(tmp_path / "x.log", 9, Wanted(fields={"request_id": "a"}))
    assert [line.split()[1] for line in found] == ["x.log.2", "x.log.1", "x.log"]
    assert len(last(tmp_path / "x.log", 9)) == 1


def test_following_sees_new_lines_and_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("an old line that is longer\n")
    lines = follow({"x": path})
    later = Timer(0.1, lambda: path.write_text("new é\n"))
    later.start()
    assert next(lines) == ("x", "new é")
    later.join()
