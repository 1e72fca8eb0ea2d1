"""What the API is compared with: uvicorn with an application that does nothing, and a server that is no HTTP server.

Run as a process it prints the port that it took. `bare` answers /N with N bytes of JSON; `canned` answers every chunk
that arrives with the same few bytes, which tells how much the client could ask if there were no server.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from indexer.api.server import KEEP_ALIVE

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

HOST = "127.0.0.1"
BACKLOG = 2048
CANNED = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"status":"ok"}'


class Application:
    """Answers a path that is a number with a JSON string of that many bytes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, list[tuple[bytes, bytes]]]] = {}

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path not in self._known:
            body = b'"' + b"x" * (int(path[1:]) - 2) + b'"'
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            self._known[path] = body, headers
        body, headers = self._known[path]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class _Canned(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, _data: bytes) -> None:
        self._transport.write(CANNED)  # type: ignore[attr-defined]  # a stream's transport


async def _canned(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(_Canned, sock=listener)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until SIGTERM."""
    listener = socket.create_server((HOST, 0), backlog=BACKLOG)
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - the one who started it reads that
    if sys.argv[1] == "canned":
        uvloop.run(_canned(listener))
    else:
        config = uvicorn.Config(
            Application(), log_config=None, access_log=False, server_header=False, timeout_keep_alive=KEEP_ALIVE
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
