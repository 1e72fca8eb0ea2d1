"""Health as balancers, operators and monitoring ask for it: documents as pure functions, and who collects the facts."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from indexer.telemetry.text import clean

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

DATABASE: Final = "database"  # the dependency without which nothing new can be told
CHECK_SECONDS: Final = 2.0  # that a check may take; all run together
SHARED_SECONDS: Final = 1.0  # for which whoever asks gets the same findings: asking often must not load what is asked

Document = dict[str, Any]


class Status(StrEnum):
    """How the service or one of its dependencies is."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    NOT_CONFIGURED = "not configured"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found; `detail` is one sentence without secrets."""

    status: Status
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """A dependency. `ask` raises where it does not answer; None: there is no setting for it.

    `breaker` tells the state of the dependency's breaker, None where it has none.
    """

    name: str
    ask: Callable[[], Awaitable[Outcome]] | None
    breaker: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """How a dependency is, and how long it took to say so."""

    name: str
    status: Status
    latency_ms: float | None
    detail: str
    breaker: str | None


@dataclass(frozen=True, slots=True)
class Serving:
    """What decides whether requests should be sent here.

    `stale_seconds` is for how long cached answers may still be given while the database is down, 0 if none are left.
    """

    draining: bool
    tip_known: bool
    database_answers: bool
    stale_seconds: float = 0.0


def alive(release: str | None = None) -> Document:
    """Return the document of /health: the process answers, whatever else is down, and of which release it is."""
    return {"status": "ok"} if release is None else {"status": "ok", "release": release}


def not_ready(serving: Serving) -> tuple[str, ...]:
    """Return why requests should not be sent here, nothing where they should."""
    reasons = []
    if serving.draining:
        reasons.append("draining: this process is about to stop")
    if not serving.tip_known:
        reasons.append("no tip: nothing is known of the index yet")
    elif not serving.database_answers and serving.stale_seconds <= 0:
        reasons.append("database: it does not answer, and what was cached is too old")
    return tuple(reasons)


def readiness(reasons: Sequence[str]) -> tuple[int, Document]:
    """Return status and document of /health/ready: `ready`, or a problem with its reasons."""
    if not reasons:
        return HTTPStatus.OK, {"status": "ready"}
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return status, {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": "; ".join(reasons),
        "reasons": list(reasons),
    }


def overall(findings: Sequence[Finding], *, stale_left: bool) -> Status:
    """Return how the service is: unhealthy only where neither the database nor the cache can answer."""
    worst = Status.HEALTHY
    for finding in findings:
        if finding.status in {Status.HEALTHY, Status.NOT_CONFIGURED}:
            continue
        if finding.name == DATABASE and finding.status is Status.UNHEALTHY and not stale_left:
            return Status.UNHEALTHY
        worst = Status.DEGRADED
    return worst


def detailed(findings: Sequence[Finding], *, stale_left: bool, release: str, now: datetime) -> tuple[int, Document]:
    """Return status and document of /health/detailed: plain words for monitoring, and beside them the details."""
    status = overall(findings, stale_left=stale_left)
    code = HTTPStatus.SERVICE_UNAVAILABLE if status is Status.UNHEALTHY else HTTPStatus.OK
    return code, {
        "status": status.value,
        "timestamp": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": release,
        "dependencies": {finding.name: finding.status.value for finding in findings},
        "details": {
            finding.name: {
                "status": finding.status.value,
                "latency_ms": finding.latency_ms,
                "detail": finding.detail,
                "breaker": finding.breaker,
            }
            for finding in findings
        },
    }


class Health:
    """Asks the dependencies, all at once and each within bounds; who asks meanwhile or right after shares the findings.

    `stale_left` tells whether cached answers may still be given while the database is down.
    """

    def __init__(self, checks: Sequence[Check], release: str, stale_left: Callable[[], bool] = lambda: False) -> None:
        self._checks = checks
        self._release = release
        self._stale_left = stale_left
        self._asking: asyncio.Task[tuple[Finding, ...]] | None = None
        self._fresh_until = 0.0

    async def detailed(self) -> tuple[int, Document]:
        """Return status and document of /health/detailed within CHECK_SECONDS and a little."""
        findings = await self.findings()
        return detailed(findings, stale_left=self._stale_left(), release=self._release, now=datetime.now(UTC))

    async def findings(self) -> tuple[Finding, ...]:
        """Return a finding for each dependency, at most SHARED_SECONDS old."""
        task = self._asking
        if task is None or (task.done() and time.monotonic() >= self._fresh_until):
            task = self._asking = asyncio.create_task(self._ask_all())
        # One who goes away must not take the findings from the others.
        return await asyncio.shield(task)

    async def _ask_all(self) -> tuple[Finding, ...]:
        try:
            return tuple(await asyncio.gather(*map(_examine, self._checks)))
        finally:
            self._fresh_until = time.monotonic() + SHARED_SECONDS


async def _examine(check: Check) -> Finding:
    if check.ask is None:
        return Finding(check.name, Status.NOT_CONFIGURED, None, "no setting for it", None)
    started = time.perf_counter()
    outcome = await _bounded(check.ask)
    latency = round((time.perf_counter() - started) * 1000, 1)
    breaker = check.breaker() if check.breaker else None
    return Finding(check.name, outcome.status, latency, clean(outcome.detail), breaker)


async def _bounded(ask: Callable[[], Awaitable[Outcome]]) -> Outcome:
    # Not wait_for: that waits for as long as what was cancelled takes to end, and a broken connection may take long.
    task = asyncio.ensure_future(ask())
    done, _ = await asyncio.wait({task}, timeout=CHECK_SECONDS)
    if not done:
        task.cancel()
        task.add_done_callback(_forget)
        return Outcome(Status.UNHEALTHY, f"no answer within {CHECK_SECONDS:g} s")
    if task.cancelled():
        return Outcome(Status.UNHEALTHY, "the check was ended")
    error = task.exception()
    if error is not None:
        lines = str(error).strip().splitlines()
        return Outcome(Status.UNHEALTHY, lines[0] if lines else type(error).__name__)
    return task.result()


def _forget(task: asyncio.Future[Outcome]) -> None:
    if not task.cancelled():
        task.exception()
