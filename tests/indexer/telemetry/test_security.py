from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from indexer.telemetry import security
from indexer.telemetry.metrics import Metrics
from indexer.telemetry.security import BURST, Event, SecurityLog


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def raw() -> list[bytes]:
    return []


@pytest.fixture
def log(metrics: Metrics, raw: list[bytes]) -> SecurityLog:
    return SecurityLog(raw.append, metrics.security_events)


def lines(raw: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw]


def counted(metrics: Metrics, event: Event) -> float | None:
    return metrics.registry.get_sample_value("security_events_total", {"event": event.value})


def tell(log: SecurityLog, kind: Event = Event.RATE_LIMITED, times: int = 1) -> None:
    for _ in range(times):
        log.event(kind, client="192.0.2.1", request_id="r1", detail="more than 600 in 60 s")


def test_an_event_is_a_warning_line_and_a_count(log: SecurityLog, raw: list[bytes], metrics: Metrics) -> None:
    log.event(Event.ACCESS_DENIED, client="192.0.2.1", request_id="r1", detail="needs operate", user_id="k1")
    [line] = lines(raw)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "WARNING",
        "logger": "simplicity.security",
        "message": "access_denied",
        "user_id": "k1",
        "request_id": "r1",
        "client": "192.0.2.1",
        "detail": "needs operate",
    }
    assert counted(metrics, Event.ACCESS_DENIED) == 1


def test_every_kind_is_counted_from_the_start(log: SecurityLog, metrics: Metrics) -> None:
    assert isinstance(log, SecurityLog)
    assert [counted(metrics, kind) for kind in Event] == [0.0] * len(Event)


def test_a_stranger_can_neither_forge_a_line_nor_have_a_secret_logged(log: SecurityLog, raw: list[bytes]) -> None:
    log.event(
        Event.HOSTILE_INPUT,
        client="1.2.3.4\n",
        request_id="\x1b[2J" + "r" * 500,
        detail='x\n{"level":"INFO"}\u202e\ud800 Bearer eyJhbGciOiJFUzI1NiJ9.AAAA.BBBB',
        user_id="u\u2028",
    )
    assert raw[0].count(b"\n") == 1
    [line] = lines(raw)
    assert all(str(text).isprintable() for text in line.values())
    assert len(line["request_id"]) == 64
    assert b"AAAA" not in raw[0]


def test_a_flood_is_counted_in_full_and_logged_in_part(log: SecurityLog, raw: list[bytes], metrics: Metrics) -> None:
    tell(log, times=5_000)
    assert counted(metrics, Event.RATE_LIMITED) == 5_000
    assert BURST <= len(raw) <= BURST + 5
    logged = len(raw)
    log.sum_up()
    log.sum_up()
    assert lines(raw)[-1]["unlogged"] == 5_000 - logged
    assert len(raw) == logged + 1


def test_a_flood_of_one_kind_leaves_room_for_the_others(log: SecurityLog, raw: list[bytes]) -> None:
    tell(log, times=100)
    tell(log, Event.ACCESS_DENIED)
    assert lines(raw)[-1]["message"] == "access_denied"


async def test_what_was_left_out_is_summed_up_by_itself(
    metrics: Metrics, raw: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(line: bytes) -> None:
        raw.append(line)
        if b"unlogged" in line:
            summed.set()

    monkeypatch.setattr(security, "SUM_AFTER", 0.01)
    summed = asyncio.Event()
    log = SecurityLog(put, metrics.security_events)
    for _ in range(2):
        raw.clear()
        summed.clear()
        tell(log, times=100)
        logged = len(raw)
        async with asyncio.timeout(5):
            await summed.wait()
        assert lines(raw)[-1]["unlogged"] == 100 - logged


def test_lines_are_to_be_had_again_when_the_flood_is_over(
    log: SecurityLog, raw: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    tell(log, times=100)
    assert len(raw) == BURST
    now += 3600
    tell(log, times=100)
    assert len(raw) == 2 * BURST
