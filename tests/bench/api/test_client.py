from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from tests.bench.api.client import Run, plan
from tests.bench.api.figures import summary
from tests.bench.api.load import Failed, Group, Load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.bench.api.load import Answered

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


async def answer(_number: int, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


@asynccontextmanager
async def server(behave: Callable[[int, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """Serve on a port; `behave` gets each request's number, from 1 on."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                count += 1
                await behave(count, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def load(port: int, **changes: object) -> Answered:
    run = Run(replace(Load(port, [Group(["/a", "/b"])], seconds=0.2), **changes))
    answered = await run.execute()
    for connection in list(run.open):
        connection.transport.close()
    return answered


async def test_a_closed_loop_asks_again_as_soon_as_it_was_answered() -> None:
    async with server(answer) as port:
        figures = summary(await load(port, connections=3))
    assert figures["errors"] == 0
    assert figures["rate"] > 100
    assert figures["rate"] * figures["seconds"] == pytest.approx(figures["requests"])


async def test_a_load_of_a_number_of_requests_asks_that_many_each_address_in_turn() -> None:
    async with server(answer) as port:
        answered = await load(port, groups=[Group(["/a", "/b", "/c"], each_once=True)], count=3, samples=3)
    assert len(answered.answers) == 3


async def test_an_open_loop_counts_the_time_that_requests_waited_behind_a_stalled_one() -> None:
    async def stall_once(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 10:
            time.sleep(0.2)  # noqa: ASYNC251 - the whole server stalls, as a garbage collection makes it
        writer.write(OK)

    async with server(stall_once) as port:
        closed = summary(await load(port, connections=1, seconds=0.4))
    async with server(stall_once) as port:
        opened = summary(await load(port, connections=1, seconds=0.4, rate=200.0))
    assert closed["p95"] < 0.05  # one slow request among many fast ones
    assert opened["p95"] > 0.1  # all that were due meanwhile
    assert opened["requests"] == pytest.approx(80, abs=40)


async def test_connections_that_are_dropped_are_told_by_whether_something_was_asked_on_them() -> None:
    async def drop_every_fifth(number: int, writer: asyncio.StreamWriter) -> None:
        if number % 5 == 0:
            writer.transport.abort()
        writer.write(OK)
        if number % 5 == 3:
            await writer.drain()
            writer.transport.close()

    async with server(drop_every_fifth) as port:
        answered = await load(port, connections=4, rate=100.0)
    assert Failed.DROPPED in {each.status for each in answered.answers}
    assert answered.idle_drops > 0
    assert summary(answered)["statuses"]["dropped"] > 0


async def test_a_request_that_is_not_answered_in_time_has_failed() -> None:
    async def never(_number: int, _writer: asyncio.StreamWriter) -> None:
        pass

    async with server(never) as port:
        answered = await load(port, connections=1, rate=50.0, patience=0.1)
    assert {each.status for each in answered.answers} == {Failed.TIMED_OUT}


async def test_bodies_are_handed_back_with_the_address_that_was_asked() -> None:
    async with server(answer) as port:
        answered = await load(port, samples=2)
    assert len(answered.samples) == 2
    assert {sample.body for sample in answered.samples} == {"{}"}
    assert {sample.path for sample in answered.samples} <= {"/a", "/b"}


def test_popular_addresses_and_keys_are_asked_most_and_every_run_asks_the_same() -> None:
    paths, keys = [f"/{number}" for number in range(1_000)], [f"key{number}" for number in range(100)]
    groups = [Group(paths, share=0.5), Group(["/new"], share=0.5)]
    planned = plan(Load(1, groups, keys, count=10_000))
    assert planned == plan(Load(1, groups, keys, count=10_000))
    asked = [each.path for each in planned if each.group == 0]
    assert 4_000 < len(asked) < 6_000
    assert asked.count("/0") / len(asked) == pytest.approx(1 / 7.485, rel=0.2)  # the harmonic number of 1000
    assert 1.5 < asked.count("/0") / asked.count("/1") < 2.7
    first = sum(b"key0\r\n" in each.wire for each in planned)
    assert first / len(planned) == pytest.approx(1 / 5.187, rel=0.2)
