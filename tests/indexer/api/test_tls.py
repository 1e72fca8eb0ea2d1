from __future__ import annotations

import shutil
import signal
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.indexer.api.live import SOON, serving
from tests.support.api import settings
from tests.support.postgres import free_port
from tests.support.processes import running
from tests.support.tls import certificate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.api import Chain


def test_with_a_certificate_the_api_answers_over_tls_alone(still: Chain, tmp_path: Path) -> None:
    pair = certificate(tmp_path / "tls")
    with serving(settings(still.url, TLS_CERTIFICATE=pair.certificate, TLS_KEY=pair.key)) as live:
        trusting = ssl.create_default_context(cafile=str(pair.certificate))
        with (
            socket.create_connection(("127.0.0.1", live.port), SOON) as plain,
            trusting.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            secured.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert secured.recv(12) == b"HTTP/1.1 200"
        with (
            socket.create_connection(("127.0.0.1", live.port), SOON) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")
        with socket.create_connection(("127.0.0.1", live.port), SOON) as plain:
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP"), "no answer without TLS"


def test_a_certificate_that_was_replaced_is_served_after_a_hangup_and_a_damaged_one_is_not(
    still: Chain, tmp_path: Path
) -> None:
    first, second = certificate(tmp_path / "first"), certificate(tmp_path / "second")
    port = free_port()
    given = {"DATABASE_URL": still.url, "BITCOIN_NETWORK": "regtest", "API_PORT": str(port)}
    given |= {"TLS_CERTIFICATE": str(first.certificate), "TLS_KEY": str(first.key)}
    old = first.certificate.read_text()
    (tmp_path / "old.pem").write_text(old)
    with running("api", environment=given, log=tmp_path / "api.log") as api:
        api.wait_for("listening", within=30)
        with _secured(port, tmp_path / "old.pem") as kept:
            shutil.copy(second.certificate, first.certificate)
            shutil.copy(second.key, first.key)
            api.process.send_signal(signal.SIGHUP)
            api.wait_for("certificate read", within=SOON)
            with _secured(port, second.certificate) as renewed:
                assert _status(renewed) == b"HTTP/1.1 200"
            assert _status(kept) == b"HTTP/1.1 200", "who was connected stays so"
        first.certificate.write_text("damaged")
        api.process.send_signal(signal.SIGHUP)
        api.wait_for("certificate refused", within=SOON)
        with _secured(port, second.certificate) as still_served:
            assert _status(still_served) == b"HTTP/1.1 200"


def _secured(port: int, authority: Path) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), SOON)
    return ssl.create_default_context(cafile=str(authority)).wrap_socket(plain, server_hostname="127.0.0.1")


def _status(connection: ssl.SSLSocket) -> bytes:
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    return connection.recv(12)
