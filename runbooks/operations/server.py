"""The operations page as a process: its socket, its settings, its end."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import uvicorn

from indexer import log
from runbooks.operations.app import application
from runbooks.operations.place import Place

if TYPE_CHECKING:
    from pathlib import Path

# After SIGTERM a page that is being made may still be answered.
GRACE_SECONDS = 3
# A browser opens six connections: enough for ten people, and a bound for what a mistake can open.
CONNECTIONS = 64


class ListenError(Exception):
    """The address cannot be listened on: one line that says why and what to do."""


def bound(listen: str) -> socket.socket:
    """Return a socket that is bound to HOST:PORT. Raises ListenError."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise ListenError(f"--listen {listen}: say HOST:PORT, such as 127.0.0.1:8090")
    host = host.strip("[]")
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    # Without it a restart would have to wait for the connections of the process before.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, int(port)))
    except (OSError, OverflowError) as error:
        made.close()
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise ListenError(f"--listen {listen}: cannot be listened on ({reason}); choose another") from None
    return made


def run(listener: socket.socket, document: Path, directory: Path, token_file: Path | None = None) -> None:
    """Serve until SIGTERM. `document` may not be there yet; `directory` is the page's own, 0700."""
    log.configure("INFO")
    # A user without a home has nowhere else to keep the fonts' index, without which a first picture takes seconds more.
    os.environ.setdefault("MPLCONFIGDIR", str(directory / "matplotlib"))
    configuration = uvicorn.Config(
        application(Place(document, directory, listener.getsockname()[0], token_file)),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    uvicorn.Server(configuration).run(sockets=[listener])
