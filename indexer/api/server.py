"""The API's process: one uvicorn worker a unit; a balancer spreads the load over units."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn

from indexer import log
from indexer.api.app import Api, create_app
from indexer.api.protocol import bounded
from indexer.tls import renew_on_hangup

if TYPE_CHECKING:
    from types import FrameType

    from indexer.settings import Settings
    from indexer.telemetry.sink import Sink

# Above a balancer's idle time-out, which is mostly 60 s: closing first would drop requests on their way.
KEEP_ALIVE = 75
IN_FLIGHT = 30  # seconds that requests in flight have in the end
BACKLOG = 2048

logger = log.get(__name__)


def listen(settings: Settings) -> socket.socket:
    """Bind API_HOST:API_PORT, of either address family. Raises OSError where that is not possible."""
    family, _, _, _, address = socket.getaddrinfo(settings.API_HOST, settings.API_PORT, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=family, backlog=BACKLOG)


def serve(settings: Settings, listener: socket.socket, sink: Sink) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the drain."""
    with listener:
        api = create_app(settings, sink)
        logger.info("listening", host=settings.API_HOST, port=listener.getsockname()[1])
        server = _Draining(_config(api, settings), api, settings)
        # Until uvicorn listens to signals, and again when it is done: it raises the one that stopped it once more, and
        # a clean stop must exit with 0.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, server.stop_soon)
        server.run(sockets=[listener])


def _config(api: Api, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        http=bounded(api.front.refused),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the front reads them, from trusted proxies alone
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=IN_FLIGHT,
        ssl_certfile=settings.TLS_CERTIFICATE,
        ssl_keyfile=settings.TLS_KEY,
    )


class _Draining(uvicorn.Server):
    """Says that it is not ready, serves on while the balancer notices, and only then stops taking connections."""

    def __init__(self, config: uvicorn.Config, api: Api, settings: Settings) -> None:
        super().__init__(config)
        self._api = api
        self._settings = settings
        self._seconds = settings.API_DRAIN_SECONDS
        self._told = False

    def stop_soon(self, _sig: int, _frame: FrameType | None) -> None:
        """Stop at the next occasion: nobody is being served."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the drain at the first signal, end it at the second."""
        if self._told or not self._seconds or not self.started:
            self._api.drain()
            super().handle_exit(sig, frame)
            return
        self._told = True
        logger.info("draining", seconds=self._seconds)
        # A signal handler may interrupt the loop anywhere: what follows is done by the loop itself.
        self._loop.call_soon_threadsafe(self._drain, sig)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve as uvicorn does, and remember whose loop it is."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and from then on read the certificate again at SIGHUP."""
        if self.config.ssl is not None:
            renew_on_hangup(self.config.ssl, self._settings)
        await super().startup(sockets)

    def _drain(self, sig: int) -> None:
        self._api.drain()
        self._loop.call_later(self._seconds, super().handle_exit, sig, None)
