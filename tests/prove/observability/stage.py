"""The envelope that faults are put on: what Prometheus has seen of it, and what the receiver of alerts was given."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import psutil
import psycopg

from infra.local.components.postgresql import SUPERUSER
from infra.local.supervisor import Supervisor
from tests.prove.backups.site import Site
from tests.support.envelope import own_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

# So much shorter than real: three days become a minute and a half, and what holds for minutes holds for four seconds.
SCALE = 2880
STEP_SECONDS = 2.0  # as the envelope scrapes
ASK_SECONDS = 10.0
SMALL_DISK = 256 << 20
VISITS_A_SECOND = 8
VISITED = ("/v1/indexer/brc20/list", "/v1/indexer/brc20/status")


# One runbook at a time works on the backups: whoever makes one here waits for the other.
MAKING_A_BACKUP = threading.Lock()


class Sample(NamedTuple):
    """One value of a series now."""

    labels: dict[str, str]
    value: float


class Series(NamedTuple):
    """A series over a time: (seconds since 1970, value)."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


class Delivered(NamedTuple):
    """An alert as the receiver was given it."""

    at: float
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Stage(Site):
    """One envelope with scaled rules."""

    def ask(self, path: str, **parameters: str | float) -> Any:  # noqa: ANN401 - Prometheus' answers have many shapes
        """Ask Prometheus' API; raises AssertionError with what it said when it refuses."""
        url = f"{self.environment.endpoints.prometheus}/api/v1/{path}"
        answer = httpx2.get(url, params=parameters, timeout=ASK_SECONDS, trust_env=False)
        body = answer.json()
        assert body["status"] == "success", f"{parameters}: {body.get('error')}"
        return body["data"]

    def now(self, expr: str) -> list[Sample]:
        """Evaluate an expression now."""
        data = self.ask("query", query=expr)
        rows = [{"metric": {}, "value": data["result"]}] if data["resultType"] == "scalar" else data["result"]
        return [Sample(row["metric"], float(row["value"][1])) for row in rows]

    def over(self, expr: str, start: float, end: float) -> list[Series]:
        """Evaluate an expression over a time."""
        data = self.ask("query_range", query=expr, start=start, end=end, step=STEP_SECONDS)
        return [Series(row["metric"], [(at, float(value)) for at, value in row["values"]]) for row in data["result"]]

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now, as Prometheus sees it; Watchdog always does."""
        found = self.now('ALERTS{alertstate="firing"}')
        return {sample.labels["alertname"] for sample in found} - {"Watchdog"}

    @property
    def deliveries_file(self) -> Path:
        return self.layout.operations / "deliveries.jsonl"

    @property
    def refusal(self) -> Path:
        """While this file is there, the receiver refuses what it is sent."""
        return self.layout.operations / "refuse"

    def delivered(self, since: float) -> list[Delivered]:
        """Return what the receiver was given since then, in order."""
        found = []
        if not self.deliveries_file.exists():
            return []
        for line in self.deliveries_file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            at = datetime.fromisoformat(record["at"]).timestamp()
            if at >= since:
                found += [
                    Delivered(at, alert["status"], alert["labels"], alert["annotations"])
                    for alert in record["payload"]["alerts"]
                ]
        return found

    def inhibited(self) -> set[str]:
        """Return the names of the alerts that Alertmanager hides now because of worse ones."""
        url = f"{self.environment.endpoints.alertmanager}/api/v2/alerts"
        found = httpx2.get(url, timeout=ASK_SECONDS, trust_env=False).json()
        return {alert["labels"]["alertname"] for alert in found if alert["status"]["inhibitedBy"]}

    def first(self, alert: str, status: str, since: float) -> Delivered | None:
        """Return the first delivery of an alert with this status since then."""
        return next((d for d in self.delivered(since) if d.labels["alertname"] == alert and d.status == status), None)

    @property
    def repository(self) -> Path:
        """The directory of the backups."""
        return Path(urlsplit(self.environment.drivers["backup"].settings["repository"]).path)

    def superuser(self) -> psycopg.Connection[Any]:
        """Log in to the database as whoever may all."""
        where = self.environment.endpoints.database
        password = (self.layout.secrets / "superuser_password").read_text(encoding="ascii").strip()
        return psycopg.connect(
            host=where.host, port=where.port, dbname=where.name, user=SUPERUSER, password=password,
            autocommit=True, connect_timeout=5,
        )  # fmt: skip

    def supervisor_client(self) -> Supervisor:
        return Supervisor(self.layout)

    def process(self, component: str) -> psutil.Process:
        return psutil.Process(self.pids()[component])

    def tree(self, component: str) -> list[psutil.Process]:
        """Return a component's process and all below it, the first one first."""
        main = self.process(component)
        return [main, *main.children(recursive=True)]


class Visitors:
    """A few clients a second, as a healthy day has them: so that there are rates, and traffic for what guards by it."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(ASK_SECONDS)

    def _run(self) -> None:
        number = 0
        with httpx2.Client(base_url=self._api, timeout=5, trust_env=False) as client:
            while not self._over.wait(1 / VISITS_A_SECOND):
                number += 1
                # Half of the questions are new ones: nothing that is kept answers those.
                how = {"limit": number % 50 + 1} | ({"skip": number} if number % 2 else {})
                try:
                    client.get(VISITED[number // 2 % len(VISITED)], params=how)
                except httpx2.HTTPError:
                    continue  # a fault is being tried


@contextmanager
def stage() -> Iterator[Stage]:
    """Bring an envelope with scaled rules up for the time of a `with`, its backups on a small disk; nothing is left."""
    home = Path(tempfile.mkdtemp(prefix="simplicity-observed-"))
    made = Stage(home, settings=own_ports())
    disk = home / "small-disk"
    disk.mkdir()
    size = f"size={SMALL_DISK}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "small-disk", str(disk)], check=True, capture_output=True)  # noqa: S607 - the system's own
    try:
        made.up("--alert-scale", str(SCALE), "--rate", "0.5", "--backups", (disk / "backups").as_uri())
        yield made
    finally:
        made.run("down")
        subprocess.run(["umount", "--lazy", str(disk)], check=False, capture_output=True)  # noqa: S607 - as above
        shutil.rmtree(home, ignore_errors=True)
