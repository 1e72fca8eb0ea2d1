"""Read the components' logs: JSON lines made readable, the others as they are."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
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
    "alert": "critical",
}
# Prometheus and Valkey write logfmt, HAProxy "[ALERT] …", PostgreSQL "LOG:  …" after its prefix, others "INFO …".
PLAIN_LEVEL = re.compile(
    r"\blevel=(\w+)|\b(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|CRIT|FATAL|PANIC|ALERT|LOG|NOTICE|HINT|DETAIL|STATEMENT)\b:?"
)
TIME_KEYS, MESSAGE_KEYS, NAME_KEYS = ("timestamp", "time", "ts"), ("message", "event", "msg"), ("logger", "name")
FOLLOW_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Line:
    """A log line: its level in the words of LEVELS, how to show it, and its fields where it has some."""

    level: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines a person asks for: those of `level` and worse that have these `fields`."""

    level: str = "debug"
    fields: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, line: Line) -> bool:
        if any(str(line.fields.get(name, "")) != value for name, value in self.fields.items()):
            return False
        return LEVELS[line.level] >= LEVELS[self.level]


EVERYTHING = Wanted()


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


def _structured(all_fields: dict[str, Any]) -> Line:
    fields = dict(all_fields)

    def take(keys: tuple[str, ...]) -> str:
        return next((str(fields.pop(key)) for key in keys if key in fields), "")

    moment, message, name = take(TIME_KEYS), take(MESSAGE_KEYS), take(NAME_KEYS)
    level = _level(take(("level",)) or "info")
    trace = take(("exception",))
    rest = " ".join(f"{key}={value}" for key, value in fields.items())
    text = " ".join(part for part in (moment, f"{level.upper():<8}", name, message, rest) if part)
    return Line(level, f"{text}\n{trace}" if trace else text, all_fields)


def _level(word: str) -> str:
    name = ALIASES.get(word.lower(), word.lower())
    return name if name in LEVELS else "info"


def shown(raw: Iterable[str], wanted: Wanted = EVERYTHING) -> Iterator[str]:
    """Yield the wanted lines, readable."""
    return (line.text for line in map(parse, raw) if line in wanted)


def last(path: Path, count: int, wanted: Wanted = EVERYTHING) -> list[str]:
    """Return the last `count` wanted lines of a log, readable; none when it is missing.

    Those with certain fields are looked for in its rotated files too: a busy hour fills many.
    """
    return list(deque(shown(_lines(path, rotated=bool(wanted.fields)), wanted), maxlen=count))


def _lines(path: Path, *, rotated: bool) -> Iterator[str]:
    older = sorted(path.parent.glob(f"{path.name}.*"), reverse=True) if rotated else []
    for each in (*older, path):
        try:
            with each.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    yield line.rstrip("\n")
        except OSError:  # not written yet, or rotated away a moment ago
            continue


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
