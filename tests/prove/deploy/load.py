"""Clients that ask at a fixed rate, never try anything twice, and write down which release answered.

    python -m tests.prove.deploy.load URL AUTHORITY OUT --rate 200 [--seconds 60]

Each keeps a connection, asks when its turn has come and counts from then: a server that stands still makes all of them
late, and is not asked less. A connection that the server has announced to close is opened anew; one that breaks under a
request is a failure. Ends at SIGTERM, and writes what it saw to OUT.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import ssl
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import Annotated
from urllib.parse import urlsplit

import typer

CLIENTS = 40
PATIENCE = 10.0  # seconds that a client waits for an answer
SOME_FAILURES = 20
LIMITS, FIRST_HEIGHT, HEIGHTS = 100, 102, 150


@dataclass
class Seen:
    """What became of the requests; moments are seconds since 1970, latencies seconds."""

    began: float = field(default_factory=time.time)
    releases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)
    answered: Counter[int] = field(default_factory=Counter)  # by second since `began`
    last: dict[str, float] = field(default_factory=dict)  # when a release was heard of last

    def good(self, release: str, status: int, latency: float) -> None:
        now = time.time()
        self.releases[release] += 1
        self.last[release] = now
        self.statuses[str(status)] += 1
        self.latencies.append(latency)
        self.answered[int(now - self.began)] += 1

    def bad(self, reason: str) -> None:
        self.failures.append((time.time(), reason))

    def as_dict(self) -> dict[str, object]:
        ordered = sorted(self.latencies)
        quantile = {
            name: round(ordered[int(len(ordered) * share)], 4) if ordered else None
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }
        return {
            "began": self.began,
            "ended": time.time(),
            "requests": len(ordered) + len(self.failures),
            "failed": len(self.failures),
            "releases": dict(self.releases),
            "last": self.last,
            "statuses": dict(self.statuses),
            "latency": quantile,
            "failures": [[round(at - self.began, 2), why] for at, why in self.failures[:SOME_FAILURES]],
            "failed_at": sorted({round(at, 1) for at, _ in self.failures}),
            "answered": [self.answered[second] for second in range(int(time.time() - self.began) + 1)],
        }


def main(
    url: Annotated[str, typer.Argument(help="The API, https.")],
    authority: Annotated[Path, typer.Argument(help="Whose certificates are trusted.")],
    out: Annotated[Path, typer.Argument(help="Where what was seen is written, as JSON.")],
    rate: Annotated[float, typer.Option(help="Requests a second, of all clients together.")] = 200,
    seconds: Annotated[float, typer.Option(help="The longest time.")] = 1200,
) -> None:
    """Ask until SIGTERM."""
    seen = Seen()
    asyncio.run(_all(url, authority, rate, seconds, seen))
    fresh = out.with_suffix(".new")
    fresh.write_text(json.dumps(seen.as_dict()) + "\n", encoding="utf-8")
    fresh.replace(out)


async def _all(url: str, authority: Path, rate: float, seconds: float, seen: Seen) -> None:
    context = ssl.create_default_context(cafile=str(authority))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ends = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            client = _Client(url, context, seen, random.Random(number))
            group.create_task(client.go_on(CLIENTS / rate, number / rate, ends, stop))


class _Client:
    def __init__(self, url: str, context: ssl.SSLContext, seen: Seen, rng: random.Random) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._context, self._seen, self._rng = context, seen, rng
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def go_on(self, every: float, first: float, ends: float, stop: asyncio.Event) -> None:
        due = time.monotonic() + first
        while due < ends and not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await stop.wait()
                    break
            await self._ask(due)
            due += every
        self._close()

    async def _ask(self, due: float) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                status, headers, _ = await self._exchange(self._target())
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            self._close()
            self._seen.bad(f"{type(error).__name__}: {error}")
            return
        if headers.get("connection") == "close":
            self._close()
        if status >= 500:
            self._seen.bad(f"status {status}")
        else:
            self._seen.good(headers.get("x-release", "unknown"), status, time.monotonic() - due)

    async def _exchange(self, target: str) -> tuple[int, dict[str, str], bytes]:
        if self._streams is not None and self._streams[0].at_eof():
            self._close()  # the server closed it while nothing was asked: every client sees that before it asks
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._context)
        reader, writer = self._streams
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {self._host}\r\nAccept: application/json\r\n\r\n".encode())
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, body

    def _target(self) -> str:
        limit = self._rng.randrange(1, LIMITS)
        if self._rng.random() < 0.5:
            return f"/v1/indexer/brc20/list?limit={limit}"
        height = FIRST_HEIGHT + self._rng.randrange(HEIGHTS)
        return f"/v1/indexer/brc20/history-by-height/{height}?limit={limit}"

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


if __name__ == "__main__":
    typer.run(main)
