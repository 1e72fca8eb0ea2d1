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
    # The first block has just made the processes ready: the balancer sees each at its next look.
    envelope.wait(lambda: health(envelope)[0] == 0, within=10)
    code, answer, seconds = health(envelope)
    ill = [each for name, each in answer.items() if name and each["status"] != "healthy"]
    assert (code, answer[""]["status"]) == (0, "healthy"), ill
    assert seconds < 5
    assert set(answer) == {"", "database", "cache", "node", "sync", "api", "balancer", "prometheus", "alerting"}
    assert answer["node"]["facts"]["chain"] == "regtest"


@pytest.mark.parametrize(
    ("component", "seen_as"),
    [
        ("postgresql", "database"),
        ("bitcoin-node", "node"),
        ("sync", "sync"),
        ("valkey", "cache"),
        ("haproxy", "balancer"),
        ("haproxy", "api"),
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


def test_one_process_of_the_api_that_hangs_is_found_by_the_balancer_and_the_other_serves_on(
    envelope: Throwaway,
) -> None:
    with stopped(envelope.pids()["api-1"]):
        envelope.wait(lambda: "away: api-1" in health(envelope)[1]["balancer"]["detail"], within=10)
        code, answer, seconds = health(envelope)
    assert code == 1
    assert seconds < 5
    assert (answer["api"]["status"], answer["balancer"]["status"]) == ("degraded", "degraded")
    assert answer["api"]["detail"].startswith("serves tip ")


def test_a_component_that_is_down_is_unhealthy_with_a_hint(envelope: Throwaway) -> None:
    os.kill(envelope.supervisor(), signal.SIGKILL)
    for process in [p for p in map(psutil.Process, envelope.processes()) if "api" in p.cmdline()]:
        process.kill()
    code, answer, seconds = health(envelope)
    assert (code, answer["api"]["status"]) == (1, "unhealthy")
    assert seconds < 5
    assert "simplicity up" in answer["api"]["hint"]


def test_a_missing_environment_or_an_unknown_component_is_a_usage_error(envelope: Throwaway) -> None:
    missing = envelope.run("maintenance", "health", "--environment", "/nowhere.json")
    assert missing.returncode == 2
    assert "no environment here" in missing.stderr
    unknown = envelope.run("maintenance", "health", "--component", "moon")
    assert unknown.returncode == 2
    assert "local has no component 'moon'" in unknown.stderr
    assert envelope.run("maintenance", "health", "--component", "node").returncode == 0
