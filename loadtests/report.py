"""The report of a load test: one JSON object, and the same as a page that needs nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from loadtests.answers import FAILED, Outcome
from loadtests.errors import LoadtestError

if TYPE_CHECKING:
    from pathlib import Path

    from loadtests.driver import Result
    from loadtests.plan import Plan
    from loadtests.tally import Tally, Times
    from loadtests.target import Target
    from loadtests.thresholds import Verdict

VERSION: Final = 1
MANY_UNASKED: Final = 0.01  # for each request: from so many on a reader has to know
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "longest": 1.0}


@dataclass(frozen=True, slots=True)
class Files:
    """Where a report lies."""

    page: Path
    data: Path


def document(plan: Plan, target: Target, result: Result, verdict: Verdict) -> dict[str, Any]:
    """Return the report as JSON has it; times are in seconds. No key and no address of the sample is in it."""
    course, work = plan.course, plan.work
    if course is None or work is None:
        raise ValueError("a plan without course and work")
    return {
        "version": VERSION,
        "shape": course.shape.value,
        "users": course.users,
        "planned_seconds": course.seconds,
        "seconds": round(result.seconds, 3),
        "begun": result.begun.isoformat(timespec="seconds"),
        "ended": result.ended.isoformat(timespec="seconds"),
        "interrupted": result.early,
        "host": target.host,
        "environment": target.name,
        "seed": work.seed,
        "think": work.think,
        "workers": plan.workers,
        "verdict": verdict.as_dict(),
        "problems": list(verdict.void),
        "notes": _notes(result),
        "total": _figures(result.tally, result.tally.times(), seconds=result.seconds),
        "unasked": result.tally.unasked.total(),
        "routes": [_route(result, route) for route in result.tally.routes],
        "by_user": [_user(result, user) for user in result.tally.users],
        "failures": [
            {"route": route, "reason": reason, "count": count}
            for (route, reason), count in result.tally.reasons.most_common()
        ],
        "points": [asdict(point) for point in result.points],
    }


def write(directory: Path, report: dict[str, Any]) -> Files:
    """Write report.json and report.html. Raises LoadtestError where the directory cannot be written to."""
    from loadtests.page import page  # noqa: PLC0415 - it knows this module's shape

    files = Files(directory / "report.html", directory / "report.json")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        files.data.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        files.page.write_text(page(report), encoding="utf-8")
    except OSError as error:
        raise LoadtestError(f"{directory}: the report cannot be written ({error.strerror}); give --out") from None
    return files


def _route(result: Result, route: str) -> dict[str, Any]:
    times = result.tally.times(route=lambda each: each == route)
    return {"route": route, **_figures(result.tally, times, seconds=result.seconds, route=route)}


def _user(result: Result, user: str) -> dict[str, Any]:
    times = result.tally.times(user=user)
    return {"user": user, **_figures(result.tally, times, seconds=result.seconds, user=user)}


def _figures(tally: Tally, times: Times, *, seconds: float, **only: str) -> dict[str, Any]:
    requests = tally.count(**only)
    return {
        "requests": requests,
        "per_second": round(requests / seconds, 2) if seconds else 0.0,
        "failed": tally.count(*FAILED, **only),
        "limited": tally.count(Outcome.LIMITED, **only),
        **{name: times.quantile(share) for name, share in QUANTILES.items()},
    }


def _notes(result: Result) -> list[str]:
    notes = []
    if result.early:
        notes.append("it was ended early: what is here is of the time until then")
    if result.busy:
        notes.append(
            "the load's own machine was busy: times are longer than they were; use --workers, or another machine"
        )
    unasked = result.tally.unasked.total()
    if unasked > result.tally.count() * MANY_UNASKED:
        notes.append(
            f"{unasked} questions were not asked while users waited for answers: the objectives count them as having"
            " waited too, tables and charts do not"
        )
    return notes
