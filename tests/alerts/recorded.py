"""Recording rules in tests: which of them a rule needs, and which give anything with the series of a case."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import promql_parser

from alerts import render
from alerts.model import REAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alerts.model import Record
    from tests.alerts.case import Case

Rule = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Selected:
    """Series that an expression selects: their name, and the labels that it asks for with `=`."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def takes(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether it may select series of this name whose labels, as far as they are known, are these."""
        return self.name == name and all(labels.get(key, value) == value for key, value in self.labels)


@cache
def selected(expr: str) -> tuple[Selected, ...]:
    """Return what an expression selects."""
    found: list[Selected] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            equal = [each for each in node.matchers.matchers if each.op == promql_parser.MatchOp.Equal]
            found.append(Selected(node.name or "", tuple((each.name, each.value) for each in equal)))

    promql_parser.walk(promql_parser.parse(expr), pre_visit=visit)
    return tuple(found)


@cache
def asked(summary: str) -> tuple[Selected, ...]:
    """Return what a summary asks for by `query`: names alone matter, and a literal label."""
    questions = re.findall(r"`([^`]*)`", summary)
    return tuple(each for text in questions for each in selected(text.replace("%q", '"~"').replace("%v", "1")))


def uses(rule: Rule) -> tuple[Selected, ...]:
    """Return what a rule selects, the questions of its summary included."""
    from_summary = asked(rule.get("annotations", {}).get("summary", ""))
    # A question's `cluster` is the alert's own: it excludes nothing.
    free = (Selected(each.name, tuple(pair for pair in each.labels if pair[1] != "~")) for each in from_summary)
    return (*selected(rule["expr"]), *free)


class Recorded:
    """Recording rules, by what can be read of them."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._named: dict[str, list[int]] = defaultdict(list)
        for number, rule in enumerate(self.rules):
            self._named[rule["record"]].append(number)
        self._sources: dict[Selected, frozenset[int]] = {}

    def needed(self, rules: Iterable[Rule]) -> tuple[Rule, ...]:
        """Return the recording rules behind what rules read, in their order."""
        wanted = {each for rule in rules for each in self._inputs(rule | {"labels": {}}, _joined(rule))}
        behind = frozenset[int]().union(*(self._behind(each) for each in wanted))
        return tuple(self.rules[number] for number in sorted(behind))

    def of_names(self, names: Iterable[str]) -> tuple[Rule, ...]:
        """Return the recording rules of these names and all they could read, of whatever labels, in their order."""
        waiting, found = [name for name in names if name in self._named], set[str]()
        while waiting:
            name = waiting.pop()
            found.add(name)
            reads = {each.name for number in self._named[name] for each in uses(self.rules[number])}
            waiting += [each for each in reads - found if each in self._named]
        return tuple(rule for rule in self.rules if rule["record"] in found)

    def _inputs(self, rule: Rule, wanted: Selected) -> tuple[Selected, ...]:
        """Return the recorded series that a rule reads to give what is asked for.

        A label that is asked for and that the rule does not set itself comes from what it reads.
        """
        asked_for = tuple(pair for pair in wanted.labels if pair[0] not in rule.get("labels", {}))
        return tuple(
            Selected(each.name, tuple(dict((*asked_for, *each.labels)).items()))
            for each in uses(rule)
            if each.name in self._named
        )

    def _behind(self, wanted: Selected) -> frozenset[int]:
        """Return all rules behind what a selector asks for; none, where nothing of it is ever recorded."""
        if wanted not in self._sources:
            found = frozenset[int]()
            for number in self._named[wanted.name]:
                rule = self.rules[number]
                if wanted.takes(rule["record"], rule.get("labels", {})):
                    below = [self._behind(each) for each in self._inputs(rule, wanted)]
                    # One is enough: `or` reads what is of other kinds of objectives.
                    if any(below) or not below:
                        found = found.union({number}, *below)
            self._sources[wanted] = found
        return self._sources[wanted]


def given(case: Case) -> frozenset[Selected]:
    """Return the recorded series that a case gives itself: their names, and the objectives that they are of."""
    return frozenset(
        Selected(each.name, tuple(pair for pair in each.labels if pair[0] == "slo"))
        for name in case.series
        for each in selected(name)
        if ":" in each.name
    )


def fed(recorded: Sequence[Rule], cases: Sequence[Case]) -> tuple[Rule, ...]:
    """Return the recording rules that give anything with the series of like cases, and nothing that these give."""
    there: list[tuple[str, Mapping[str, str]]] = [
        (each.name, dict(each.labels)) for case in cases for name in case.series for each in selected(name)
    ]
    replaced = given(cases[0])
    kept = []
    for rule in recorded:
        if any(each.takes(rule["record"], rule.get("labels", {})) for each in replaced):
            continue
        wanted = selected(rule["expr"])
        if not wanted or "absent" in rule["expr"] or any(each.takes(*source) for each in wanted for source in there):
            kept.append(rule)
            there.append((rule["record"], rule.get("labels", {})))
    return tuple(kept)


def _joined(rule: Rule) -> Selected:
    """Return the label by which the parts of a rule of one objective are joined: no part is of another one."""
    objective = rule.get("labels", {}).get("slo")
    return Selected("", (("slo", objective),) if objective else ())


def recording(records: Iterable[Record]) -> Recorded:
    """Return recording rules at real scale."""
    return Recorded(render.recording(record, scale=REAL) for record in records)
