from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from indexer.telemetry.access import QUIET, AccessLog, Clock, request_id

FIELDS = [
    "timestamp",
    "level",
    "logger",
    "message",
    "user_id",
    "request_id",
    "endpoint",
    "method",
    "status_code",
    "duration_ms",
]


def logged(level: str = "INFO", status: int = 200, endpoint: str | None = "/v1/{x}") -> list[dict[str, Any]]:
    lines: list[bytes] = []
    AccessLog(lines.append, level).write(endpoint, "GET", status, 0.0123456, request_id="r1", user_id="k1")
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    return [json.loads(line) for line in lines]


def test_a_line_has_exactly_the_fields_of_the_log() -> None:
    [line] = logged()
    assert list(line) == FIELDS
    assert line | {"timestamp": ""} == {
        "timestamp": "",
        "level": "INFO",
        "logger": "simplicity.access",
        "message": "request",
        "user_id": "k1",
        "request_id": "r1",
        "endpoint": "/v1/{x}",
        "method": "GET",
        "status_code": 200,
        "duration_ms": 12.35,
    }
    assert line["timestamp"].endswith("Z")
    assert datetime.now(UTC) - datetime.fromisoformat(line["timestamp"]) < timedelta(seconds=60)


def test_nobody_in_particular_is_null_and_no_route_is_unmatched() -> None:
    lines: list[bytes] = []
    AccessLog(lines.append).write(None, "GET", 404, 0.0, request_id="r1")
    line = json.loads(lines[0])
    assert (line["user_id"], line["endpoint"]) == (None, "unmatched")


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "INFO"), (404, "INFO"), (429, "INFO"), (499, "INFO"), (500, "ERROR"), (502, "ERROR"), (503, "WARNING")],
)
def test_the_level_tells_whose_fault_it_is(status: int, level: str) -> None:
    [line] = logged(status=status)
    assert line["level"] == level


@pytest.mark.parametrize(
    ("level", "statuses"),
    [
        ("DEBUG", [200, 503, 500]),
        ("INFO", [200, 503, 500]),
        ("WARNING", [503, 500]),
        ("ERROR", [500]),
        ("CRITICAL", []),
    ],
)
def test_the_log_level_is_respected(level: str, statuses: list[int]) -> None:
    assert [status for status in (200, 503, 500) if logged(level, status)] == statuses


@pytest.mark.parametrize("endpoint", sorted(QUIET))
def test_what_machines_ask_every_second_is_logged_only_when_it_breaks(endpoint: str) -> None:
    assert not logged(endpoint=endpoint)
    assert not logged(endpoint=endpoint, status=503)
    assert logged(endpoint=endpoint, status=500)


def test_the_clock_is_right_across_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    for nanoseconds, expected in (
        (1_761_278_400_000_000_000, "2025-10-24T04:00:00.000000Z"),
        (1_761_278_400_999_999_999, "2025-10-24T04:00:00.999999Z"),
        (1_761_278_401_000_001_000, "2025-10-24T04:00:01.000001Z"),
        (1_761_278_399_500_000_000, "2025-10-24T03:59:59.500000Z"),
    ):
        monkeypatch.setattr(time, "time_ns", lambda now=nanoseconds: now)
        assert clock.now() == expected


def test_a_plain_word_from_the_proxy_names_the_request() -> None:
    assert request_id(b"abc-DEF_1.2") == "abc-DEF_1.2"
    assert request_id(b"x" * 64) == "x" * 64


@pytest.mark.parametrize(
    "header", [None, b"", b"x" * 65, b"a b", b"a\nb", b"a\n", b'"', b"\xc3\xa9", b"../..", b"{}", b"\x00"]
)
def test_anything_else_gets_an_id_of_ours(header: bytes | None) -> None:
    assert re.fullmatch(r"[0-9a-f]{20}", request_id(header))


def test_ids_differ() -> None:
    assert len({request_id() for _ in range(1000)}) == 1000
