"""Runs mutants: many in one promtool process, cheap cases first, and what was killed is not run again."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from alerts.model import seconds
from tests.alerts.promtool import Check, File, Scenario, alike, expectation, readings, rules_of, run
from tests.alerts.recorded import fed, given, selected, uses
from tests.mutate.mutants import installed, of_alert, of_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alerts.model import Alert
    from tests.alerts.case import Case
    from tests.alerts.promtool import Outcome
    from tests.alerts.recorded import Recorded
    from tests.mutate.mutants import Mutant

# Evaluations of rules that one promtool process is given: some seconds of work, after which the killed are left out.
BATCH = 60_000
# What starting a scenario costs, in evaluations.
START = 200
# What Prometheus itself records of alerts.
OF_ALERTS = frozenset({"ALERTS", "ALERTS_FOR_STATE", ""})


class BenchError(Exception):
    """Mutants cannot be run: one line that says why."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The rules and the cases that mutants are run with."""

    alerts: tuple[Alert, ...]
    recorded: Recorded
    cases: tuple[Case, ...]

    def named(self, name: str) -> tuple[Alert, ...]:
        """Return the alerts of a name."""
        return tuple(alert for alert in self.alerts if alert.name == name)

    def cases_of(self, name: str) -> list[Case]:
        """Return an alert's cases, the cheap ones first."""
        return sorted((case for case in self.cases if case.alert == name), key=steps)

    def mutants(self, names: Sequence[str]) -> list[Mutant]:
        """Return all mutants of these alerts and of what they read."""
        own = [mutant for alert in self.alerts if alert.name in names for mutant in of_alert(alert)]
        read = [
            mutant
            for mutant in of_records(self.recorded, self.alerts)
            if not mutant.users or any(user.name in names for user in mutant.users)
        ]
        return own + read


@dataclass(slots=True)
class Result:
    """What became of the mutants."""

    killed: list[Mutant] = field(default_factory=list)
    survivors: list[Mutant] = field(default_factory=list)


def steps(case: Case) -> float:
    """Return how often a case's rules are evaluated."""
    return _seconds(case.at) / seconds(case.every or case.interval) + 1


def _seconds(text: str) -> float:
    parts = [each for each in _split(text) if each]
    return sum(seconds(each) for each in parts)


def _split(text: str) -> Iterator[str]:
    start = 0
    for at, letter in enumerate(text):
        last = at + 1 == len(text) or text[at + 1].isdigit()
        if letter.isalpha() and last:
            yield text[start : at + 1]
            start = at + 1


def kill(bench: Bench, mutants: Sequence[Mutant], *, workers: int, told: Callable[[int], None]) -> Result:
    """Run mutants against the cases of their alerts. `told` is called with the number of mutants that are decided."""
    units: dict[tuple[tuple[Alert, ...], bool], list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        units[mutant.users, mutant.of_record].append(mutant)
    result = Result()
    with ThreadPoolExecutor(workers) as pool:
        # The long ones first: no worker is left alone with one at the end.
        ordered = sorted(units.values(), key=lambda unit: -len(unit) * _work(bench, unit))
        for unit, survivors in zip(ordered, pool.map(lambda each: _survivors(bench, each), ordered), strict=True):
            alive = {id(mutant) for mutant in survivors}
            result.survivors += survivors
            result.killed += [mutant for mutant in unit if id(mutant) not in alive]
            told(len(result.killed) + len(result.survivors))
    return result


def _work(bench: Bench, unit: Sequence[Mutant]) -> float:
    return sum(steps(case) for user in unit[0].users for case in bench.cases_of(user.name))


def _survivors(bench: Bench, mutants: Sequence[Mutant]) -> list[Mutant]:
    """Return those mutants of the same users that no case kills."""
    alive = list(mutants)
    names = dict.fromkeys(user.name for user in mutants[0].users)
    # Most die of the cases that are about them: few are left for all others.
    for near in (True, False):
        for name in names:
            cases = [case for case in bench.cases_of(name) if _is_near(case, mutants) == near]
            start = 0
            while alive and start < len(cases):
                batch = _afforded(cases[start:], len(alive))
                start += len(batch)
                alive = _outlasting(bench, name, alive, batch)
    return alive


def _is_near(case: Case, mutants: Sequence[Mutant]) -> bool:
    """Whether a case looks at what a mutant records, or gives the recorded series that a mutant reads."""
    looked_at = {selector.partition("{")[0] for selector in case.recorded}
    if mutants[0].of_record:
        return bool(looked_at & {mutant.rule["record"] for mutant in mutants})
    read = {each.name for rule in rules_of(mutants[0].users) for each in selected(rule["expr"]) if ":" in each.name}
    return read <= {each.name for each in given(case)} if read else False


def _afforded(cases: Sequence[Case], mutants: int) -> list[Case]:
    """Return the first cases, as many as one process is given."""
    taken: list[Case] = []
    cost = 0.0
    for case in cases:
        cost += mutants * steps(case) + START
        if taken and cost > BATCH:
            break
        taken.append(case)
    return taken


def _outlasting(bench: Bench, name: str, mutants: Sequence[Mutant], cases: Sequence[Case]) -> list[Mutant]:
    """Return the mutants that these cases let live."""
    alive = list(mutants)
    while alive:
        outcomes = run([file for listed in alike(cases) if (file := _file(bench, name, alive, listed))])
        _refuse_failing_originals(name, outcomes)
        dead = {_number(each) for outcome in outcomes for _, each in outcome.failed}
        # A rule that cannot be evaluated hides what the other ones do: they are run again without it.
        broken = {_number(each) for outcome in outcomes for each in outcome.broken}
        alive = [mutant for number, mutant in enumerate(alive) if number not in dead | broken]
        if not broken:
            break
    return alive


def mark(number: int) -> str:
    """Return what the names of a mutant's rules end in."""
    return f"__{number}"


def _number(name: str) -> int | None:
    """Return the number of the mutant that a name is of; None for an original's."""
    number = name.rpartition("__")[2]
    return int(number) if number.isdigit() else None


def _refuse_failing_originals(name: str, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        said = [message for (_, each), message in outcome.failed.items() if _number(each) is None]
        said += [message for each, message in outcome.broken.items() if _number(each) is None]
        if said:
            raise BenchError(f"{name}: its cases fail without any mutant; run tests/alerts first\n{said[0]}")


def _file(bench: Bench, name: str, mutants: Sequence[Mutant], cases: Sequence[Case]) -> File | None:
    """Return the file that tests mutants with like cases; None, where they cannot tell anything."""
    candidates = bench.named(name)
    originals = rules_of(candidates)
    # Where cases give a recorded series themselves, nothing that is made from it can be compared.
    own = {series.name for series in given(cases[0])}
    marked = []
    for number, mutant in enumerate(mutants):
        users = [user for user in mutant.users if user.name == name]
        each = installed(mutant, users, mark(number), bench.recorded)
        if not each.names & own:
            marked.append((number, users, each))
    if not marked:
        return None
    mutated = [rule for _, _, each in marked for rule in each.alerts]
    names = {each.name for rule in (*originals, *mutated) for each in uses(rule)}
    rules = [*bench.recorded.of_names(names), *(rule for _, _, each in marked for rule in each.records)]
    scenarios = []
    for case in cases:
        checks, read = [expectation(case, candidates)], [*readings(case)]
        for number, users, each in marked:
            check = expectation(case, candidates, only=users)
            checks.append(Check(f"{name}{mark(number)}", check.expected))
            read += readings(case, mark(number), each.names)
        scenarios.append(Scenario(case, tuple(checks), tuple(read)))
    return File((*fed(rules, cases), *originals, *mutated), cases[0].interval, tuple(scenarios), cases[0].every)


# --- deletion --------------------------------------------------------------------------------------------------------
def readers(bench: Bench) -> list[str]:
    """Return the alerts and recorded series whose rules read whether alerts fire: none may.

    So nothing but an alert's own rule moves what its cases look at, and no other alert's cases notice a fault of it.
    """
    rules = (*rules_of(bench.alerts), *bench.recorded.rules)
    # What selects without a name may select these, too.
    reading = [rule for rule in rules if OF_ALERTS & {each.name for each in uses(rule)}]
    return sorted({str(rule["alert"] if "alert" in rule else rule["record"]) for rule in reading})


def unmissed(bench: Bench, killed: Sequence[Mutant]) -> list[str]:
    """Return the alerts whose cases nobody would miss: none of their mutants is killed, or without them one still is.

    Of each alert one mutant of its own rule is run again, with all cases but the alert's.
    """
    own = {mutant.users[0].name: mutant for mutant in killed if not mutant.of_record}
    return sorted(name for name in {alert.name for alert in bench.alerts} if not _survives(bench, name, own.get(name)))


def _survives(bench: Bench, name: str, mutant: Mutant | None) -> bool:
    rest = replace(bench, cases=tuple(case for case in bench.cases if case.alert != name))
    return mutant is not None and kill(rest, [mutant], workers=1, told=lambda _: None).survivors == [mutant]
