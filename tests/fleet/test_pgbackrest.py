from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.asking import connects
from tests.fleet.test_postgresql import SERVERS, leader, query

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

ASK = "sudo -u postgres pgbackrest --stanza=%s %s"


@pytest.fixture
def stanza(environment: Environment) -> str:
    return environment.drivers["backup"].settings["stanza"]


@pytest.mark.parametrize("name", SERVERS)
def test_each_server_knows_the_repository_and_it_is_encrypted(on: Callable[[str], Any], name: str, stanza: str) -> None:
    (found,) = json.loads(on(name).check_output(ASK % (stanza, "--output=json info")))
    assert found["cipher"] == "aes-256-cbc"
    assert found["status"]["code"] in {0, 2}


def test_wal_comes_to_the_repository_within_a_minute(on: Callable[[str], Any], stanza: str) -> None:
    assert on(leader(on)).run(ASK % (stanza, "--archive-timeout=60 check")).rc == 0
    assert query(on, "SHOW archive_timeout") == "1min"
    archived = "SELECT failed_count = 0 OR last_archived_time > last_failed_time FROM pg_stat_archiver"
    assert query(on, archived) == "t"
    assert "archive-push" in query(on, "SHOW archive_command")


@pytest.mark.parametrize("kind", ["full", "diff", "incr"])
def test_each_kind_of_backup_is_made_and_whole(on: Callable[[str], Any], stanza: str, kind: str) -> None:
    server = on(leader(on))
    server.check_output(ASK % (stanza, f"--type={kind} backup"))
    (found,) = json.loads(server.check_output(ASK % (stanza, "--output=json info")))
    made = found["backup"][-1]
    assert made["type"] == kind
    assert made["error"] is False
    said = server.check_output(ASK % (stanza, f"--set={made['label']} --output=text --verbose verify"))
    assert f"backup: {made['label']}, status: valid" in said


@pytest.mark.parametrize("name", SERVERS)
def test_the_keys_of_the_store_are_the_servers_own(
    on: Callable[[str], Any], environment: Environment, name: str
) -> None:
    settings = on(name).file("/etc/pgbackrest/pgbackrest.conf")
    assert (settings.user, settings.group, settings.mode) == ("root", "postgres", 0o640)
    assert environment.secret("backup_cipher") in settings.content_string
    assert on(name).run("sudo -u nobody cat /etc/pgbackrest/pgbackrest.conf").rc != 0
    restored = on(name).file("/var/lib/postgresql/restored")
    assert (restored.user, restored.mode) == ("postgres", 0o700)


@pytest.mark.parametrize("name", SERVERS)
def test_a_store_that_shows_another_certificate_is_not_believed(
    on: Callable[[str], Any], name: str, stanza: str
) -> None:
    words = "--repo1-storage-ca-file=/etc/ssl/certs/ca-certificates.crt --output=json info"
    asked = on(name).run(ASK % (stanza, words))
    assert asked.rc != 0 or json.loads(asked.stdout)[0]["status"]["code"] not in {0, 2}


def test_the_store_is_reached_by_tls_only(on: Callable[[str], Any], environment: Environment) -> None:
    settings = environment.drivers["backup"].settings
    assert connects(on("db1"), settings["host"], int(settings["port"]))
    plain = on("db1").run(f"curl -s --max-time 3 http://{settings['host']}:{settings['port']}/")
    assert plain.rc != 0
