"""The operations page as a process, started as a person starts it."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

from tests.runbooks.operations.stack import free_port, wait
from tests.support.processes import Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 30.0
# What the page promises, whatever is away.
PAGE_SECONDS = 5.0


@dataclass(frozen=True)
class Served:
    """A page's URL, its process, and where it keeps its own."""

    url: str
    home: Path
    running: Running

    @property
    def directory(self) -> Path:
        return self.home / "local" / "operations"

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return httpx2.get(f"{self.url}{path}", headers=headers, trust_env=False, timeout=90)

    def post(self, body: Any) -> httpx2.Response:  # noqa: ANN401 - JSON
        return httpx2.post(f"{self.url}/alerts", json=body, trust_env=False, timeout=15)

    def delivered(self) -> list[dict[str, Any]]:
        """What was delivered, the newest first."""
        found: list[dict[str, Any]] = [each["payload"] for each in self.get("/deliveries.json?count=1000").json()]
        return found

    def wait_for(self, alert: str, status: str) -> dict[str, Any]:
        """Return the last delivery about an alert as soon as it says so."""

        def last() -> tuple[dict[str, Any], str]:
            about = [(each, one) for each in self.delivered() for one in each["alerts"]]
            named = ((each, one["status"]) for each, one in about if one["labels"]["alertname"] == alert)
            return next(named, ({}, ""))

        wait(lambda: last()[1] == status, within=30, what=f"{alert} {status} delivered")
        return last()[0]


@contextmanager
def served(home: Path, document: Path, port: int | None = None) -> Iterator[Served]:
    """Run `simplicity operations serve` until SIGTERM, which has to end it."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ("operations", "serve", "--listen", f"127.0.0.1:{port}", "--environment", str(document))
    environment = {"SIMPLICITY_HOME": str(home), "PATH": os.environ["PATH"]}
    log = home.parent / f"operations-{port}.log"
    made = Served(url, home, Running(arguments, environment, log))
    try:
        made.running.wait_for("Application startup complete.", within=START_SECONDS)
        wait(lambda: _answers(made), within=START_SECONDS, what=log.read_text())
        yield made
    finally:
        made.running.process.send_signal(signal.SIGTERM)
        assert made.running.process.wait(10) in {0, -signal.SIGTERM}, log.read_text()


def _answers(made: Served) -> bool:
    try:
        return made.get("/health").is_success
    except httpx2.HTTPError:
        return False
