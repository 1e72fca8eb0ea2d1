"""Read the components' logs: JSON lines made readable, the others as they are."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
ALIASES = {
    "warn": "warning",
    "err": "error",
    "crit": "critical",
    "fatal": "critical",
    "panic": "critical",
    "log": "info",
    "notice": "info",
    "hint": "info",
    "detail": "info",
    "statement": "info",
}
# Prometheus writes logfmt, PostgreSQL "LOG:  …" after its prefix, supervisor and Python "INFO …".
PLAIN_LEVEL = re.compile(
    r"\blevel=(\w+)|\b(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|CRIT|FATAL|PANIC|LOG|NOTICE|HINT|DETAIL|STATEMENT)\b:?"
)
TIME_KEYS, MESSAGE_KEYS, NAME_KEYS = ("timestamp", "time", "ts"), ("message", "event", "msg"), ("logger", "name")
FOLLOW_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Line:
    """A log line: its level in the words of LEVELS, and how to show it."""

    level: str
    text: str


def parse(raw: str) -> Line:
    """Read a line as it stands in a log file; never raises. A line without a level counts as info."""
    try:
        fields = json.loads(raw) if raw.startswith("{") else None
    except ValueError:
        fields = None
    if isinstance(fields, dict):
        return _structured(fields)
    found = PLAIN_LEVEL.search(raw)
    return Line(_level((found[1] or found[2]) if found else "info"), raw)


def _structured(fields: dict[str, Any]) -> Line:
    def take(keys: tuple[str, ...]) -> str:
        return next((str(fields.pop(key)) for key in keys if key in fields), "")

    moment, message, name = take(TIME_KEYS), take(MESSAGE_KEYS), take(NAME_KEYS)
    level = _level(take(("level",)) or "info")
    trace = take(("exception",))
    rest = " ".join(f"{key}={value}" for key, value in fields.items())
    text = " ".join(part for part in (moment, f"{level.upper():<8}", name, message, rest) if part)
    return Line(level, f"{text}\n{trace}" if trace else text)


def _level(word: str) -> str:
    name = ALIASES.get(word.lower(), word.lower())
    return name if name in LEVELS else "info"


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last `count` lines of a log file, without line ends; none when it is missing."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=count)]
    except OSError:
        return []


def shown(raw: Sequence[str], at_least: str) -> list[str]:
    """Return the lines of a level or worse, readable."""
    return [line.text for line in map(parse, raw) if LEVELS[line.level] >= LEVELS[at_least]]


def follow(paths: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield (component, raw line) as lines are written, from now on and without end; log rotation is followed."""
    position = {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}
    rest = dict.fromkeys(paths, b"")
    while True:
        quiet = True
        for name, path in paths.items():
            size = path.stat().st_size if path.exists() else 0
            if size < position[name]:
                position[name] = 0  # rotated: a new file has begun
            if size == position[name]:
                continue
            quiet = False
            with path.open("rb") as file:
                file.seek(position[name])
                text = file.read()
            position[name] += len(text)
            *whole, rest[name] = (rest[name] + text).split(b"\n")
            for line in whole:
                yield name, line.decode("utf-8", errors="replace")
        if quiet:
            time.sleep(FOLLOW_SECONDS)
