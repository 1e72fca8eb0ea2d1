"""How a host looks from another one: what is open, and with which TLS."""

from __future__ import annotations

from typing import Any

# Run on a host; prints what becomes of a connection.
CONNECT = """
import socket, ssl, sys
host, port, versions = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
try:
    plain = socket.create_connection((host, port), 3)
except OSError as error:
    sys.exit(print(type(error).__name__))
if not versions:
    sys.exit(print("open"))
context = ssl.create_default_context(cafile="/etc/simplicity/tls/ca.pem")
context.minimum_version = context.maximum_version = ssl.TLSVersion[versions[0]]
context.set_ciphers("DEFAULT@SECLEVEL=0")
try:
    print(context.wrap_socket(plain, server_hostname=host).version())
except (ssl.SSLError, OSError) as error:
    print(type(error).__name__)
"""


def connects(asker: Any, address: str, port: int) -> bool:  # noqa: ANN401 - testinfra has no types
    """Say whether a host is let in at a port of another one."""
    return bool(_asked(asker, address, str(port)) == "open")


def tls(asker: Any, address: str, port: int, version: str) -> str:  # noqa: ANN401 - the same
    """Return the TLS version that was agreed on, or the error; the certificate is checked against the fleet's CA."""
    return _asked(asker, address, str(port), version)


def _asked(asker: Any, *words: str) -> str:  # noqa: ANN401 - the same
    done = asker.run("python3 -c %s " + " ".join("%s" for _ in words), CONNECT, *words)
    assert done.rc == 0, done.stderr
    return str(done.stdout).strip()
