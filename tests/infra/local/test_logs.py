from __future__ import annotations

import json
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from infra.local.logs import Line, follow, last_lines, parse, shown

if TYPE_CHECKING:
    from pathlib import Path


def test_a_json_line_shows_time_level_logger_and_message() -> None:
    raw = json.dumps({"timestamp": "T", "level": "WARNING", "logger": "indexer.sync", "message": "waiting", "s": 3})
    assert parse(raw) == Line("warning", "T WARNING  indexer.sync waiting s=3")


@pytest.mark.parametrize(
    ("raw", "level"),
    [
        ("2026-11-22 18:25:42.773 UTC [8696] LOG:  listening", "info"),
        ("2026-11-22 18:25:42.773 UTC [8696] FATAL:  no such role", "critical"),
        ('ts=2026 caller=main.go:1 level=warn msg="x"', "warning"),
        ("2026-11-22 18:25:44,505 CRIT reaped", "critical"),
        ("anything else", "info"),
        ('{"broken', "info"),
        ("[1]", "info"),
    ],
)
def test_the_level_of_each_components_lines_is_understood(raw: str, level: str) -> None:
    assert parse(raw) == Line(level, raw)


def test_lines_below_the_level_are_left_out() -> None:
    raw = [json.dumps({"level": level, "message": level}) for level in ("DEBUG", "INFO", "ERROR")]
    assert len(shown(raw, "info")) == 2
    assert len(shown(raw, "error")) == 1


def test_the_last_lines_come_from_the_end(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("a\nb\nc\n")
    assert last_lines(tmp_path / "x.log", 2) == ["b", "c"]
    assert last_lines(tmp_path / "none.log", 2) == []


def test_following_sees_new_lines_and_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("an old line that is longer\n")
    lines = follow({"x": path})
    later = Timer(0.1, lambda: path.write_text("new é\n"))
    later.start()
    assert next(lines) == ("x", "new é")
    later.join()
