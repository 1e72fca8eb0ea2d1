"""A server's socket on a host, as a socket here: for what listens on no port and lets in nobody else."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from runbooks.drivers.remote import as_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbooks.drivers.remote import Remote

NAME = ".s.PGSQL.5432"
STOP_SECONDS = 5.0
# Run on the host: standard input and output are one connection. sshd there forwards nothing.
_CARRY = """\
import os, select, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
leads = {0: server.fileno(), server.fileno(): 1}
while server.fileno() in leads:
    for end in select.select(list(leads), [], [])[0]:
        data = os.read(end, 65536)
        if not data:
            del leads[end]
            if end == 0:
                server.shutdown(socket.SHUT_WR)
        while data:
            data = data[os.write(leads[end], data):]
"""


@contextmanager
def relayed(remote: Remote, host: str, user: str, path: str) -> Iterator[Path]:
    """Provide a directory whose PostgreSQL socket leads to the one at `path` on a host, as a user of that host."""
    command = remote.command(host, as_user(user, "python3", "-c", _CARRY, path))
    children: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="simplicity-relay-") as directory:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(Path(directory) / NAME))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # it was closed: nobody connects any more
                    return
                with connection:
                    end = connection.fileno()
                    children.append(subprocess.Popen(command, stdin=end, stdout=end, stderr=subprocess.DEVNULL))

        serving = Thread(target=serve, daemon=True)
        serving.start()
        try:
            yield Path(directory)
        finally:
            # Closing alone does not wake who accepts.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            serving.join(STOP_SECONDS)
            _end(children)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
