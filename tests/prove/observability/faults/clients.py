"""Clients: the load test's, and those that nobody wants."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2

from tests.prove.observability.faults.processes import repeated
from tests.support.envelope import SIMPLICITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.prove.observability.stage import Stage

IDLE = 200
LIST = "/v1/indexer/brc20/list"


def bursts(method: str, path: str, count: int, **how: Any) -> Callable[[Stage], None]:  # noqa: ANN401 - httpx2's parameters
    """Return the act of asking the same thing so many times."""

    def act(stage: Stage) -> None:
        with httpx2.Client(base_url=stage.environment.endpoints.api, timeout=10, trust_env=False) as client:
            for _ in range(count):
                with suppress(httpx2.HTTPError):
                    client.request(method, path, **how)

    return act


@contextmanager
def load(stage: Stage) -> Iterator[None]:
    """The load test's users ask the API."""
    command = [str(SIMPLICITY), "loadtest", "run", "steady", "--environment", str(stage.layout.environment)]
    command += ["--users", "30", "--time", "120s", "--out", str(stage.home / f"load-{time.time_ns()}")]
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **pipes)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@contextmanager
def token_spike(stage: Stage) -> Iterator[None]:
    """One client has tokens issued over and over."""
    made = stage.done("auth", "keys", "create", "--name=spike", "--role=reader", f"--env-file={stage.env_file}")
    act = bursts("POST", "/v1/auth/token", 20, headers={"X-API-Key": str(made["key"])})
    with repeated(act, every=0.2, threads=2)(stage):
        yield


@contextmanager
def few_errors(stage: Stage) -> Iterator[None]:
    """One answer of some thirty is an error: bulk lists are closed for maintenance, and somebody asks for them."""
    switch = ["api", "maintenance"]
    only = ["--message", "a proof", "--only", "bulk", f"--env-file={stage.env_file}"]
    done = stage.run(*switch, "on", *only)
    assert done.returncode == 0, done.stderr
    try:
        with repeated(bursts("GET", f"{LIST}/all", 1), every=3.0)(stage):
            yield
    finally:
        stage.run(*switch, "off", f"--env-file={stage.env_file}")


@contextmanager
def idle_clients(stage: Stage) -> Iterator[None]:
    """Clients connect to a process of the API and say nothing."""
    parts = urlsplit(stage.environment.endpoints.api_instances[0])
    with ExitStack() as held:
        for _ in range(IDLE):
            held.enter_context(socket.create_connection((str(parts.hostname), parts.port or 80), timeout=5))
        yield
