"""Prometheus and Alertmanager as they are, over an exporter of which a test says what it exports."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2

from alerts.alertmanager import Receivers, Webhook, configuration
from alerts.model import Scale
from infra.environment import Database, Endpoints, Environment, MetricSource
from infra.local.layout import layout
from infra.local.tools import locate
from tests.support.canned import Canned, canned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

START_SECONDS = 20.0
# What fires here is scraped, evaluated, grouped and delivered each second or two.
ALERT_SECONDS = 30.0
NOBODY = "http://127.0.0.1:9"
HOSTILE = "<script>alert('x')</script>"
RULES = {
    "groups": [
        {
            "name": "test",
            "rules": [
                {
                    "alert": "ApiDown",
                    "expr": "component_up == 0",
                    "labels": {"severity": "critical", "team": "api", "hostile": HOSTILE},
                    "annotations": {
                        "summary": f"{{{{ $labels.instance }}}} does not answer {HOSTILE}",
                        "description": "Clients get errors.",
                        "runbook_url": "http://127.0.0.1:8090/runbooks/answer-api-down",
                        "dashboard_url": "javascript:alert(1)",
                    },
                },
                {
                    "alert": "HighCpu",
                    "expr": "cpu_share > 0.9",
                    "labels": {"severity": "warning", "team": "platform"},
                    "annotations": {"summary": "busy", "description": "Slow."},
                },
                {"alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "none", "team": "platform"}},
            ],
        }
    ]
}


@dataclass
class Stack:
    """The servers' URLs, and the exporter: `say` what it exports."""

    prometheus: str
    alertmanager: str
    exporter: Canned
    processes: dict[str, subprocess.Popen[bytes]]

    def say(self, text: str) -> None:
        self.exporter.answers["/metrics"] = (200, text)

    def query(self, expr: str) -> list[Any]:
        answer = httpx2.get(f"{self.prometheus}/api/v1/query", params={"query": expr}, trust_env=False, timeout=5)
        found: list[Any] = answer.json()["data"]["result"]
        return found

    def wait_for(self, expr: str) -> None:
        """Wait until a query gives something."""
        wait(lambda: bool(self.query(expr)), within=ALERT_SECONDS, what=expr)

    def pause(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def environment(self, **endpoints: str) -> Environment:
        """An environment of which only these two are there."""
        given: dict[str, Any] = {
            "api": NOBODY,
            "sync_metrics": NOBODY,
            "node_rpc": NOBODY,
            "prometheus": self.prometheus,
            "alertmanager": self.alertmanager,
            "database": Database(host="127.0.0.1", port=9, name="d", writer_role="w", reader_role="r"),
        }
        given |= endpoints
        return Environment(
            name="here",
            place="local",
            network="regtest",
            start_height=102,
            endpoints=Endpoints(**given),
            hosts={},
            secrets={},
            metrics=MetricSource(kind="prometheus", url=given["prometheus"], labels={"cluster": "local"}),
            drivers={},
        )


def wait(happens: Callable[[], bool], *, within: float, what: str) -> None:
    deadline = time.monotonic() + within
    while not happens():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def stack(directory: Path, receiver: str, exported: str) -> Iterator[Stack]:
    """Run both; what fires is delivered to the URL `receiver`."""
    with ExitStack() as running, canned({"/metrics": (200, exported)}) as exporter:
        urls = {name: f"http://127.0.0.1:{free_port()}" for name in ("prometheus", "alertmanager")}
        alertmanager = directory / "alertmanager.yml"
        alertmanager.write_text(configuration(Receivers(webhook=Webhook(url=receiver)), scale=Scale(factor=1_440)))
        (directory / "rules.json").write_text(json.dumps(RULES))
        (directory / "prometheus.yml").write_text(_prometheus(exporter.url, urls["alertmanager"]))
        commands = {
            "alertmanager": [
                f"--config.file={alertmanager}",
                f"--storage.path={directory / 'alertmanager'}",
                f"--web.listen-address={urls['alertmanager'].removeprefix('http://')}",
                "--cluster.listen-address=",
            ],
            "prometheus": [
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'prometheus'}",
                f"--web.listen-address={urls['prometheus'].removeprefix('http://')}",
                # What fires before it knows of Alertmanager is else told a minute later.
                "--rules.alert.resend-delay=1s",
            ],
        }
        processes = {name: running.enter_context(_process(name, given, directory)) for name, given in commands.items()}
        for name, url in urls.items():
            wait(partial(_is_ready, url), within=START_SECONDS, what=(directory / f"{name}.log").read_text())
        yield Stack(urls["prometheus"], urls["alertmanager"], exporter, processes)


@contextmanager
def _process(name: str, arguments: Sequence[str], directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(locate(name, layout().tools)), *arguments, "--log.level=warn"]
    with (directory / f"{name}.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            # It may have been stopped by a test, and a stopped process does not end on SIGTERM.
            process.kill()


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/-/ready", trust_env=False, timeout=2).is_success
    except httpx2.HTTPError:
        return False


def _prometheus(exporter: str, alertmanager: str) -> str:
    def target(url: str, labels: dict[str, str]) -> list[dict[str, Any]]:
        return [{"targets": [url.removeprefix("http://")], "labels": labels}]

    return json.dumps(
        {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "rule_files": ["rules.json"],
            "alerting": {"alertmanagers": [{"static_configs": target(alertmanager, {})}]},
            "scrape_configs": [
                {
                    "job_name": "test",
                    "honor_labels": True,
                    "static_configs": target(exporter, {"cluster": "local", "place": "local"}),
                }
            ],
        }
    )
