"""Matchers of silences: `NAME=VALUE`, `!=`, `=~` and `!~`, as Alertmanager has them; which of them are too wide."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from alerts.model import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Operator: TypeAlias = Literal["=", "!=", "=~", "!~"]
# By whether the value is a regular expression, and whether it has to hold.
OPERATORS: Mapping[tuple[bool, bool], Operator] = {
    (False, True): "=",
    (False, False): "!=",
    (True, True): "=~",
    (True, False): "!~",
}

WATCHDOG = "Watchdog"
# It is delivered each minute: five that are missing are no restart, and alerts do not arrive one way or another.
WATCHDOG_LATE_SECONDS = 300.0
# Its labels, as far as they are the same everywhere.
_ITS_LABELS: Mapping[str, str] = {
    "alertname": WATCHDOG,
    "severity": Severity.NONE,
    "team": "platform",
    "job": "prometheus",
    "instance": "prometheus",
}
# Labels that every alert of an environment has: a matcher on them narrows nothing.
OF_ALL = frozenset({"cluster", "place"})
# What an alert that nobody thought of may have at any label.
SOME_VALUE = "some other value"
_FORM = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")


class MatcherError(ValueError):
    """A matcher cannot be read, or a silence of these would hide too much: one line that says what to write."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a label that an alert does not have is as one that is empty."""

    name: str
    operator: Operator
    value: str

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.name}{self.operator}"{escaped}"'

    def holds(self, value: str) -> bool:
        """Whether it holds for a label's value."""
        found = re.fullmatch(self.value, value) is not None if "~" in self.operator else value == self.value
        return found != self.operator.startswith("!")


def parse(text: str) -> Matcher:
    """Read `instance=api-1`, `alertname=~"Api.*"`, or an alert's bare name. Raises MatcherError."""
    if _NAME.fullmatch(text):
        return Matcher("alertname", "=", text)
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise MatcherError(f"{text[:100]!r} is no matcher; write NAME=VALUE, NAME=~REGEX or an alert's name")
    value = found[3]
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    if "~" in found[2]:
        try:
            re.compile(value)
        except re.error as error:
            raise MatcherError(f"{text[:100]!r} is no matcher: {error}") from None
    return Matcher(found[1], cast("Operator", found[2]), value)


def check_narrow(matchers: Sequence[Matcher]) -> None:
    """Raise MatcherError where they would hide alerts of every kind, or the Watchdog."""
    narrowing = [each for each in matchers if each.name not in OF_ALL]
    if all(_is_wide(each) for each in narrowing):
        raise MatcherError("this would silence everything; narrow it down by alertname, instance, job, team or slo")
    check_watchdog(narrowing, _ITS_LABELS)


def check_watchdog(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> None:
    """Raise MatcherError where they hold for the Watchdog with these labels."""
    if all(each.holds(labels.get(each.name, "")) for each in matchers):
        raise MatcherError(
            "this would silence the Watchdog, by whose silence others learn that alerts no longer travel; "
            f"add alertname!={WATCHDOG}"
        )


def _is_wide(matcher: Matcher) -> bool:
    """Whether it leaves out nothing that matters: it holds without its label, for any value, or for whatever pages."""
    if matcher.name == "severity":
        return matcher.holds(Severity.CRITICAL)
    return matcher.holds("") or matcher.holds(SOME_VALUE)
