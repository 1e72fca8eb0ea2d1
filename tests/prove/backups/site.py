"""A throw-away envelope for the proofs, driven by the commands that operators use."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from infra.environment import load
from infra.local.supervisor import Supervisor
from runbooks.backup.place import Backups
from tests.support.envelope import Throwaway, own_ports

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from infra.environment import Environment


class Site(Throwaway):
    """One envelope; a command that fails is an error of the proof unless it is asked for."""

    def done(self, *arguments: str, within: float = 900) -> dict[str, Any]:
        """Run a command with --json to its end and return what it prints."""
        found = self.run(*arguments, "--json", timeout=within)
        assert found.returncode == 0, f"simplicity {' '.join(arguments)}: {found.stdout[-2000:]}{found.stderr[-4000:]}"
        answer: dict[str, Any] = json.loads(found.stdout)
        return answer

    @property
    def environment(self) -> Environment:
        return load(self.layout.environment)

    @property
    def backups(self) -> Backups:
        return Backups(self.environment)

    @property
    def env_file(self) -> Path:
        return self.layout.env_file

    def get(self, path: str) -> dict[str, Any]:
        answer = httpx2.get(f"{self.environment.endpoints.api}{path}", timeout=10, trust_env=False)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def tip(self) -> int:
        return int(self.get("/v1/indexer/brc20/status")["last_indexed_block_main_chain"])

    def reaches(self, height: int, *, within: float) -> None:
        """Wait until a block of this height is indexed."""
        self.until(lambda: self.tip() >= height, f"block {height} indexed", within=within)

    def until(self, happens: Callable[[], bool], what: str, *, within: float) -> None:
        deadline = time.monotonic() + within
        while not happens():
            assert time.monotonic() < deadline, f"not within {within} s: {what}"
            time.sleep(0.1)

    def key(self, name: str) -> str:
        """Make an API key, as something of `ops` that a backup has to bring back; return its id."""
        made = self.done("auth", "keys", "create", f"--name={name}", "--role=reader", f"--env-file={self.env_file}")
        return str(made["key"]).split("_")[1]

    def anchored(self) -> None:
        """Wait until the trail's copy has all of it."""
        self.until(self._is_anchored, "the trail copied", within=30)

    def _is_anchored(self) -> bool:
        metrics = httpx2.get(self.agent, timeout=5, trust_env=False).text
        entries, anchored = (_metric(metrics, f"simplicity_audit_{name}") for name in ("entries", "anchored_entries"))
        return entries == anchored > 0

    @property
    def agent(self) -> str:
        return f"http://127.0.0.1:{json.loads(self.layout.ports.read_text())['backup_metrics']}/metrics"

    def lose_the_database(self) -> None:
        """What a disk that burned leaves: no server, no files of it, nothing that could write them again."""
        supervisor, those = Supervisor(self.layout), ("traffic", "api-1", "api-2", "sync", "backup", "postgresql")
        for name in those:
            supervisor.stop(name)
        self.until(lambda: not any(supervisor.states()[name].pid for name in those), "the services stopped", within=60)
        shutil.rmtree(self.layout.data / "postgresql")


def _metric(text: str, name: str) -> float:
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


@contextmanager
def site(*arguments: str) -> Iterator[Site]:
    """Bring an envelope up for the time of a `with`; nothing of it is left."""
    home = Path(tempfile.mkdtemp(prefix="simplicity-prove-"))
    made = Site(home, settings=own_ports())
    try:
        made.up(*arguments)
        yield made
    finally:
        made.run("down")
        shutil.rmtree(home, ignore_errors=True)


def failed(found: subprocess.CompletedProcess[str]) -> str:
    """Return the line by which a command refused."""
    return next((line for line in reversed(found.stderr.splitlines()) if "FAILED" in line), found.stderr[-300:])
