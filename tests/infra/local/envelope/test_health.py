"""`simplicity maintenance health` on a real envelope."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.envelope import Throwaway

pytestmark = pytest.mark.xdist_group("envelope")


def health(envelope: Throwaway) -> tuple[int, dict[str, Any], float]:
    began = time.monotonic()
    done = envelope.run("maintenance", "health", "--json", "--detailed")
    seconds = time.monotonic() - began
    answer = json.loads(done.stdout)
    return done.returncode, {c["component"]: c for c in answer["components"]} | {"": answer}, seconds


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process and its children that hang: they keep their sockets and answer nothing."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


def test_all_components_are_healthy(envelope: Throwaway) -> None:
    code, answer, seconds = health(envelope)
    assert (code, answer[""]["status"]) == (0, "healthy"), answer
    assert seconds < 5
    assert set(answer) == {"", "database", "node", "sync", "api", "prometheus"}
    assert answer["node"]["facts"]["chain"] == "regtest"


@pytest.mark.parametrize(
    ("component", "seen_as"),
    [
        ("postgresql", "database"),
        ("bitcoin-node", "node"),
        ("sync", "sync"),
        ("api", "api"),
        ("prometheus", "prometheus"),
    ],
)
def test_a_component_that_hangs_is_unhealthy_within_5_seconds(
    envelope: Throwaway, component: str, seen_as: str
) -> None:
    with stopped(envelope.pids()[component]):
        code, answer, seconds = health(envelope)
    assert code == 1
    assert seconds < 5
    assert answer[seen_as]["status"] == "unhealthy"
    assert answer[seen_as]["hint"]


def test_a_component_that_is_down_is_unhealthy_with_a_hint(envelope: Throwaway) -> None:
    os.kill(envelope.supervisor(), signal.SIGKILL)
    os.kill(next(p.pid for p in map(psutil.Process, envelope.processes()) if "api" in p.cmdline()), signal.SIGKILL)
    code, answer, seconds = health(envelope)
    assert (code, answer["api"]["status"]) == (1, "unhealthy")
    assert seconds < 5
    assert "simplicity up" in answer["api"]["hint"]


def test_a_missing_environment_or_an_unknown_component_is_a_usage_error(envelope: Throwaway) -> None:
    missing = envelope.run("maintenance", "health", "--environment", "/nowhere.json")
    assert missing.returncode == 2
    assert "no environment here" in missing.stderr
    unknown = envelope.run("maintenance", "health", "--component", "cache")
    assert unknown.returncode == 2
    assert "there is no component 'cache'" in unknown.stderr
    assert envelope.run("maintenance", "health", "--component", "node").returncode == 0
