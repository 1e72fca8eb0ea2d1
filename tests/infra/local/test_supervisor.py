from __future__ import annotations

import shlex
from configparser import RawConfigParser
from pathlib import Path

import pytest

from infra.local.layout import Layout
from infra.local.supervisor import Program, render

LAYOUT = Layout(home=Path("/srv/with space"), tools=Path("/srv/tools"))


def program(**environment: str) -> Program:
    return Program("api", ("run", "it now", "100%"), LAYOUT.data / "api", environment, "TERM", 10)


def section(text: str, name: str) -> dict[str, str]:
    # As supervisor reads it.
    parser = RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(text)
    return dict(parser[name])


def test_a_command_reaches_supervisor_in_the_same_words() -> None:
    found = section(render(LAYOUT, [program()], "secret"), "program:api")
    assert tuple(shlex.split(found["command"] % {})) == program().command


def test_a_program_is_restarted_always_and_stopped_with_its_children() -> None:
    found = section(render(LAYOUT, [program()], "secret"), "program:api")
    assert (found["autorestart"], found["killasgroup"], found["stopsignal"]) == ("true", "true", "TERM")


def test_environments_carry_percent_signs_and_refuse_what_the_file_cannot_carry() -> None:
    found = section(render(LAYOUT, [program(URL="a%20b")], "secret"), "program:api")
    assert found["environment"] % {} == 'URL="a%20b"'
    with pytest.raises(ValueError, match="cannot carry"):
        render(LAYOUT, [program(URL='a"b')], "secret")
