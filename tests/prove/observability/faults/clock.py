"""A process of ours with a wrong clock: libfaketime before its C library. The machine's own clock is everybody's."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2

from infra.local.layout import layout
from infra.local.tools import locate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.prove.observability.stage import Stage

COMPONENT = "api-2"
AHEAD = "+300s"


def library() -> Path:
    """Return libfaketime; fetched where the system has none."""
    unpacked = locate("faketime", layout().tools).parent
    return next(path for path in unpacked.rglob("libfaketime.so.1"))


@contextmanager
def wrong_clock(stage: Stage) -> Iterator[None]:
    """One API process is five minutes ahead."""
    process = stage.process(COMPONENT)
    command, directory = process.cmdline(), process.cwd()
    disguise = {"LD_PRELOAD": str(library()), "FAKETIME": AHEAD, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    environment = process.environ() | disguise
    url = stage.environment.endpoints.api_instances[1]
    supervisor = stage.supervisor_client()
    supervisor.stop(COMPONENT)
    stage.until(lambda: not stage.pids()[COMPONENT], f"{COMPONENT} gone", within=60)
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=directory, env=environment, **pipes) as disguised:  # type: ignore[call-overload] # the same type thrice
        try:
            stage.until(lambda: _answers(f"{url}/health"), f"{COMPONENT} with a wrong clock", within=30)
            yield
        finally:
            disguised.kill()
            disguised.wait(30)
            supervisor.start(COMPONENT)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2, trust_env=False).is_success
    except httpx2.HTTPError:
        return False
