from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.asking import connects, tls
from tests.fleet.test_base import address

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

SERVERS = ("db1", "db2")


def members(on: Callable[[str], Any]) -> list[dict[str, Any]]:
    listed = on("db1").check_output("patronictl -c /etc/patroni/config.yml list --format json")
    found: list[dict[str, Any]] = json.loads(listed)
    return found


def leader(on: Callable[[str], Any]) -> str:
    return next(str(each["Member"]) for each in members(on) if each["Role"] == "Leader")


def query(on: Callable[[str], Any], sql: str) -> str:
    return str(on(leader(on)).check_output("sudo -u postgres psql -XtAc %s", sql))


def test_one_leads_and_the_other_has_every_commit_before_it_is_acknowledged(on: Callable[[str], Any]) -> None:
    assert sorted(each["Role"] for each in members(on)) == ["Leader", "Sync Standby"]
    assert query(on, "SELECT sync_state FROM pg_stat_replication WHERE usename = 'replicator'") == "sync"
    assert query(on, "SHOW synchronous_commit") == "on"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ssl", "on"),
        ("ssl_min_protocol_version", "TLSv1.3"),
        ("password_encryption", "scram-sha-256"),
        ("data_checksums", "on"),
        ("wal_log_hints", "on"),
        ("archive_mode", "on"),
        ("archive_timeout", "1min"),
    ],
)
def test_the_server_is_set_so_that_nothing_is_lost_or_overheard(
    on: Callable[[str], Any], name: str, value: str
) -> None:
    assert query(on, f"SHOW {name}") == value


@pytest.mark.parametrize("name", SERVERS)
def test_whoever_has_no_password_or_no_tls_stays_outside(
    on: Callable[[str], Any], environment: Environment, name: str
) -> None:
    at = f"host={address(environment, name)} dbname=simplicity user=simplicity_api connect_timeout=3"
    client = on("app1")
    asked = client.run(f"sudo -u nobody psql -w '{at} sslmode=require' -c 'SELECT 1'")
    assert asked.rc != 0
    assert "no password supplied" in asked.stderr
    plain = client.run(f"sudo -u nobody psql -w '{at} sslmode=disable' -c 'SELECT 1'")
    assert "no encryption" in plain.stderr
    # The local socket is the superuser's alone.
    assert on(name).run("sudo -u nobody psql -w -h /run/postgresql -U simplicity_api simplicity -c 'SELECT 1'").rc != 0
    assert not connects(on("lb1"), address(environment, name), 5432)


def test_each_role_has_the_least_that_its_work_takes(on: Callable[[str], Any]) -> None:
    mighty = "rolcanlogin AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls)"
    assert query(on, "SELECT rolname FROM pg_roles WHERE " + mighty) == "postgres"  # noqa: S608 - fixed words
    assert query(on, "SELECT has_database_privilege('public', 'simplicity', 'CONNECT')") == "f"
    replicating = query(on, "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolreplication")
    assert replicating == "postgres replicator simplicity_backup"


@pytest.mark.parametrize("name", SERVERS)
def test_who_has_no_certificate_changes_nothing_through_patroni(
    on: Callable[[str], Any], environment: Environment, name: str
) -> None:
    url = f"https://{address(environment, name)}:8008"
    asked = on(name).check_output(
        f"curl -s -o /dev/null -w '%{{http_code}}' --cacert /etc/simplicity/tls/ca.pem -X POST {url}/restart -d '{{}}'"
    )
    assert asked == "403"
    assert tls(on(name), address(environment, name), 8008, "TLSv1_1") != "TLSv1.1"
    assert not connects(on("app1"), address(environment, name), 8008)
    settings = on(name).file("/etc/patroni/config.yml")
    assert (settings.mode, settings.group) == (0o640, "postgres")


@pytest.mark.parametrize("name", SERVERS)
def test_its_data_lies_on_a_file_system_that_syncs(on: Callable[[str], Any], name: str) -> None:
    mount = on(name).check_output("findmnt --noheadings --output FSTYPE --target /var/lib/postgresql")
    assert mount != "overlay"
