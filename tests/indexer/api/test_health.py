from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from indexer.api import health
from indexer.api.health import (
    Check,
    Finding,
    Health,
    Outcome,
    Serving,
    Status,
    alive,
    detailed,
    not_ready,
    overall,
    readiness,
)

H, D, U, N = Status.HEALTHY, Status.DEGRADED, Status.UNHEALTHY, Status.NOT_CONFIGURED


def finding(name: str, status: Status) -> Finding:
    return Finding(name, status, 1.0, "", None)


def findings(database: Status, redis: Status = H, node: Status = H) -> list[Finding]:
    return [finding("database", database), finding("redis", redis), finding("bitcoin_node", node)]


def check(name: str = "database", *outcomes: Outcome | Exception) -> tuple[Check, list[float]]:
    """A check that gives these outcomes one after the other, and when it was asked."""
    asked: list[float] = []
    left = list(outcomes) or [Outcome(H, "fine")] * 100

    async def ask() -> Outcome:
        asked.append(time.monotonic())
        await asyncio.sleep(0)
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Check(name, ask), asked


def test_alive_says_ok_whatever_else_is_down() -> None:
    assert alive() == {"status": "ok"}
    assert alive("1.0-abc") == {"status": "ok", "release": "1.0-abc"}


@pytest.mark.parametrize(
    ("serving", "reasons"),
    [
        (Serving(draining=False, tip_known=True, database_answers=True), []),
        (Serving(draining=False, tip_known=True, database_answers=False, stale_seconds=10), []),
        (Serving(draining=False, tip_known=True, database_answers=False), ["database"]),
        (Serving(draining=False, tip_known=False, database_answers=True), ["no tip"]),
        (Serving(draining=False, tip_known=False, database_answers=False, stale_seconds=10), ["no tip"]),
        (Serving(draining=True, tip_known=True, database_answers=True), ["draining"]),
        (Serving(draining=True, tip_known=True, database_answers=False), ["draining", "database"]),
    ],
)
def test_a_process_is_ready_while_it_can_answer_and_is_to_stay(serving: Serving, reasons: list[str]) -> None:
    assert [reason.partition(":")[0] for reason in not_ready(serving)] == reasons


def test_readiness_is_a_word_or_a_problem_with_its_reasons() -> None:
    assert readiness(()) == (200, {"status": "ready"})
    assert readiness(("draining: bye", "database: gone")) == (
        503,
        {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "draining: bye; database: gone",
            "reasons": ["draining: bye", "database: gone"],
        },
    )


@pytest.mark.parametrize(
    ("found", "stale_left", "status"),
    [
        (findings(H), False, H),
        (findings(H, N, N), False, H),
        ([], False, H),
        (findings(U), False, U),
        (findings(U), True, D),
        (findings(U, U, U), False, U),
        (findings(U, U, U), True, D),
        (findings(D), False, D),
        (findings(H, U), False, D),
        (findings(H, H, U), False, D),
        (findings(H, D), False, D),
        (list(reversed(findings(U, D))), False, U),
    ],
)
def test_only_a_lost_database_with_nothing_kept_is_unhealthy(
    found: list[Finding],
    stale_left: bool,  # noqa: FBT001 - pytest's
    status: Status,
) -> None:
    assert overall(found, stale_left=stale_left) is status


def test_the_detailed_document_has_plain_words_and_the_details_beside_them() -> None:
    found = [
        Finding("database", H, 1.5, "tip 120", None),
        Finding("redis", N, None, "no setting for it", None),
        Finding("bitcoin_node", U, 2000.0, "no answer within 2 s", "open"),
    ]
    now = datetime(2025, 10, 24, 6, tzinfo=timezone(timedelta(hours=2)))
    assert detailed(found, stale_left=False, release="1.0.0", now=now) == (
        200,
        {
            "status": "degraded",
            "timestamp": "2025-10-24T04:00:00Z",
            "version": "1.0.0",
            "dependencies": {"database": "healthy", "redis": "not configured", "bitcoin_node": "unhealthy"},
            "details": {
                "database": {"status": "healthy", "latency_ms": 1.5, "detail": "tip 120", "breaker": None},
                "redis": {
                    "status": "not configured",
                    "latency_ms": None,
                    "detail": "no setting for it",
                    "breaker": None,
                },
                "bitcoin_node": {
                    "status": "unhealthy",
                    "latency_ms": 2000.0,
                    "detail": "no answer within 2 s",
                    "breaker": "open",
                },
            },
        },
    )


def test_an_unhealthy_service_says_so_by_its_status_code_too() -> None:
    assert detailed(findings(U), stale_left=False, release="1", now=datetime.now(UTC))[0] == 503
    assert detailed(findings(U), stale_left=True, release="1", now=datetime.now(UTC))[0] == 200


async def test_each_dependency_is_asked_and_timed() -> None:
    database, _ = check("database", Outcome(H, "tip 120"))
    node, _ = check("bitcoin_node", Outcome(D, "3 blocks behind"))
    asked = Check(node.name, node.ask, lambda: "half_open")
    code, document = await Health([database, Check("redis", None), asked], "1.0").detailed()
    assert code == 200
    assert document["dependencies"] == {
        "database": "healthy",
        "redis": "not configured",
        "bitcoin_node": "degraded",
    }
    assert document["status"] == "degraded"
    assert document["details"]["bitcoin_node"]["breaker"] == "half_open"
    assert document["details"]["database"]["latency_ms"] >= 0
    now = datetime.now(UTC)
    assert now - datetime.fromisoformat(document["timestamp"]) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (OSError("no route\nto host"), "no route"),
        (RuntimeError(), "RuntimeError"),
        (ConnectionError("redis://user:hunter2@host refused\x1b"), "redis://user:[secret]@host refused\\x1b"),
        (TimeoutError(), "TimeoutError"),
    ],
)
async def test_a_check_that_breaks_is_unhealthy_and_says_why_without_secrets(error: Exception, detail: str) -> None:
    broken, _ = check("redis", error)
    [found] = await Health([broken], "1").findings()
    assert (found.status, found.detail) == (U, detail)


async def test_whoever_asks_at_once_or_within_a_second_shares_the_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    one, asked = check()
    service = Health([one], "1")
    answers = await asyncio.gather(*(service.findings() for _ in range(100)))
    assert len(asked) == 1
    assert all(answer is answers[0] for answer in answers)
    assert await service.findings() is answers[0]
    monkeypatch.setattr(health, "SHARED_SECONDS", 0.0)
    service = Health([one], "1")
    await service.findings()
    await service.findings()
    assert len(asked) == 3


async def test_one_who_goes_away_does_not_take_the_findings_from_the_others() -> None:
    go = asyncio.Event()

    async def ask() -> Outcome:
        await go.wait()
        return Outcome(H, "fine")

    service = Health([Check("database", ask)], "1")
    leaving, staying = (asyncio.create_task(service.findings()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    go.set()
    [found] = await staying
    assert found.status is H
    assert leaving.cancelled()


async def test_what_hangs_is_unhealthy_in_bounded_time_even_if_it_cannot_be_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert health.CHECK_SECONDS <= 2.0
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    ended = asyncio.Event()

    async def hang() -> Outcome:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def cling() -> Outcome:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await ended.wait()
        raise OSError("late")

    fine, _ = check("database")
    started = time.perf_counter()
    found = await Health([fine, Check("redis", hang), Check("bitcoin_node", cling)], "1").findings()
    assert time.perf_counter() - started < 1.0
    assert [one.status for one in found] == [H, U, U]
    assert "no answer within" in found[2].detail
    ended.set()
    await asyncio.sleep(0)


async def test_a_check_that_is_cancelled_from_within_does_not_take_the_others_with_it() -> None:
    async def cancelled() -> Outcome:
        raise asyncio.CancelledError

    fine, _ = check("database")
    found = await Health([fine, Check("redis", cancelled)], "1").findings()
    assert [one.status for one in found] == [H, U]
