"""Cases as promtool's unit tests: many rules, cases and files in one process, failures told by the case's title."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alerts import render
from alerts.model import REAL
from infra.local.layout import layout
from infra.local.tools import locate
from tests.alerts.recorded import fed, given

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from alerts.model import Alert
    from tests.alerts.case import Case, Firing
    from tests.alerts.recorded import Recorded, Rule, Selected

TIMEOUT = 240.0
_RULE_FAILED = re.compile(r"^    rule: (?P<rule>[^,]+), time: ")
_NAME = re.compile(r"^    name: (?P<scenario>\S+),$")
_CHECK = re.compile(r"^    alertname: (?P<alert>[^,]+), time: ")
_READING = re.compile(r'^    expr: "round\(sum\((?P<record>[\w:]+).* \+ 0 \* (?P<scenario>\d+)", time: ')


class PromtoolError(Exception):
    """Promtool could not read a file: what it said."""


@dataclass(frozen=True, slots=True)
class Check:
    """What is expected of the rules of one alert's name: each firing's labels and summary."""

    alert: str
    expected: tuple[tuple[dict[str, str], str], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a recorded series must be; `mark` is what its name ends in beyond the case's."""

    selector: str
    value: float
    mark: str = ""

    def expr(self, scenario: int) -> str:
        """Return the question; promtool does not say of which scenario it was, so it says so itself.

        A sum has no labels, and is nothing where there is nothing.
        """
        name, brace, rest = self.selector.partition("{")
        return f"round(sum({name}{self.mark}{brace}{rest}), 0.000001) + 0 * {scenario}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Series, looked at once by several checks."""

    case: Case
    checks: tuple[Check, ...]
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """Rules and scenarios of one interval between samples, and one between evaluations (empty: the same)."""

    rules: tuple[Rule, ...]
    interval: str
    scenarios: tuple[Scenario, ...]
    every: str = ""


@dataclass(slots=True)
class Outcome:
    """What failed of a file: checks by (number of the scenario, alert or record), rules that cannot be evaluated."""

    failed: dict[tuple[int, str], str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def messages(self) -> list[str]:
        """Everything that failed, as promtool says it."""
        return [*self.failed.values(), *self.broken.values()]


# --- rules and what is expected of them ------------------------------------------------------------------------------
def slim(rule: Rule) -> Rule:
    """Return a rule with its summary only: of the annotations, it alone is part of cases."""
    if "annotations" not in rule:
        return rule
    return rule | {"annotations": {"summary": rule["annotations"]["summary"]}}


def rules_of(alerts: Iterable[Alert]) -> tuple[Rule, ...]:
    """Return the rules of alerts and of their companions, at real scale."""
    return tuple(slim(rule) for alert in alerts for rule in render.rules(alert, scale=REAL))


def owner(firing: Firing, candidates: Sequence[Alert]) -> Alert:
    """Return the alert that a firing is of: several have one name where they are the tiers of an objective."""
    fitting = [
        alert for alert in candidates if all(firing.labels.get(key, value) == value for key, value in alert.labels)
    ]
    if len(fitting) != 1:
        tiers = [dict(alert.labels) for alert in candidates]
        raise ValueError(f"{dict(firing.labels)} is of none or of several of {tiers}: name the label that tells them")
    return fitting[0]


def expectation(case: Case, candidates: Sequence[Alert], only: Collection[Alert] | None = None) -> Check:
    """Return what a case expects of the rules of its name, or of some of these alone."""
    expected = []
    for firing in case.firing:
        alert = owner(firing, candidates)
        if only is None or alert in only:
            own = {"severity": alert.severity.value, "team": alert.team, **dict(alert.labels)}
            if firing.summary == render.vanished(alert):
                own |= render.COMPANION
            expected.append((own | dict(firing.labels), " ".join(firing.summary.split())))
    return Check(case.alert, tuple(expected))


def readings(case: Case, mark: str = "", names: Collection[str] | None = None) -> tuple[Reading, ...]:
    """Return what a case expects of recorded series, or of those of some names."""
    return tuple(
        Reading(selector, value, mark)
        for selector, value in case.recorded.items()
        if names is None or selector.partition("{")[0] in names
    )


# --- promtool --------------------------------------------------------------------------------------------------------
def alike(cases: Iterable[Case]) -> list[list[Case]]:
    """Return cases by what must be the same within a file: how often there are samples and evaluations, and the rules.

    What a case gives itself of recorded series is not recorded.
    """
    found: dict[tuple[str, str, frozenset[Selected]], list[Case]] = defaultdict(list)
    for case in cases:
        found[case.interval, case.every, given(case)].append(case)
    return list(found.values())


def file_of(alerts: Sequence[Alert], recorded: Recorded, cases: Sequence[Case]) -> File:
    """Return the file that tests the alerts of one name with cases of the same intervals."""
    rules = rules_of(alerts)
    base = fed(recorded.needed(rules), cases)
    scenarios = tuple(Scenario(case, (expectation(case, alerts),), readings(case)) for case in cases)
    return File((*base, *rules), cases[0].interval, scenarios, cases[0].every)


def failures(alerts: Sequence[Alert], recorded: Recorded, cases: Sequence[Case]) -> dict[str, str]:
    """Return what promtool says of the cases that fail, by their titles."""
    names = dict.fromkeys(case.alert for case in cases)
    listed = [(name, group) for name in names for group in alike(case for case in cases if case.alert == name)]
    files = [file_of([each for each in alerts if each.name == name], recorded, group) for name, group in listed]
    found: dict[str, str] = {}
    for (_, group), outcome in zip(listed, run(files), strict=True):
        for (number, _), message in outcome.failed.items():
            title = group[number].title
            found[title] = f"{found[title]}\n{message}" if title in found else message
        found |= {case.title: message for message in outcome.broken.values() for case in group}
    return found


def run(files: Sequence[File]) -> list[Outcome]:
    """Have one promtool process test all files; one outcome each. Raises PromtoolError."""
    if not files:
        return []
    with tempfile.TemporaryDirectory(prefix="promtool-") as folder:
        names = [_write(Path(folder), number, file) for number, file in enumerate(files)]
        command = [str(program()), "test", "rules", *names]
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            timeout=TIMEOUT,
            env=os.environ | {"GOGC": "400"},  # half of its time would go into collecting garbage
        )
    return _outcomes(done.stdout, len(files))


@cache
def program() -> Path:
    """Return promtool."""
    return locate("promtool", layout().tools)


def _write(folder: Path, number: int, file: File) -> str:
    rules = {"groups": [{"name": "tested", "rules": list(file.rules)}]}
    tests = [
        {
            "interval": file.interval,
            "name": f"s{at}",
            "input_series": [{"series": name, "values": values} for name, values in scenario.case.series.items()],
            "alert_rule_test": [_checked(check, scenario.case.at) for check in scenario.checks],
            "promql_expr_test": [_read(reading, at, scenario.case.at) for reading in scenario.readings],
        }
        for at, scenario in enumerate(file.scenarios)
    ]
    test = {"rule_files": [f"rules{number}.json"], "evaluation_interval": file.every or file.interval, "tests": tests}
    # JSON is YAML, and much faster to write.
    (folder / f"rules{number}.json").write_text(json.dumps(rules), encoding="utf-8")
    (folder / f"test{number}.json").write_text(json.dumps(test), encoding="utf-8")
    return f"test{number}.json"


def _checked(check: Check, at: str) -> dict[str, Any]:
    alerts = [{"exp_labels": labels, "exp_annotations": {"summary": summary}} for labels, summary in check.expected]
    return {"eval_time": at, "alertname": check.alert, "exp_alerts": alerts}


def _read(reading: Reading, scenario: int, at: str) -> dict[str, Any]:
    expected = {"labels": "{}", "value": round(reading.value, 6)}
    return {"expr": reading.expr(scenario), "eval_time": at, "exp_samples": [expected]}


def _outcomes(output: str, expected: int) -> list[Outcome]:
    sections = re.split(r"^Unit Testing:  \S+$", output, flags=re.MULTILINE)[1:]
    if len(sections) != expected:
        raise PromtoolError(output.strip())
    return [_outcome(section) for section in sections]


def _outcome(section: str) -> Outcome:
    outcome = Outcome()
    lines = section.strip("\n").splitlines()
    if lines == ["  SUCCESS"]:
        return outcome
    key: tuple[int, str] | None = None
    scenario = 0
    for line in lines[1:]:
        if found := _RULE_FAILED.match(line):
            outcome.broken[found["rule"]], key = line.strip(), None
        elif found := _NAME.match(line):
            scenario, key = int(found["scenario"][1:]), None
        elif found := _CHECK.match(line):
            key = scenario, found["alert"]
            outcome.failed[key] = line.strip()
        elif found := _READING.match(line):
            key = int(found["scenario"]), found["record"]
            outcome.failed[key] = line.strip()
        elif key and line.startswith("        "):
            outcome.failed[key] += f"\n{line}"
        elif line.strip():
            raise PromtoolError(section.strip())
    if not outcome.messages:
        raise PromtoolError(section.strip())
    return outcome
