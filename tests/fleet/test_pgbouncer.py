from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runbooks.drivers.remote import as_user
from tests.fleet.asking import connects
from tests.fleet.test_base import address
from tests.fleet.test_postgresql import SERVERS, leader

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment
    from runbooks.drivers.remote import Remote

PORT = 6432
# Run on a host: the password comes on standard input; prints the last row, or the error's last line.
ASK = """
import sys, psycopg
conninfo, *statements = sys.argv[1:]
password = sys.stdin.readline().strip()
base = "sslmode=verify-full sslrootcert=/etc/simplicity/tls/ca.pem connect_timeout=5 port=6432 "
try:
    connection = psycopg.connect(base + conninfo, password=password, autocommit=True)
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    print(*cursor.fetchone(), sep="|")
except psycopg.Error as error:
    print("ERROR", str(error).strip().splitlines()[-1])
"""
READERS = "database_reader_password"
READER = "dbname=simplicity user=simplicity_api"


@pytest.fixture
def ask(remote: Remote, environment: Environment) -> Callable[..., str]:
    """Ask from an application host, with the password that is the secret: a failing test shows no password."""

    def asked(conninfo: str, *statements: str, secret: str = READERS, script: str = ASK) -> str:
        password = environment.secret(secret) if secret in environment.secrets else "wrong"
        words = as_user("root", "/opt/simplicity/current/venv/bin/python", "-c", script, conninfo, *statements)
        return remote.run("app1", words, f"{password}\n").strip()

    return asked


@pytest.mark.parametrize("name", SERVERS)
def test_an_application_host_reads_through_it_over_tls_on_both_sides(
    ask: Callable[..., str], environment: Environment, name: str
) -> None:
    tls_behind = "SELECT current_user, ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    asked = ask(f"host={address(environment, name)} {READER}", tls_behind)
    assert asked == "simplicity_api|True|TLSv1.3"


def test_of_several_hosts_the_leader_is_found_through_it(ask: Callable[..., str], environment: Environment) -> None:
    hosts = ",".join(address(environment, name) for name in SERVERS)
    where = f"host={hosts} {READER} target_session_attrs=primary"
    assert ask(where, "SELECT pg_is_in_recovery()") == "False"


def test_who_reads_through_it_cannot_write_and_no_statement_lasts(
    ask: Callable[..., str], environment: Environment, on: Callable[[str], Any]
) -> None:
    where = f"host={address(environment, leader(on))} {READER}"
    # The connection's own wishes do not pass a pooler: the role has them.
    assert "read-only" in ask(where, "CREATE TEMPORARY TABLE t (a int)", "SELECT 1")
    assert ask(where, "SHOW statement_timeout") == "30s"


def test_prepared_statements_survive_that_clients_share_connections(
    ask: Callable[..., str], environment: Environment
) -> None:
    prepared = ASK.replace("cursor.execute(statement)", "cursor.execute(statement, prepare=True)")
    where = f"host={address(environment, 'db1')} {READER}"
    for _ in range(3):
        assert ask(where, *["SELECT 41 + 1"] * 5, script=prepared) == "42"


@pytest.mark.parametrize(
    "conninfo",
    [
        "dbname=simplicity user=simplicity_sync",
        "dbname=simplicity user=simplicity_pooler",
        "dbname=simplicity user=postgres",
        "dbname=postgres user=simplicity_api",
        "dbname=pgbouncer user=simplicity_api",
        "dbname=pgbouncer user=simplicity_monitoring",
    ],
)
def test_nobody_but_the_reader_comes_through_from_outside(
    ask: Callable[..., str], environment: Environment, conninfo: str
) -> None:
    role = conninfo.rpartition("simplicity_")[2]
    secret = {"sync": "writer", "api": "reader"}.get(role, role)
    where = f"host={address(environment, 'db1')} {conninfo}"
    assert ask(where, "SELECT 1", secret=f"database_{secret}_password").startswith("ERROR")


def test_a_wrong_password_and_a_connection_in_the_clear_are_refused(
    ask: Callable[..., str], environment: Environment
) -> None:
    where = f"host={address(environment, 'db1')} {READER}"
    assert "authentication failed" in ask(where, "SELECT 1", secret="none")
    assert "SSL required" in ask(f"{where} sslmode=disable", "SELECT 1")


def test_whoever_takes_it_over_learns_the_readers_verifier_and_no_other(on: Callable[[str], Any]) -> None:
    in_database = "sudo -u postgres psql -XtA simplicity -c %s"
    server = on(leader(on))
    for role, rows in (("simplicity_api", "1"), ("simplicity_sync", "0"), ("postgres", "0")):
        asked = f"SELECT count(*) FROM pooler.credentials('{role}')"  # noqa: S608 - fixed words
        assert server.check_output(in_database, asked) == rows
    allowed = (
        "SELECT string_agg(grantee::regrole::text, ' ') FROM pg_proc, aclexplode(proacl) WHERE proname = 'credentials'"
    )
    assert sorted(server.check_output(in_database, allowed).split()) == ["postgres", "simplicity_pooler"]


@pytest.mark.parametrize("name", SERVERS)
def test_only_application_hosts_reach_it(on: Callable[[str], Any], environment: Environment, name: str) -> None:
    at = address(environment, name)
    assert connects(on("app2"), at, PORT)
    assert not connects(on("mon1"), at, PORT)
    assert not connects(on("lb1"), at, PORT)


@pytest.mark.parametrize("name", SERVERS)
def test_it_is_nobody_to_the_host_and_its_passwords_are_its_own(on: Callable[[str], Any], name: str) -> None:
    host = on(name)
    for file in ("users.txt", "hba.conf", "simplicity.ini"):
        settings = host.file(f"/etc/pgbouncer/{file}")
        assert (settings.user, settings.group, settings.mode) == ("root", "pgbouncer", 0o640)
    service = host.service("pgbouncer")
    assert service.is_running
    assert service.is_enabled
    shown = host.check_output("systemctl show pgbouncer -p User,NoNewPrivileges,ProtectSystem,CapabilityBoundingSet")
    assert {"User=pgbouncer", "NoNewPrivileges=yes", "ProtectSystem=strict"} <= set(shown.splitlines())
    assert host.user("pgbouncer").shell == "/usr/sbin/nologin"
    listening = host.check_output("ss -Hltn sport = :6432 | awk '{print $4}'").split()
    assert len(listening) == 2
    assert "0.0.0.0:6432" not in listening
