"""What clients that never ask twice notice of a restart of the API: nothing."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
import pytest

from infra import environment as document
from infra.local.components.api import INSTANCES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.envelope import Throwaway

pytestmark = [pytest.mark.xdist_group("envelope"), pytest.mark.proof]

KEPT, FRESH = 6, 4  # clients that keep their connection, and that open one for each request
# Else the balancer would answer most of it alone.
PAST_CACHES = {"Cache-Control": "no-cache"}
PATHS = (
    "/v1/indexer/brc20/list?limit=5",
    "/v1/indexer/brc20/status",
    "/v1/indexer/brc20/history-by-height/{height}",
)


@dataclass
class Load:
    """Clients that ask one after the other, each request once; `failed` says what went wrong with which."""

    address: str
    asked: int = 0
    failed: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self, number: int) -> None:
        connection = self._connect()
        height = 102
        while not self.over.wait(0.01):
            height = height + 1 if height < 110 else 102
            path = PATHS[self.asked % len(PATHS)].format(height=height)
            self.asked += 1
            try:
                connection.request("GET", path, headers=PAST_CACHES)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != http.client.OK:
                    self.failed.append(f"{path}: {answer.status} {body[:200]!r}")
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{path}: {error!r}")
                connection.close()
            if number >= KEPT:
                connection.close()
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=20)


@contextmanager
def load(address: str) -> Iterator[Load]:
    made = Load(address)
    threads = [threading.Thread(target=made.run, args=(number,)) for number in range(KEPT + FRESH)]
    with ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(made.over.set)
        deadline = time.monotonic() + 10
        while made.asked < 100:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield made
        time.sleep(1)  # what a request that hangs comes to


@dataclass
class Stream:
    """A client of the event stream that comes back with the last id it saw, as browsers do."""

    address: str
    began: int = 0
    last: str = ""
    heights: list[int] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.over.is_set():
            connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=20)
            seen = {"Last-Event-ID": self.last} if self.last else {}
            connection.request("GET", "/v1/indexer/events", headers=seen)
            answer = connection.getresponse()
            self.began += 1
            if answer.status != http.client.OK:
                self.gaps.append(f"answered {answer.status}")
            event = ""
            while not self.over.is_set() and (line := answer.readline().decode().rstrip()) is not None:
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "id":
                    self.last = value
                elif name == "data":
                    self._take(event, json.loads(value)["height"])
                elif answer.isclosed():
                    break
            connection.close()
            self.over.wait(1)  # what the stream asks for by `retry:`

    def _take(self, event: str, height: int) -> None:
        if event == "reset" or (event == "block" and height != self.heights[-1] + 1):
            self.gaps.append(f"{event} {height} after {self.heights[-1]}")
        self.heights.append(height)


@contextmanager
def streaming(address: str) -> Iterator[Stream]:
    made = Stream(address)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        thread.join()


def retries(endpoints: document.Endpoints) -> int:
    """How many requests the balancer has asked a second time, by its own count."""
    assert endpoints.balancer_metrics is not None
    text = httpx2.get(endpoints.balancer_metrics, timeout=5).text
    return sum(int(n) for n in re.findall(r"^haproxy_server_retry_warnings_total\S+ (\d+)", text, re.MULTILINE))


def tell(capsys: pytest.CaptureFixture[str], clients: Load, again: int) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{clients.asked} requests, {len(clients.failed)} failed, {again} asked again\n")


def test_a_rolling_restart_of_the_api_fails_no_request(envelope: Throwaway, capsys: pytest.CaptureFixture[str]) -> None:
    endpoints = document.load(envelope.layout.environment).endpoints
    before, counted = envelope.pids(), retries(endpoints)
    with streaming(endpoints.api) as events, load(endpoints.api) as clients:
        for _ in range(2):
            done = envelope.run("restart", "api")
            assert done.returncode == 0, done.stdout + done.stderr
    after = envelope.pids()
    assert {name for name in after if after[name] != before[name]} == set(INSTANCES)
    tell(capsys, clients, retries(endpoints) - counted)
    assert clients.failed == []
    assert events.gaps == []
    assert events.began > 1, "it was on a process that stopped"
    assert len(events.heights) > 1


def test_a_killed_process_of_the_api_fails_no_read_but_those_whose_answer_was_on_its_way(
    envelope: Throwaway, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoints = document.load(envelope.layout.environment).endpoints
    counted = retries(endpoints)
    with load(endpoints.api) as clients:
        for instance in INSTANCES:
            os.kill(envelope.pids()[instance], signal.SIGKILL)
            time.sleep(0.5)
            envelope.wait(envelope.is_up, within=20)
    tell(capsys, clients, retries(endpoints) - counted)
    assert all("IncompleteRead" in failure for failure in clients.failed), clients.failed
    assert len(clients.failed) <= KEPT + FRESH
    assert retries(endpoints) > counted
