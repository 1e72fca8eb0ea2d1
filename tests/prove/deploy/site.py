"""A fleet of its own for the proofs, driven by the commands that operators use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.environment import load
from runbooks.deploy.acting import BALANCER_METRICS
from tests.support.envelope import SIMPLICITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from infra.environment import Environment

PREFIX, NETWORK = "prove", "10.89.0.0/24"
LOAD_STOPS_SECONDS = 60.0
LEFT = ("runs", "deploy", "releases")


@dataclass(frozen=True, slots=True)
class Site:
    """`home` becomes SIMPLICITY_HOME; images that hosts boot from stay there for the next time."""

    home: Path

    def run(self, *arguments: str, within: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        return subprocess.run(
            [str(SIMPLICITY), *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=within,
            env=self.settings,
        )

    def done(self, *arguments: str, within: float = 600) -> dict[str, Any]:
        """Run a command with --json that has to succeed, and return what it prints."""
        found = self.run(*arguments, "--json", within=within)
        assert found.returncode == 0, f"simplicity {' '.join(arguments)}: {_why(found.stdout) or found.stderr[-1500:]}"
        answer: dict[str, Any] = json.loads(found.stdout)
        return answer

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command, in a group of its own that can be killed as a whole."""
        return subprocess.Popen(
            [str(SIMPLICITY), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env=self.settings,
        )

    @property
    def settings(self) -> dict[str, str]:
        """The environment of commands: this site, and nothing that the caller's shell knows of another one."""
        own = {"SIMPLICITY_HOME": str(self.home), "SIMPLICITY_ENVIRONMENT": str(self.document)}
        return {name: value for name, value in os.environ.items() if not name.startswith("SIMPLICITY_")} | own

    @property
    def document(self) -> Path:
        return self.home / "fleet/run/environment.json"

    @property
    def environment(self) -> Environment:
        return load(self.document)

    @property
    def authority(self) -> Path:
        """Whose certificates the hosts have."""
        return self.home / "fleet/run/pki/ca.pem"

    def inside(self, *command: str) -> list[str]:
        """Return a command that runs in the fleet's network."""
        return ["nsenter", f"--net=/run/netns/{PREFIX}", *command]

    def get(self, path: str) -> Any:  # noqa: ANN401 - each path answers in its own shape
        """Ask the API as clients do."""
        url = f"{self.environment.endpoints.api}{path}"
        curl = ("curl", "--silent", "--show-error", "--fail", "--max-time", "10", "--cacert", str(self.authority), url)
        done = subprocess.run(self.inside(*curl), check=False, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"{path}: {done.stderr}"
        return json.loads(done.stdout)

    def balancer_metrics(self, address: str) -> str:
        """Return what a balancer has counted; "" where it does not say."""
        url = f"https://{address}:{BALANCER_METRICS}/metrics"
        command = self.inside("curl", "--silent", "--max-time", "5", "--cacert", str(self.authority), url)
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=20).stdout

    def ask(self, query: str) -> str:
        """Ask the fleet's Prometheus for one number."""
        words = ("curl", "--silent", "--fail", "--max-time", "10", "--cacert", str(self.authority), "--get")
        url = f"{self.environment.metrics.url}/api/v1/query"
        command = self.inside(*words, "--data-urlencode", f"query={query}", url)
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"Prometheus does not answer: {done.stderr}"
        found = json.loads(done.stdout)["data"]["result"]
        assert len(found) == 1, f"{query}: {len(found)} series"
        return str(found[0]["value"][1])

    def accepts(self, key: str) -> bool:
        """Say whether the API knows a key; one that it does not know is refused."""
        url = f"{self.environment.endpoints.api}/v1/indexer/brc20/status"
        words = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]
        words += ["--cacert", str(self.authority), "--header", "@-", url]
        done = subprocess.run(
            self.inside(*words), check=False, input=f"X-API-Key: {key}\n", capture_output=True, text=True, timeout=20
        )
        return done.stdout == "200"

    def ssh(self, host: str, *words: str) -> str:
        """Run a command on a host; return what it prints."""
        done = self.run("fleet", "ssh", host, "--", *words, within=120)
        assert done.returncode == 0, f"{host}: {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def until(self, happens: Callable[[], bool], what: str, *, within: float) -> float:
        """Wait for something, and return how many seconds it took."""
        began = time.monotonic()
        while not happens():
            assert time.monotonic() - began < within, f"not within {within} s: {what}"
            time.sleep(0.2)
        return time.monotonic() - began

    @contextmanager
    def load(self, out: Path, rate: float = 200) -> Iterator[dict[str, Any]]:
        """Let clients ask for the time of a `with`; what they saw is in the dictionary after it."""
        words = [sys.executable, "-m", "tests.prove.deploy.load", self.environment.endpoints.api]
        words += [str(self.authority), str(out), f"--rate={rate}"]
        clients = subprocess.Popen(self.inside(*words), env=self.settings, start_new_session=True)
        seen: dict[str, Any] = {}
        try:
            yield seen
        finally:
            clients.send_signal(signal.SIGTERM)
            try:
                clients.wait(LOAD_STOPS_SECONDS)
            finally:
                clients.kill()
        seen.update(json.loads(out.read_text(encoding="utf-8")))


@contextmanager
def fleet(home: Path) -> Iterator[Site]:
    """A fleet for the time of a `with`; nothing is left of it but the images."""
    site = Site(home)
    site.run("fleet", "down")  # what a killed proof has left, as are runs that this one would have to go on with
    for each in LEFT:
        shutil.rmtree(home / each, ignore_errors=True)
    try:
        began = site.run("fleet", "up", f"--prefix={PREFIX}", f"--network={NETWORK}", within=900)
        assert began.returncode == 0, began.stderr
        yield site
    finally:
        site.run("fleet", "down", within=300)


def _why(printed: str) -> str:
    """Return what a command says of its failure: it may print much else."""
    try:
        found = json.loads(printed)
    except ValueError:
        return ""
    return " ".join(str(found[word]) for word in ("failed", "why") if found.get(word))
