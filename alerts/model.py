"""What a rule is: an alert or a recording, written once, rendered for each place at its own scale of time.

In expressions `[5m]`, `[1h:1m]` and `offset 1d` are durations, as PromQL has them, and `<26h>` is a number of seconds:
an age or a time to come, or with `<window 30d>` the length of a range.
All of them shrink with the scale; so does how long an alert holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

Place: TypeAlias = Literal["local", "fleet", "cloud"]
Team: TypeAlias = Literal["api", "database", "indexer", "platform", "security"]

EVERYWHERE: frozenset[Place] = frozenset({"local", "fleet", "cloud"})

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = r"\d+(?:ms|[smhdw])"
# A span, or what stands in a range (with its resolution), or behind `offset`.
_IN_TEXT = re.compile(
    rf"<(?P<window>window )?(?P<span>{_DURATION})>|\[(?P<range>{_DURATION})(?::(?P<step>{_DURATION}))?\]"
    rf"|\boffset\s+(?P<offset>{_DURATION})"
)


# What looks as if it were one of these, outside of texts.
_LIKE_ONE = re.compile(r"\[[^\]]*\]|\boffset\s+\S+|<(?:window\s+)?\w+>")
_TEXT = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`""")


class Severity(StrEnum):
    """What an alert asks of people: a page at any hour, a ticket for the day, or nothing (it proves the way itself)."""

    CRITICAL = "critical"
    WARNING = "warning"
    NONE = "none"


def seconds(duration: str) -> float:
    """Return the seconds of a duration of one unit: `90s`, `5m`, `26h`. Raises ValueError."""
    found = re.fullmatch(r"(\d+)(ms|[smhdw])", duration)
    if found is None:
        raise ValueError(f"{duration!r} is no duration such as 5m, 26h or 3d")
    return int(found[1]) * UNITS[found[2]]


def duration(value: float) -> str:
    """Return seconds as PromQL writes them, in the largest unit that has no fraction."""
    thousandths = round(value * 1000)
    for unit in ("w", "d", "h", "m", "s"):
        size = round(UNITS[unit] * 1000)
        if thousandths and thousandths % size == 0:
            return f"{thousandths // size}{unit}"
    return f"{thousandths}ms" if thousandths else "0s"


def unreadable(expression: str) -> list[str]:
    """Return the ranges, offsets and spans of an expression that no scale would shrink: `[1h30m]`, `offset -5m`."""
    found = _LIKE_ONE.findall(_TEXT.sub('""', expression))
    return [each for each in found if not _IN_TEXT.fullmatch(each.rstrip("),"))]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much shorter than real an environment's windows are: 1 in production, hundreds in a proof that has minutes.

    The floors, in seconds, keep a scaled rule meaningful where samples are two seconds apart: five samples in a range,
    two evaluations before an alert fires. Ages shrink less by `span_share`: a backup takes its time at any scale, and a
    healthy environment has to be able to keep them.
    """

    factor: float = 1.0
    range_floor: float = 10.0
    hold_floor: float = 4.0
    span_floor: float = 60.0
    span_share: float = 0.1

    def range(self, value: float) -> float:
        """Return the length of a range, in seconds."""
        return self._scaled(value, self.range_floor)

    def hold(self, value: float) -> float:
        """Return how long an alert holds before it fires, in seconds."""
        return self._scaled(value, self.hold_floor)

    def span(self, value: float) -> float:
        """Return an age or a time to come, in seconds."""
        return self._scaled(value, self.span_floor, self.span_share)

    def _scaled(self, value: float, floor: float, share: float = 1.0) -> float:
        factor = max(1.0, self.factor * share)
        return value if factor == 1 or value <= floor else max(floor, float(round(value / factor)))

    def expression(self, text: str) -> str:
        """Return an expression with its durations scaled and its spans as seconds."""

        def replaced(found: re.Match[str]) -> str:
            if span := found["span"]:
                scaled = self.range if found["window"] else self.span
                return f"{scaled(seconds(span)):.12g}"
            if offset := found["offset"]:
                return f"offset {duration(self.range(seconds(offset)))}"
            step = ""
            if found["step"]:
                step = f":{duration(seconds(found['step']) if self.factor == 1 else min(2.0, seconds(found['step'])))}"
            return f"[{duration(self.range(seconds(found['range'])))}{step}]"

        return _IN_TEXT.sub(replaced, " ".join(text.split()))


REAL = Scale()


@dataclass(frozen=True, slots=True)
class Links:
    """Where runbooks and dashboards are to be opened; committed rules name the files of the repository."""

    runbook: str = "docs/runbooks/{name}.md"
    dashboard: str = "dashboards/generated/{uid}.json"

    @classmethod
    def of_page(cls, url: str) -> Links:
        """Return the links to an operations page, whose address people can open. Raises ValueError."""
        if not re.fullmatch(r"https?://[^\s/{}?#]+(/[^\s{}?#]*)?", url):
            raise ValueError(f"{url!r} is no address of a page; give one such as https://operations.example.com")
        base = url.rstrip("/")
        return cls(runbook=f"{base}/runbooks/{{name}}", dashboard=f"{base}/dashboards/{{uid}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A recording rule."""

    record: str
    expr: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert.

    `summary` has the value, `description` the blast radius: who is hurt, and how far it reaches. `reason` says why the
    threshold and the time are what they are. `runbook` and `dashboard` are names: of `docs/runbooks/NAME.md` and of a
    dashboard's uid. `absent` is a selector whose vanishing is the same fault: a second rule of the same name.
    `labels` are more than the rule has by severity and team, to route and to inhibit by.
    """

    name: str
    severity: Severity
    team: Team
    expr: str
    hold: str
    reason: str
    summary: str
    description: str
    runbook: str
    dashboard: str
    absent: str = ""
    keep: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    places: frozenset[Place] = EVERYWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated together, in this order; the name is also that of their file."""

    name: str
    records: tuple[Record, ...] = ()
    alerts: tuple[Alert, ...] = ()
