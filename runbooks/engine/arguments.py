"""A runbook's arguments: each is held to what its parser allows, and nothing else comes through.

No argument ever reaches a shell. What a parser gives is a JSON value: it is journaled and shown.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from runbooks.engine.model import is_slug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from runbooks.engine.model import Json, Parameter

LENGTH_LIMIT = 1024
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
# Nothing that a shell, a configuration file or a terminal reads as more than a name.
_PATH = re.compile(r"/[A-Za-z0-9._/@+=,-]*")


class ArgumentError(Exception):
    """An argument that is refused: one line that says which and what is allowed."""


def one_of(*allowed: str) -> Callable[[str], Json]:
    """Take one of these words."""

    def parse(text: str) -> Json:
        if text not in allowed:
            raise ValueError(f"has to be one of {', '.join(allowed)}")
        return text

    return parse


def integer(least: int, most: int) -> Callable[[str], Json]:
    """Take a whole number from `least` to `most`, in plain digits."""

    def parse(text: str) -> Json:
        if not _INTEGER.fullmatch(text) or not least <= int(text) <= most:
            raise ValueError(f"has to be a whole number from {least} to {most}")
        return int(text)

    return parse


def duration(least: int = 1, most: int = 365 * 86_400) -> Callable[[str], Json]:
    """Take a time like 90s, 15m, 24h or 7d; the value is in seconds, from `least` to `most`."""

    def parse(text: str) -> Json:
        found = _DURATION.fullmatch(text)
        seconds = int(found[1]) * UNITS[found[2]] if found else -1
        if not least <= seconds <= most:
            raise ValueError(f"has to be a time like 90s, 15m, 24h or 7d, from {least} to {most} seconds")
        return seconds

    return parse


def slug(limit: int = 40) -> Callable[[str], Json]:
    """Take a name of small letters, digits and single hyphens."""

    def parse(text: str) -> Json:
        if not is_slug(text, limit):
            raise ValueError(f"has to be small letters, digits and single hyphens, at most {limit}")
        return text

    return parse


def moment() -> Callable[[str], Json]:
    """Take a moment in ISO 8601 with its zone; the value is the same moment in UTC."""

    def parse(text: str) -> Json:
        with suppress(ValueError, OverflowError):
            found = datetime.fromisoformat(text)
            if text.isascii() and found.tzinfo is not None:
                return found.astimezone(UTC).isoformat()
        raise ValueError("has to be a moment with its zone, like 2026-11-30T05:12:00Z")

    return parse


def path() -> Callable[[str], Json]:
    """Take an absolute path of plain characters without `..`."""

    def parse(text: str) -> Json:
        if not _PATH.fullmatch(text) or ".." in PurePosixPath(text).parts:
            raise ValueError("has to be an absolute path of letters, digits and ._/@+=,- without ..")
        return str(PurePosixPath(text))

    return parse


def matching(pattern: str, what: str) -> Callable[[str], Json]:
    """Take what is wholly matched by a pattern (in which classes mean ASCII); `what` says it in words."""
    compiled = re.compile(pattern, re.ASCII)

    def parse(text: str) -> Json:
        if not compiled.fullmatch(text):
            raise ValueError(f"has to be {what}")
        return text

    return parse


def parse_arguments(parameters: Sequence[Parameter], given: Iterable[str]) -> Mapping[str, Json]:
    """Return the value of every parameter from texts NAME=VALUE; raises ArgumentError for what is not allowed."""
    known = {parameter.name: parameter for parameter in parameters}
    texts: dict[str, str] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or name not in known:
            there = f"there are {', '.join(known)}" if known else "it takes none"
            raise ArgumentError(f"argument {name[:60]!r}: not one of this runbook's, as NAME=VALUE; {there}")
        if name in texts:
            raise ArgumentError(f"argument {name}: given twice; give it once")
        texts[name] = text
    return {name: _value(parameter, texts.get(name, parameter.default)) for name, parameter in known.items()}


def _value(parameter: Parameter, text: str | None) -> Json:
    where = f"argument {parameter.name}"
    if text is None:
        example = f"--arg {parameter.name}={parameter.example}"
        raise ArgumentError(f"{where}: is required: {parameter.help}; for example {example}")
    if len(text) > LENGTH_LIMIT:
        raise ArgumentError(f"{where}: is longer than {LENGTH_LIMIT} characters")
    if not text.isprintable():
        raise ArgumentError(f"{where}: holds a control character or one that cannot be shown")
    try:
        return parameter.parse(text)
    except ValueError as error:
        raise ArgumentError(f"{where}: {error}; for example {parameter.example}") from None
