"""The node as the API asks it: an answer, or one clear error within the time-out."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from indexer.bitcoin.rpc import NodeError, NodeUnauthorizedError, NodeUnavailableError, RpcError
from indexer.remote.node import Node, NodeTip
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

TIP = b'{"result":{"chain":"regtest","blocks":7,"headers":7,"bestblockhash":"00ff"},"error":null,"id":0}'
TIMEOUT = 0.2


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


class Wire:
    """A node's side of the wire: what it was sent, and how it answers."""

    def __init__(self, reply: Callable[[bytes], bytes | None]) -> None:
        self.reply = reply
        self.heads: list[bytes] = []
        self.port = 0
        self._handlers: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.heads.append(head)
                said = self.reply(head)
                if said is None:
                    await asyncio.Event().wait()
                    return
                writer.write(said)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def stop(self) -> None:
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)


@asynccontextmanager
async def wired(reply: Callable[[bytes], bytes | None]) -> AsyncIterator[Wire]:
    wire = Wire(reply)
    server = await asyncio.start_server(wire.handle, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        await wire.stop()
        await server.wait_closed()


@asynccontextmanager
async def node_at(port: int, **options: object) -> AsyncIterator[Node]:
    node = Node(f"http://127.0.0.1:{port}", **({"timeout": TIMEOUT} | options))  # type: ignore[arg-type]
    try:
        yield node
    finally:
        await node.close()


async def test_the_tip_is_read() -> None:
    async with wired(lambda _: answer(TIP)) as wire, node_at(wire.port, user="u", password="p") as node:
        assert await node.tip() == NodeTip(7, "00ff", "regtest")
        assert await node.tip() == NodeTip(7, "00ff", "regtest")
        assert b"Authorization: Basic dTpw\r\n" in wire.heads[0]


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    async with wired(lambda _: answer(TIP)) as wire, node_at(wire.port) as node:
        assert (await node.tip()).height == 7


async def test_a_cookie_is_read_again_when_the_node_has_written_a_new_one(tmp_path: Path) -> None:
    cookie = tmp_path / ".cookie"
    cookie.write_text("__cookie__:old")
    valid = b"X19jb29raWVfXzpvbGQ="

    def reply(head: bytes) -> bytes:
        return answer(TIP) if valid in head else answer(b"", b"401 Unauthorized")

    async with wired(reply) as wire, node_at(wire.port, cookie_file=cookie) as node:
        await node.tip()
        cookie.write_text("__cookie__:new")
        valid = b"X19jb29raWVfXzpuZXc="
        assert (await node.tip()).height == 7
        assert len(wire.heads) == 3
        valid = b"neither"
        with pytest.raises(NodeUnauthorizedError, match="refused the credentials"):
            await node.tip()


async def test_a_cookie_that_is_missing_is_said(tmp_path: Path) -> None:
    async with wired(lambda _: answer(TIP)) as wire, node_at(wire.port, cookie_file=tmp_path / "no") as node:
        with pytest.raises(NodeUnavailableError, match=r"cookie file .* cannot be read"):
            await node.tip()


async def test_a_node_that_accepts_and_never_answers_costs_the_time_out_and_then_nothing() -> None:
    async with wired(lambda _: None) as wire, node_at(wire.port) as node:
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(NodeUnavailableError, match="did not answer in time"):
                await node.tip()
            assert time.monotonic() - started < TIMEOUT + 0.5
        asked = len(wire.heads)
        with pytest.raises(NodeUnavailableError, match=r"did not answer in time.*asked again shortly"):
            await node.tip()
        assert len(wire.heads) == asked


async def test_an_answer_that_trickles_costs_the_time_out() -> None:
    async with wired(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{") as wire, node_at(wire.port) as node:
        with pytest.raises(NodeUnavailableError, match="did not answer in time"):
            await node.tip()


async def test_a_node_that_is_not_there_is_said_at_once() -> None:
    async with node_at(free_port(), timeout=2.0) as node:
        started = time.monotonic()
        with pytest.raises(NodeUnavailableError, match="cannot be reached"):
            await node.tip()
        assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "did not answer with whole HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: zwei\r\n\r\n", "did not answer with whole HTTP"),
        (answer(b"<html>"), "with JSON-RPC"),
        (answer(b"\xff\xfe"), "with JSON-RPC"),
        (answer(b"[" * 100_000), "with JSON-RPC"),
        (answer(b"{}"), "with nothing"),
        (answer(b'{"result":{"blocks":"seven"}}'), "with JSON-RPC"),
        (answer(b"x" * (2 << 20)), "with more than 1048576 bytes"),
        (answer(b'{"error":{"code":-28,"message":"Verifying blocks"}}', b"500 E"), "is starting: Verifying blocks"),
    ],
)
async def test_what_is_no_answer_is_one_clear_error(wire: bytes, said: str) -> None:
    async with wired(lambda _: wire) as server, node_at(server.port, timeout=2.0) as node:
        with pytest.raises(NodeUnavailableError, match=said) as raised:
            await node.tip()
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 400


async def test_a_connection_that_drops_once_is_repaired_by_a_retry() -> None:
    replies = iter([b"", answer(TIP)])

    async with wired(lambda _: next(replies)) as wire:
        original = wire.reply

        def dropping(head: bytes) -> bytes | None:
            said = original(head)
            if not said:
                raise ConnectionResetError
            return said

        wire.reply = dropping
        async with node_at(wire.port, timeout=2.0) as node:
            assert (await node.tip()).height == 7


async def test_an_error_of_the_node_itself_does_not_open_the_breaker() -> None:
    body = b'{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":0}'
    async with wired(lambda _: answer(body, b"404 Not Found")) as wire, node_at(wire.port) as node:
        for _ in range(5):
            with pytest.raises(RpcError, match="-32601"):
                await node.tip()
        assert node.guard.state == "closed"


@pytest.mark.parametrize("reply", [answer(b"", b"401 Unauthorized"), b"garbage\r\n\r\n"])
async def test_no_error_repeats_the_credentials(reply: bytes) -> None:
    async with wired(lambda _: reply) as wire, node_at(wire.port, user="indexer", password="hunter2hunter2") as node:
        with pytest.raises(NodeError) as raised:
            await node.tip()
        assert "hunter2" not in repr(raised.value) + str(raised.value.__cause__) + repr(node)
