"""What a page tells a person to type: commands and options that there are, and a psql that gets in."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from infra.environment import load
from infra.local.components.postgresql import READER, WRITER, binary
from runbooks.cli import MOUNTS, _load
from runbooks.engine.page import page
from runbooks.engine.registry import runbooks
from runbooks.response.answering import ENV_FILE, PSQL
from runbooks.response.answers import ALERTS
from runbooks.response.database import Refusal, logins
from tests.support.backups import Archiving

if TYPE_CHECKING:
    from collections.abc import Iterator

BOOKS = runbooks(("runbooks.response.books",))


@pytest.fixture(scope="module")
def server() -> Iterator[Archiving]:
    """The local envelope's own server, with its roles, passwords and document."""
    with Archiving.create() as running:
        yield running


@pytest.mark.parametrize("name", ALERTS)
def test_every_command_of_ours_on_a_page_is_there_with_its_options(name: str) -> None:
    for line in re.findall(r"`(simplicity [^`]+)`", page(BOOKS[name])):
        _, first, *rest = shlex.split(line)
        command = _load(first, MOUNTS[first])
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        assert not hasattr(command, "commands"), f"{line}: {rest} is no command"
        there = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert {word for word in rest if word.startswith("-")} <= there, line


@pytest.mark.parametrize("name", ALERTS)
def test_a_page_says_once_how_psql_is_opened_and_which_file_is_meant(name: str) -> None:
    text = page(BOOKS[name])
    steps = text.partition("## Meaning")[2]
    assert text.count(PSQL) == ("psql" in steps)
    assert text.count(ENV_FILE) == ("--env-file FILE" in steps)


def test_psql_opens_as_the_pages_say(server: Archiving) -> None:
    layout = server.envelope.layout
    (command,) = re.findall(r"```console\n(.+)\n```", PSQL)
    where = load(layout.environment).endpoints.database
    for role, file in (
        (where.writer_role, load(layout.environment).secrets["database_writer_password"].name),
        ("postgres", str(layout.secrets / "superuser_password")),
    ):
        line = command.replace("psql", shlex.quote(binary("psql"))) + " -Atc 'SELECT current_user'"
        words = {"FILE": file, "HOST": where.host, "PORT": where.port, "ROLE": role, "DATABASE": where.name}
        for word, value in words.items():
            line = re.sub(rf"\b{word}\b", str(value), line)
        done = subprocess.run(["/bin/sh", "-c", line], check=False, capture_output=True, text=True, timeout=30)
        assert (done.stdout.strip(), done.stderr) == (role, "")


def test_a_password_that_the_server_knows_otherwise_is_told_as_that(server: Archiving) -> None:
    here = load(server.envelope.layout.environment)
    assert not any(logins(here).values())
    where, password = (
        here.endpoints.database,
        (server.envelope.layout.secrets / "superuser_password").read_text().strip(),
    )
    with psycopg.connect(
        host=where.host, port=where.port, dbname=where.name, user="postgres", password=password, autocommit=True
    ) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD 'another'").format(sql.Identifier(READER)))
        try:
            found = logins(here)
        finally:
            mine = sql.Literal(here.secret("database_reader_password"))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(READER), mine))
    refused = found[READER]
    assert refused is not None
    assert (refused.kind, refused.secret, found[WRITER]) == (Refusal.PASSWORD, "database_reader_password", None)
