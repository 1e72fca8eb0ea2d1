from __future__ import annotations

import shutil
import socket
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from infra.environment import Driver
from infra.fleet.document import document_of
from infra.fleet.plan import Plan
from infra.fleet.storage import Storage
from runbooks.drivers import remote as remote_module
from runbooks.drivers.protocols import Refusal
from runbooks.drivers.relay import NAME, relayed
from runbooks.drivers.remote import Remote, RemoteError, UnreachableError, as_user

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Does as ssh does: the words after `--` are the other side's shell's. A host called `gone` does not answer.
SSH = """#!/bin/sh
while [ "$1" != -- ]; do host="$1"; shift; done
[ "$host" = gone ] && { echo "connect: no route" >&2; exit 255; }
exec sh -c "$2"
"""


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(SSH)
    program.chmod(0o755)
    monkeypatch.setattr(remote_module, "PATH", f"{program.parent}:{remote_module.PATH}")
    monkeypatch.setenv("PATH", remote_module.PATH)
    return made(tmp_path, {"config": "/etc/config"})


def made(tmp_path: Path, settings: dict[str, str]) -> Remote:
    document = document_of(Plan(), Storage(tmp_path))
    drivers = {**document.drivers, "hosts": Driver(kind="ssh", settings=settings)}
    return Remote(document.model_copy(update={"drivers": drivers}))


def test_words_arrive_as_they_are(remote: Remote) -> None:
    words = ["printf", "%s|", "a b", "$HOME; `id`", "it's", ""]
    assert remote.run("db1", words) == "a b|$HOME; `id`|it's||"


def test_what_is_given_arrives_on_standard_input_and_nothing_else_does(remote: Remote) -> None:
    assert remote.run("db1", ["cat"], "a secret\n") == "a secret\n"
    assert not remote.run("db1", ["cat"])


def test_a_failure_is_one_line_with_host_program_and_last_words(remote: Remote) -> None:
    with pytest.raises(RemoteError, match=r"^db1: sh: two$"):
        remote.run("db1", ["sh", "-c", "echo one >&2; echo two >&2; exit 3"])
    with pytest.raises(RemoteError, match=r"^db1: false: exit code 1$"):
        remote.run("db1", ["false"])


def test_a_failure_never_names_what_was_given_as_arguments_to_sudo(remote: Remote) -> None:
    with pytest.raises(RemoteError) as caught:
        remote.run("db1", as_user("root", "no-such-program", "--token=x"))
    assert "--token" not in str(caught.value)


def test_a_host_that_does_not_answer_is_told_from_a_command_that_fails(remote: Remote) -> None:
    with pytest.raises(UnreachableError, match="gone does not answer: connect: no route"):
        remote.run("gone", ["true"])


def test_a_command_that_hangs_is_given_up_within_its_time(remote: Remote) -> None:
    with pytest.raises(UnreachableError, match=r"sleep has not ended within 0 s|within"):
        remote.run("db1", ["sleep", "5"], within=0.2)


def test_a_network_of_its_own_is_entered_first(tmp_path: Path) -> None:
    command = made(tmp_path, {"config": "C", "network": "/run/netns/x"}).command("db1", ["id", "-u"])
    assert command[:5] == ["nsenter", "--net=/run/netns/x", "ssh", "-F", "C"]
    assert command[-3:] == ["db1", "--", "id -u"]


def test_an_environment_without_ssh_is_refused(tmp_path: Path) -> None:
    document = document_of(Plan(), Storage(tmp_path))
    with pytest.raises(Refusal, match="no way to its hosts"):
        Remote(document.model_copy(update={"drivers": {}}))


def test_a_role_that_nobody_has_is_refused(remote: Remote) -> None:
    assert [host.name for host in remote.hosts("database")] == ["db1", "db2"]
    with pytest.raises(Refusal, match="no hosts of the role 'moon'"):
        remote.hosts("moon")


class _Here(Remote):
    """Runs on this machine what goes to a host, as whoever runs it."""

    def command(self, host: str, argv: Sequence[str]) -> list[str]:
        assert host == "db1"
        return list(argv[argv.index("--") + 1 :])


def test_a_socket_is_relayed_both_ways_and_a_connection_ends_when_either_side_ends_it(tmp_path: Path) -> None:
    assert shutil.which("python3")
    path, sent = tmp_path / "server", b"x" * 300_000
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    got: list[bytes] = []

    def serve() -> None:
        for _ in range(2):
            connection = listener.accept()[0]
            with connection:
                got.append(_all(connection))
                connection.sendall(got[-1][::-1])

    serving = Thread(target=serve, daemon=True)
    serving.start()
    here: Any = _Here.__new__(_Here)
    with relayed(here, "db1", "postgres", str(path)) as directory:
        for each in (b"hello", sent):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(directory / NAME))
                client.sendall(each)
                client.shutdown(socket.SHUT_WR)
                assert _all(client) == each[::-1]
    serving.join(5)
    listener.close()
    assert got == [b"hello", sent]
    assert not directory.exists()


def _all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)
