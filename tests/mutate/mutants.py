"""Mutants of the rules: of each alert's own rules, and of the recording rules that alerts use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alerts.model import duration, seconds
from tests.alerts.promtool import rules_of
from tests.alerts.recorded import uses
from tests.mutate.expressions import variants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alerts.model import Alert
    from tests.alerts.recorded import Recorded, Rule

# What an alert that fires at once would wait with a fault.
WAITS = ("1m", "5m")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault of one rule. `users` are the alerts that would notice: those of the rule, or those that read its record.

    `number` is where the rule is: among the alert's own rules, or among the recording rules.
    """

    what: str
    rule: Rule
    mutated: Rule
    number: int
    users: tuple[Alert, ...]

    @property
    def of_record(self) -> bool:
        """Whether it is a recording rule's."""
        return "record" in self.rule

    @property
    def difference(self) -> str:
        """The lines that differ."""
        name = self.rule.get("record") or self.users[0].name
        labels = self.rule.get("labels", {})
        lines = [f"{name} {labels}: {self.what}"]
        for key in ("expr", "for", "keep_firing_for"):
            before, after = self.rule.get(key), self.mutated.get(key)
            if before != after:
                lines += [f"  - {key}: {before}", f"  + {key}: {after}"]
        return "\n".join(lines)


def of_alert(alert: Alert) -> Iterator[Mutant]:
    """Yield the mutants of an alert's rule, and of its companion."""
    for number, rule in enumerate(rules_of([alert])):
        for what, mutated in _faults(rule):
            yield Mutant(what, rule, mutated, number, (alert,))


def of_records(recorded: Recorded, alerts: Sequence[Alert]) -> Iterator[Mutant]:
    """Yield the mutants of recording rules, with the alerts that read them."""
    readers: dict[int, list[Alert]] = {id(rule): [] for rule in recorded.rules}
    for alert in alerts:
        for rule in recorded.needed(rules_of([alert])):
            readers[id(rule)].append(alert)
    for number, rule in enumerate(recorded.rules):
        for what, mutated in _faults(rule):
            yield Mutant(what, rule, mutated, number, tuple(readers[id(rule)]))


def _faults(rule: Rule) -> Iterator[tuple[str, Rule]]:
    for variant in variants(rule["expr"], values="record" in rule):
        yield variant.what, rule | {"expr": variant.text}
    if "alert" in rule:
        yield from _holds(rule)


def _holds(rule: Rule) -> Iterator[tuple[str, Rule]]:
    for key in ("for", "keep_firing_for"):
        value = rule.get(key)
        waits: tuple[str, ...]
        if value is None:
            waits = WAITS if key == "for" else ()
        else:
            length = seconds(value)
            waits = (duration(length / 2), duration(length * 2), "0s")
        for wait in waits:
            yield f"{key} {value or '0s'} is {wait}", rule | {key: wait}


# --- a mutant beside the original ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Installed:
    """Rules with a mutant, under names that end in a mark: they meet no original."""

    records: tuple[Rule, ...]
    alerts: tuple[Rule, ...]
    # The names of `records` without the mark.
    names: frozenset[str] = frozenset()


def installed(mutant: Mutant, users: Sequence[Alert], mark: str, recorded: Recorded) -> Installed:
    """Return the rules of some users with the mutant; of a recorded series, all that is made from it is doubled."""
    if not mutant.of_record:
        own = list(rules_of(users))
        own[mutant.number] = mutant.mutated
        return Installed((), tuple(_marked(rule, frozenset(), mark) for rule in own))
    rules = rules_of(users)
    wanted = recorded.needed(rules)
    changed = _made_from(mutant.rule["record"], wanted)
    copies = (mutant.mutated if rule is mutant.rule else rule for rule in wanted if rule["record"] in changed)
    return Installed(
        tuple(_marked(rule, changed, mark) for rule in copies),
        tuple(_marked(rule, changed, mark) for rule in rules),
        changed,
    )


def _made_from(name: str, rules: Sequence[Rule]) -> frozenset[str]:
    """Return the names of recorded series that depend on this one, itself included."""
    found = {name}
    while more := {rule["record"] for rule in rules if found & {each.name for each in uses(rule)}} - found:
        found |= more
    return frozenset(found)


def _marked(rule: Rule, names: frozenset[str], mark: str) -> Rule:
    """Return a rule under a marked name, which reads the marked series of `names`."""

    def reading(text: str) -> str:
        for name in names:
            text = re.sub(rf"(?<![\w:]){re.escape(name)}(?![\w:])", name + mark, text)
        return text

    kind = "record" if "record" in rule else "alert"
    result = rule | {kind: rule[kind] + mark, "expr": reading(rule["expr"])}
    if "annotations" in rule:
        result |= {"annotations": {"summary": reading(rule["annotations"]["summary"])}}
    return result
