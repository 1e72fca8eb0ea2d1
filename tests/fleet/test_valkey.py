from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runbooks.drivers.remote import as_user
from tests.fleet.asking import connects, tls
from tests.fleet.test_base import address

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment
    from runbooks.drivers.remote import Remote

HOST, PORT = "mon1", 6379
# Run on a host: the password comes on standard input, then a user and commands; prints the line of each answer.
ASK = """
import socket, ssl, sys
address, user, *commands = sys.argv[1:]
password = sys.stdin.readline().strip()
context = ssl.create_default_context(cafile="/etc/simplicity/tls/ca.pem")
with context.wrap_socket(socket.create_connection((address, 6379), 5), server_hostname=address) as server:
    for command in ([f"AUTH {user} {password}"] if password else []) + commands:
        server.sendall(command.encode() + b"\\r\\n")
        answer = server.recv(65536).decode()
        if not command.startswith("AUTH ") or answer != "+OK\\r\\n":
            print(answer.strip().splitlines()[0])
"""


@pytest.fixture
def ask(remote: Remote, environment: Environment) -> Callable[..., list[str]]:
    def asked(user: str, password: str, *commands: str) -> list[str]:
        words = as_user("root", "python3", "-c", ASK, address(environment, HOST), user, *commands)
        return remote.run("app1", words, f"{password}\n").splitlines()

    return asked


def test_who_has_the_password_writes_and_reads(ask: Callable[..., list[str]], environment: Environment) -> None:
    password = environment.secret("cache_password")
    assert ask("default", password, "SET fleet-test 1 EX 5", "GET fleet-test", "EVAL return(1) 0") == [
        "+OK",
        "$1",
        ":1",
    ]


def test_without_the_password_nothing_is_answered(ask: Callable[..., list[str]]) -> None:
    assert ask("default", "", "PING")[0].startswith("-NOAUTH")
    assert ask("default", "wrong-but-long-enough", "PING")[0].startswith("-WRONGPASS")


@pytest.mark.parametrize(
    "command",
    [
        "CONFIG GET maxmemory",
        "FLUSHALL",
        "KEYS *",
        "SHUTDOWN",
        "SAVE",
        "ACL LIST",
        "MODULE LIST",
        "MONITOR",
    ],
)
def test_the_clients_user_has_no_dangerous_command(
    ask: Callable[..., list[str]], environment: Environment, command: str
) -> None:
    assert ask("default", environment.secret("cache_password"), command)[0].startswith("-NOPERM")


def test_who_watches_it_sees_no_key(ask: Callable[..., list[str]], environment: Environment) -> None:
    answers = ask("monitoring", environment.secret("cache_monitoring_password"), "INFO server", "GET x", "FLUSHALL")
    assert answers[0].startswith("$")
    assert [each.split()[0] for each in answers[1:]] == ["-NOPERM", "-NOPERM"]


def test_it_is_bounded_and_keeps_nothing(ask: Callable[..., list[str]], environment: Environment) -> None:
    monitoring = environment.secret("cache_monitoring_password")
    told = ask("monitoring", monitoring, *(f"CONFIG GET {name}" for name in ("maxmemory", "save")))
    assert all(each.startswith("*2") for each in told)
    assert ask("default", environment.secret("cache_password"), "INFO memory")


def test_its_settings_hold_a_bound_and_no_password(on: Callable[[str], Any], environment: Environment) -> None:
    host = on(HOST)
    settings = host.file("/etc/valkey/simplicity.conf").content_string
    assert "maxmemory 64mb\nmaxmemory-policy allkeys-lru\n" in settings
    assert 'save ""\nappendonly no\n' in settings
    users = host.file("/etc/valkey/users.acl")
    assert (users.user, users.group, users.mode) == ("root", "valkey", 0o640)
    assert environment.secret("cache_password") not in users.content_string


def test_it_speaks_only_tls_of_today(on: Callable[[str], Any], environment: Environment) -> None:
    at = address(environment, HOST)
    assert tls(on("app1"), at, PORT, "TLSv1_3") == "TLSv1.3"
    for old in ("TLSv1_1", "TLSv1_2"):
        assert not tls(on("app1"), at, PORT, old).startswith("TLSv1")
    listening = on(HOST).check_output("ss -Hltnp | grep valkey | awk '{print $4}'").split()
    assert sorted(listening) == sorted([f"{at}:{PORT}", f"127.0.0.1:{PORT}"])


def test_only_application_hosts_reach_it(on: Callable[[str], Any], environment: Environment) -> None:
    at = address(environment, HOST)
    assert connects(on("app2"), at, PORT)
    for name in ("lb1", "db1"):
        assert not connects(on(name), at, PORT)


def test_it_runs_as_nobody_else_and_after_each_boot(on: Callable[[str], Any]) -> None:
    service = on(HOST).service("valkey-server")
    assert service.is_running
    assert service.is_enabled
    shown = on(HOST).check_output("systemctl show valkey-server -p User,NoNewPrivileges,ProtectSystem")
    assert set(shown.splitlines()) == {"User=valkey", "NoNewPrivileges=yes", "ProtectSystem=strict"}
