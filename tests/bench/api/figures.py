"""Loads applied, and what came of them in figures."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from tests.bench.api.load import Answered, Failed
from tests.bench.progress import Progress
from tests.bench.runner import LOG_LINES, ROOT, StageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.api.load import Load
    from tests.bench.task import Figures


def begin(load: Load) -> subprocess.Popen[bytes]:
    """Start a client with this load."""
    command = [sys.executable, "-m", "tests.bench.api.client"]
    client = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, bufsize=0
    )
    assert client.stdin is not None
    with client.stdin as stdin:
        stdin.write(msgspec.json.encode(load))
    client.stdin = None
    return client


def finish(client: subprocess.Popen[bytes], what: str) -> Answered:
    """Wait for a client's figures. Raises StageError with its last words where it has none."""
    try:
        said, errors = client.communicate()
    finally:
        client.kill()
        client.wait()
    if client.returncode:
        last = errors.decode(errors="replace").splitlines()[-LOG_LINES:]
        raise StageError("\n".join([f"{what}: ended with exit code {client.returncode}", *last]))
    return msgspec.json.decode(said, type=Answered)


def ask(load: Load, what: str) -> Answered:
    """Apply a load and return what it brought."""
    with Progress(what, 1):
        return finish(begin(load), what)


def summary(answered: Answered) -> Figures:
    """Return what counts of a load: speed, times in seconds, how requests ended, CPU seconds."""
    times = sorted(answer.seconds for answer in answered.answers)
    statuses = Counter(answer.status for answer in answered.answers)
    good = statuses[HTTPStatus.OK]
    return {
        "requests": len(times),
        "seconds": answered.seconds,
        "rate": good / answered.seconds,
        "p50": quantile(times, 0.5),
        "p95": quantile(times, 0.95),
        "p99": quantile(times, 0.99),
        "worst": times[-1] if times else 0.0,
        "errors": len(times) - good,
        "statuses": {_name(status): count for status, count in sorted(statuses.items())},
        "idle_drops": answered.idle_drops,
        "bytes": sum(answer.size for answer in answered.answers) / max(len(times), 1),
        "cpu": answered.cpu,
        "elsewhere": answered.elsewhere,
    }


def quantile(ordered: Sequence[float], part: float) -> float:
    """Return the value that this part of all does not exceed, 0 where there are none."""
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)] if ordered else 0.0


def cpu_each(figures: Figures) -> float:
    """Return the server's CPU seconds a request: what a noisy neighbour changes least."""
    return float(figures["cpu"]["server"] / max(figures["requests"], 1))


def _name(status: int) -> str:
    return Failed(status).name.lower() if status in set(Failed) else str(status)
