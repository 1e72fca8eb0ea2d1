"""A real process that is told to stop: it says so, serves on, lets its clients go politely, and ends within bounds."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import psycopg
import pytest

from tests.support.api import SOON
from tests.support.postgres import free_port
from tests.support.processes import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.api import Chain
    from tests.support.processes import Running

LIST = "/v1/indexer/brc20/list"


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A client that keeps its connection and never tries anything twice."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def send(self, target: str) -> None:
        self.writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    async def reply(self) -> Reply:
        async with asyncio.timeout(20):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Reply(int(first.split()[1]), headers, body)

    async def get(self, target: str) -> Reply:
        self.send(target)
        return await self.reply()

    async def ends(self, *, within: float = SOON) -> bytes:
        """What still comes until the server closes."""
        async with asyncio.timeout(within):
            return await self.reader.read()


async def get(port: int, target: str) -> Reply:
    """Ask on a connection of its own."""
    async with Connection(port) as connection:
        return await connection.get(target)


@dataclass
class Api:
    command: Running
    port: int

    def tell(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.command.process.send_signal(number)

    async def told(self) -> None:
        """Wait until it says that it is about to stop."""
        async with asyncio.timeout(SOON):
            while (await get(self.port, "/health/ready")).status != 503:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.01)

    async def ended(self, *, within: float) -> int:
        """Wait for its end; return its exit code."""
        begun = time.monotonic()
        code = await asyncio.to_thread(self.command.process.wait, within)
        assert time.monotonic() - begun < within
        return code

    def unwell(self) -> list[dict[str, Any]]:
        """What it said about errors; every line has to be one of JSON."""
        lines = [json.loads(line) for line in self.command.log.read_text().splitlines()]
        return [line for line in lines if line["level"] in {"ERROR", "CRITICAL"} or "exception" in line]


@asynccontextmanager
async def served(url: str, log: Path, **changes: str) -> AsyncIterator[Api]:
    port = free_port()
    given = {"DATABASE_URL": url, "BITCOIN_NETWORK": "regtest", "API_PORT": str(port), "API_RATE_LIMITS": ""}
    with running("api", environment=given | changes, log=log / "api.log") as command:
        command.wait_for("listening", within=30)
        api = Api(command, port)
        async with asyncio.timeout(30):
            while (await get(port, "/health/ready")).status != 200:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.02)
        yield api


async def test_a_process_that_is_told_to_stop_serves_on_and_lets_everybody_go(chain: Chain, tmp_path: Path) -> None:
    async with served(chain.url, tmp_path, API_DRAIN_SECONDS="1.5") as api, Connection(api.port) as idle:
        async with Connection(api.port) as kept, Connection(api.port) as listening:
            assert (await kept.get(LIST)).headers.get("connection") is None
            assert (await idle.get(LIST)).status == 200
            listening.send("/v1/indexer/events")
            await listening.reader.readuntil(b"event: tip")
            begun = time.monotonic()
            api.tell()
            await api.told()
            # A balancer that still sends requests finds them answered, and learns that the connection ends.
            reply = await kept.get(LIST)
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert await kept.ends(within=0.5) == b""
            # So do new connections; and it says why it is not ready, and that it lives.
            for target, status in ((LIST, 200), (f"{LIST}?limit=1", 200), ("/health", 200), ("/health/ready", 503)):
                reply = await get(api.port, target)
                assert (reply.status, reply.headers["connection"]) == (status, "close")
            assert "draining" in json.loads(reply.body)["detail"]
            # Streams end at once and whole, so that their clients go on elsewhere.
            rest = await listening.ends(within=1.0)
            assert rest.endswith(b"0\r\n\r\n")
            assert time.monotonic() - begun < 1.5, "all this was within the drain"
        # Who keeps an idle connection is let go at the end.
        assert await idle.ends() == b""
        assert await api.ended(within=SOON) == 0
        with pytest.raises(OSError, match="Connect"):
            await get(api.port, LIST)
        assert api.unwell() == []
        answered = [line for line in api.command.lines() if line["message"] == "request"]
        assert len([line for line in answered if line["endpoint"] == LIST]) == 5, "the last lines are not lost"


async def test_what_is_in_flight_at_the_end_is_finished(chain: Chain, tmp_path: Path) -> None:
    async with served(chain.url, tmp_path, API_DRAIN_SECONDS="0.3") as api, Connection(api.port) as waiting:
        with psycopg.connect(chain.url) as blocker:
            blocker.execute("LOCK TABLE index.deploys IN ACCESS EXCLUSIVE MODE")
            waiting.send(LIST)
            await asyncio.sleep(0.2)  # it is on its way to the database
            api.tell()
            await api.told()
            await asyncio.sleep(1)  # the drain is over, and new connections are refused
            with pytest.raises(OSError, match="Connect"):
                await get(api.port, LIST)
        reply = await waiting.reply()
        assert reply.status == 200
        assert json.loads(reply.body)
        assert await waiting.ends() == b""
        assert await api.ended(within=SOON) == 0
        assert api.unwell() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.proof)])
async def test_a_second_signal_ends_the_drain_at_once(chain: Chain, tmp_path: Path, number: signal.Signals) -> None:
    async with served(chain.url, tmp_path, API_DRAIN_SECONDS="60") as api, Connection(api.port) as listening:
        listening.send("/v1/indexer/events")
        await listening.reader.readuntil(b"event: tip")
        api.tell(number)
        await api.told()
        api.tell(number)
        assert await api.ended(within=3) == 0
        assert api.unwell() == []


@pytest.mark.proof
async def test_without_a_drain_it_ends_at_once(chain: Chain, tmp_path: Path) -> None:
    async with served(chain.url, tmp_path, API_DRAIN_SECONDS="0") as api, Connection(api.port) as listening:
        listening.send("/v1/indexer/events")
        await listening.reader.readuntil(b"event: tip")
        api.tell()
        assert await api.ended(within=3) == 0
        assert api.unwell() == []


# A supervisor may think better of it at any moment of a start; here the process tells itself, at the worst ones.
STOPS_ITSELF = """
import os, signal
import uvicorn
from indexer.api import server
from runbooks.cli import main

def told(original):
    def first(*given, **named):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*given, **named)
    return first

{place} = told({place})
main()
"""


@pytest.mark.parametrize("place", ["server._Draining.run", "uvicorn.Config.load"])
def test_a_process_that_is_told_to_stop_while_it_starts_does_stop(chain: Chain, place: str) -> None:
    given = {"DATABASE_URL": chain.url, "BITCOIN_NETWORK": "regtest", "API_PORT": "0", "API_DRAIN_SECONDS": "0.1"}
    done = subprocess.run(
        [sys.executable, "-c", STOPS_ITSELF.format(place=place), "api"],
        check=False,
        capture_output=True,
        text=True,
        timeout=8,
        env=os.environ | given,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in {0, -signal.SIGTERM}


@pytest.mark.proof
async def test_an_outage_of_the_database_keeps_no_process_from_ending(chain: Chain, tmp_path: Path) -> None:
    async with (
        served(chain.url, tmp_path, API_DRAIN_SECONDS="0.2", QUERY_TIMEOUT="1") as api,
        Connection(api.port) as waiting,
    ):
        with psycopg.connect(chain.url) as blocker:
            blocker.execute("LOCK TABLE index.deploys IN ACCESS EXCLUSIVE MODE")
            waiting.send(LIST)
            await asyncio.sleep(0.1)
            api.tell()
            reply = await waiting.reply()  # once the query has taken its time
            assert reply.status == 503
        assert await api.ended(within=SOON) == 0
