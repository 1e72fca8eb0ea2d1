"""The API's process: one uvicorn worker a unit; a balancer spreads the load over units."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import uvicorn

from indexer import log
from indexer.api.app import create_app

if TYPE_CHECKING:
    from indexer.settings import Settings

# Above a balancer's idle time-out, which is mostly 60 s: closing first would drop requests on their way.
KEEP_ALIVE = 75

logger = log.get(__name__)


def listen(settings: Settings) -> socket.socket:
    """Bind API_HOST:API_PORT, of either address family. Raises OSError where that is not possible."""
    family, _, _, _, address = socket.getaddrinfo(settings.API_HOST, settings.API_PORT, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=family, backlog=2048)


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered first."""
    with listener:
        logger.info("listening", host=settings.API_HOST, port=listener.getsockname()[1])
        config = uvicorn.Config(
            create_app(settings),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=30,
        )
        # uvicorn raises the signal that stopped it once more when it is done: a clean stop must exit with 0.
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)
        uvicorn.Server(config).run(sockets=[listener])
