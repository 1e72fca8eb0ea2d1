"""The metrics of a running load test, and the file by which Prometheus finds them while it lasts."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from prometheus_client import Metric

    from loadtests.tally import Tally

LOOPBACK: Final = "127.0.0.1"
# Seconds; 0.02 is what the objective of latency allows.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PREFIX: Final = "loadtest-"


class Exported(Collector):
    """What is counted, as Prometheus has it: read from the tally when somebody asks."""

    def __init__(self, tally: Tally, users: Callable[[], Mapping[str, int]], target: Callable[[], int]) -> None:
        self.tally = tally
        self.users = users
        self.target = target

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield self._requests()
        yield self._durations()
        users = GaugeMetricFamily("loadtest_users", "Users of a load test that run.", labels=["user"])
        for user, number in self.users().items():
            users.add_metric([user], number)
        yield users
        yield GaugeMetricFamily("loadtest_target_users", "Users that the shape asks for now.", value=self.target())

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "loadtest_requests", "Requests of a load test, by how they ended.", labels=["user", "name", "outcome"]
        )
        for labels, number in self.tally.requests.items():
            family.add_metric(labels, number)
        return family

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "loadtest_request_duration_seconds", "What a load test's requests took, as users saw it.", labels=["user"]
        )
        for user in self.tally.users:
            times = self.tally.times(user=user)
            ends: Sequence[tuple[str, float]] = [(str(end), times.within(end)) for end in BUCKETS]
            family.add_metric([user], [*ends, ("+Inf", times.number)], sum_value=times.seconds)
        return family


@contextmanager
def served(exported: Exported) -> Iterator[int]:
    """Answer Prometheus on a free port of the loopback address, and return the port."""
    registry = CollectorRegistry()
    registry.register(exported)
    server, thread = start_http_server(0, addr=LOOPBACK, registry=registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def announced(exported: Exported, directory: Path, labels: Mapping[str, str]) -> Iterator[None]:
    """Let Prometheus scrape this process for the time of a `with`."""
    with served(exported) as port:
        path = announce(directory, port, labels)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def announce(directory: Path, port: int, labels: Mapping[str, str]) -> Path:
    """Write the file by which Prometheus finds this process, and take away those of processes that are gone."""
    forget_stale(directory)
    path = _file(directory, os.getpid())
    own = {**labels, "instance": "loadtest", "job": "loadtest"}
    text = json.dumps([{"targets": [f"{LOOPBACK}:{port}"], "labels": own}], indent=2)
    # Prometheus reads every *.json as soon as it is there: it must never see a part.
    fresh = path.with_suffix(".new")
    fresh.write_text(text + "\n", encoding="utf-8")
    fresh.replace(path)
    return path


def forget(directory: Path, pid: int) -> None:
    """Take away the file of a process; none is no error."""
    _file(directory, pid).unlink(missing_ok=True)


def forget_stale(directory: Path) -> None:
    """Take away the files of tests that were killed, and could not do it themselves."""
    for path in directory.glob(f"{PREFIX}*"):
        number = path.stem.removeprefix(PREFIX)
        if number.isdecimal() and not _lives(int(number)):
            path.unlink(missing_ok=True)


def _file(directory: Path, pid: int) -> Path:
    return directory / f"{PREFIX}{pid}.json"


def _lives(pid: int) -> bool:
    with suppress(PermissionError):  # somebody else's, so it lives
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True
