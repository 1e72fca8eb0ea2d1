"""Arguments: what a parser allows comes through, everything else is refused in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runbooks.engine import arguments as parsers
from runbooks.engine.arguments import LENGTH_LIMIT, ArgumentError, parse_arguments
from runbooks.engine.model import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbooks.engine.model import Json

PLAIN = Parameter(name="service", help="Which one", parse=parsers.slug(), example="api-1")
OTHER = Parameter(name="wait", help="How long", parse=parsers.duration(), example="15m", default="90s")

HOSTILE = (
    "; rm -rf /",
    "$(reboot)",
    "`id`",
    "a b",
    "a\nb",
    "a\0b",
    "\x1b[31mred",
    "--yes",
    "-1",
    "../../etc/passwd",
    "api-1'",
    "api-1 OR 1=1",
    "{0.__class__}",
    "%s%n",
    "api\N{HYPHEN}1",
    "\N{CYRILLIC SMALL LETTER A}pi-1",
    "\N{RIGHT-TO-LEFT OVERRIDE}api",
    "\ud800",
    "A" * 50,
    "9" * 5000,
    "",
)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parsers.one_of("api-1", "api-2"), "api-2", "api-2"),
        (parsers.integer(-3, 10), "-3", -3),
        (parsers.duration(), "15m", 900),
        (parsers.duration(), "7d", 604_800),
        (parsers.slug(), "a-1-b", "a-1-b"),
        (parsers.moment(), "2026-11-30T06:12:00+01:00", "2026-11-30T05:12:00+00:00"),
        (parsers.path(), "/var//lib/x.y", "/var/lib/x.y"),
        (parsers.matching(r"[0-9a-f]{4}", "four hex digits"), "3f9a", "3f9a"),
    ],
)
def test_what_is_allowed_becomes_a_value(parse: Callable[[str], Json], text: str, value: Json) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parsers.one_of("api-1"), "api-2"),
        (parsers.integer(1, 10), "11"),
        (parsers.integer(1, 10), "\N{ARABIC-INDIC DIGIT THREE}"),
        (parsers.integer(1, 10), "1_0"),
        (parsers.duration(most=60), "2m"),
        (parsers.duration(), "15 minutes"),
        (parsers.slug(), "a--b"),
        (parsers.slug(3), "abcd"),
        (parsers.moment(), "2026-11-30T06:12:00"),
        (parsers.moment(), "0001-01-01T00:00:00+23:00"),
        (parsers.moment(), "tomorrow"),
        (parsers.path(), "relative"),
        (parsers.path(), "/a/../b"),
        (parsers.path(), "/a b"),
        (parsers.matching(r"\d+", "digits"), "\N{ARABIC-INDIC DIGIT THREE}"),
    ],
)
def test_what_is_not_allowed_is_refused(parse: Callable[[str], Json], text: str) -> None:
    with pytest.raises(ValueError, match="has to be"):
        parse(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_values_are_refused_in_one_line_that_shows_no_control_character(text: str) -> None:
    for parse in (
        parsers.one_of("api-1"),
        parsers.integer(0, 9),
        parsers.duration(),
        parsers.slug(),
        parsers.moment(),
        parsers.path(),
    ):
        parameter = Parameter(name="service", help="Which", parse=parse, example="api-1")
        with pytest.raises(ArgumentError) as refused:
            parse_arguments((parameter,), [f"service={text}"])
        assert str(refused.value).isprintable(), text
        assert str(refused.value).startswith("argument service: ")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "argument service: is required: Which one; for example --arg service=api-1"),
        (["service=a", "service=b"], "argument service: given twice"),
        (["nonsense=1"], "argument 'nonsense': not one of this runbook's, as NAME=VALUE; there are service, wait"),
        (["service"], "argument 'service': not one of"),
        (["\x1b[31m=1"], r"argument '\\x1b\[31m': not one of"),
        ([f"service={'a' * (LENGTH_LIMIT + 1)}"], "longer than 1024"),
    ],
)
def test_unknown_repeated_missing_and_endless_arguments_are_refused(given: list[str], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        parse_arguments((PLAIN, OTHER), given)


def test_a_default_is_parsed_as_if_it_was_given() -> None:
    assert parse_arguments((PLAIN, OTHER), ["service=sync"]) == {"service": "sync", "wait": 90}


def test_a_runbook_without_parameters_says_that_it_takes_none() -> None:
    with pytest.raises(ArgumentError, match="it takes none"):
        parse_arguments((), ["a=b"])
