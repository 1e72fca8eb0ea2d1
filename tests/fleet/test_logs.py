from __future__ import annotations

import contextlib
import datetime as dt
import socketserver
import ssl
import subprocess
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runbooks.deploy.playing import surroundings
from tests.fleet.control import authority, control, waited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.environment import Environment

HOST, PORT, NAME = "lb2", 6514, "logs.example.com"
PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"


class Receiver:
    """A receiver of RFC 5424 over TLS as RFC 5425 frames it: with lengths, and only from whom it can identify."""

    def __init__(self, address: str, trusted: Path, certificate: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(trusted)
        context.verify_mode = ssl.CERT_REQUIRED
        self.messages: list[str] = []
        messages = self.messages

        class Handler(socketserver.StreamRequestHandler):
            def setup(self) -> None:
                self.request = context.wrap_socket(self.request, server_side=True)
                self.server.open.append(self.request)  # type: ignore[attr-defined]
                super().setup()

            def handle(self) -> None:
                while length := b"".join(iter(lambda: self.rfile.read(1).strip(), b"")):
                    messages.append(self.rfile.read(int(length)).decode())

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Who cannot show who they are, and connections that this test cuts."""

        self._server = Server((address, PORT), Handler)
        self._server.open = []  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Die: no further connections, and the present ones are cut."""
        self._server.shutdown()
        self._server.server_close()
        for each in self._server.open:  # type: ignore[attr-defined]
            with contextlib.suppress(OSError):
                each.shutdown(2)
            each.close()
        self._thread.join()

    def has(self, mark: str, times: int) -> bool:
        """Say whether each of the numbered messages of this mark has come, at least once."""
        found = {message.rsplit(" ", 1)[-1] for message in self.messages if mark in message}
        return found >= {str(number) for number in range(times)}


def certified(directory: Path, issuer: Path | None) -> tuple[Path, Path]:
    """Make a certificate of the receiver's name: of the fleet's authority, or of none that anybody knows."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    signer: Any = key
    by = subject
    if issuer is not None:
        signer = serialization.load_pem_private_key((issuer / "ca.key").read_bytes(), None)
        by = x509.load_pem_x509_certificate((issuer / "ca.pem").read_bytes()).subject
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    directory.mkdir()
    paths = directory / "receiver.pem", directory / "receiver.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return paths


def play(*settings: str) -> None:
    """Set the receiver of one host, as an operator does."""
    command = [
        "ansible-playbook",
        "monitoring.yaml",
        "--tags=logs",
        f"--limit={HOST}",
        *(f"--extra-vars={each}" for each in settings),
    ]
    environment = surroundings() | {"ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg")}
    done = subprocess.run(
        command, check=False, cwd=PLAYBOOKS, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.fixture(scope="module")
def shipping(environment: Environment) -> Iterator[str]:
    """A host that ships to the control node; afterwards it ships nothing again."""
    play(f"logs_receiver={control(environment)}:{PORT}", f"logs_receiver_name={NAME}")
    yield HOST
    play()


def say(host: Any, mark: str, times: int, begin: int = 0) -> None:  # noqa: ANN401 - testinfra has no types
    lines = f"for n in $(seq {begin} {begin + times - 1}); do echo {mark} $n; done"
    host.check_output(f"{lines} | systemd-cat --identifier=rehearsal")


def test_without_a_receiver_nothing_is_shipped_and_nothing_kept_twice(on: Callable[[str], Any]) -> None:
    for name in ("db1", "app1", "mon1", "lb1"):
        for unit in ("rsyslog", "simplicity-logs"):
            assert not on(name).service(unit).is_running
            assert not on(name).service(unit).is_enabled
        assert "SystemMaxUse" in on(name).check_output("systemd-analyze cat-config systemd/journald.conf")


def test_what_a_dead_receiver_did_not_take_arrives_when_it_is_back(
    on: Callable[[str], Any], environment: Environment, shipping: str, tmp_path: Path
) -> None:
    host, mark, trusted = on(shipping), uuid.uuid4().hex, authority(environment) / "ca.pem"
    files = certified(tmp_path / "pki", authority(environment))
    receiver = Receiver(control(environment), trusted, *files)
    say(host, mark, 10)
    came = waited(lambda: receiver.has(mark, 10), 60.0)
    receiver.close()
    assert came, "the receiver got nothing within 60 s"
    first = next(message for message in receiver.messages if " rehearsal " in message and mark in message)
    assert first.startswith("<14>1 ")  # RFC 5424, version 1: user.info
    assert f" {HOST} rehearsal " in first

    say(host, mark, 300, begin=10)
    host.check_output("systemctl restart simplicity-logs")
    say(host, mark, 300, begin=310)
    receiver = Receiver(control(environment), trusted, *files)
    receiver.messages.extend(f"{mark} {number}" for number in range(10))
    came = waited(lambda: receiver.has(mark, 610), 90.0)
    receiver.close()
    assert came, f"{len({m for m in receiver.messages if mark in m})} of 610 arrived within 90 s"


def test_a_receiver_that_nobody_vouches_for_gets_nothing(
    on: Callable[[str], Any], environment: Environment, shipping: str, tmp_path: Path
) -> None:
    host, mark = on(shipping), uuid.uuid4().hex
    receiver = Receiver(control(environment), authority(environment) / "ca.pem", *certified(tmp_path / "pki", None))
    host.check_output("systemctl restart simplicity-logs")
    say(host, mark, 5)
    came = waited(lambda: bool(receiver.messages), 15.0)
    receiver.close()
    assert not came
