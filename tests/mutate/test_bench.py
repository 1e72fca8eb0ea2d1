from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer import Typer
from typer.testing import CliRunner

from alerts import rulebook
from alerts.model import Alert, Record, Severity
from tests.alerts.case import Case, Firing
from tests.alerts.catalog import cases
from tests.alerts.recorded import recording
from tests.mutate import __main__ as command
from tests.mutate import examine
from tests.mutate.bench import BATCH, Bench, BenchError, kill, readers, steps, unmissed

pytestmark = pytest.mark.xdist_group("promtool")

FULL = Alert(
    name="TankFull",
    severity=Severity.WARNING,
    team="platform",
    expr="tank:level:ratio > 0.5",
    hold="2m",
    reason="Half is the limit.",
    summary="{{ $labels.tank }} is {{ $value }} full.",
    description="Nobody in the house has water.",
    runbook="answer-tank",
    dashboard="tanks",
)
EMPTY = replace(FULL, name="TankEmpty", expr='tank_level{kind="water"} < 1', hold="0s", summary="{{ $labels.tank }}.")
LEVEL = Record(record="tank:level:ratio", expr='tank_level{kind="water"} / 10')

TANK = 'tank_level{{tank="a", kind="{}"}}'
FIRES = Firing(summary="a is 0.54 full.", labels={"tank": "a", "kind": "water"})


def full(title: str, values: str, at: str, *firing: Firing, kind: str = "water", **recorded: float) -> Case:
    series = {TANK.format(kind): values}
    looked = {f'tank:level:ratio{{tank="{tank}"}}': value for tank, value in recorded.items()}
    return Case(title=title, alert="TankFull", series=series, at=at, firing=firing, recorded=looked)


OF_FULL = (
    full("fires when due", "5.4x10", "2m", FIRES, a=0.54),
    full("not yet", "5.4x10", "1m"),
    full("at the limit", "5x10", "5m"),
    full("of another kind", "9x10", "5m", kind="oil"),
)
OF_EMPTY = (
    Case(title="empty", alert="TankEmpty", series={TANK.format("water"): "0x5"}, at="0s",
         firing=(Firing(summary="a.", labels={"tank": "a", "kind": "water"}),)),
    Case(title="at the limit of emptiness", alert="TankEmpty", series={TANK.format("water"): "1x5"}, at="0s"),
    Case(title="no water", alert="TankEmpty", series={TANK.format("oil"): "0x5"}, at="1m"),
)  # fmt: skip


def bench(*given: Case) -> Bench:
    return Bench((FULL, EMPTY), recording([LEVEL]), given)


def survivors(given: Bench, *names: str) -> set[str]:
    found = kill(given, given.mutants(names), workers=2, told=lambda _: None)
    return {mutant.what for mutant in found.survivors}


def test_good_cases_kill_every_mutant_of_the_alert_and_of_what_it_reads() -> None:
    given = bench(*OF_FULL, *OF_EMPTY)
    mutants = given.mutants(["TankFull"])
    assert {mutant.of_record for mutant in mutants} == {True, False}
    told: list[int] = []
    found = kill(given, mutants, workers=2, told=told.append)
    assert found.survivors == []
    assert len(found.killed) == len(mutants) == told[-1]


@pytest.mark.parametrize(
    ("missing", "survivor"),
    [
        ("at the limit", "> is >="),
        ("not yet", "for 2m is 1m"),
        ("of another kind", "kind= is gone"),
        ("fires when due", "> is <"),
    ],
)
def test_a_case_that_is_missing_leaves_the_mutant_that_only_it_kills(missing: str, survivor: str) -> None:
    left = tuple(case for case in OF_FULL if case.title != missing)
    assert survivor in survivors(bench(*left), "TankFull")


def test_no_case_at_all_leaves_all_mutants() -> None:
    given = bench(*OF_EMPTY)
    mutants = given.mutants(["TankFull"])
    assert len(survivors(given, "TankFull")) == len({mutant.what for mutant in mutants})


def test_a_case_that_fails_without_a_mutant_is_refused() -> None:
    wrong = full("wrong", "1x10", "2m", FIRES)
    with pytest.raises(BenchError, match="TankFull: its cases fail without any mutant"):
        survivors(bench(wrong), "TankFull")


def test_a_mutant_that_cannot_be_evaluated_is_killed_and_hides_no_other() -> None:
    joined = replace(FULL, expr="tank_level > on (tank) tank_limit")
    series = {TANK.format("water"): "5x5", 'tank_limit{tank="a", of="x"}': "4x5", 'tank_limit{tank="b", of="x"}': "4x5"}
    case = Case(title="joined", alert="TankFull", series=series, at="2m", firing=(
        Firing(summary="a is 5 full.", labels={"tank": "a"}),
    ))  # fmt: skip
    given = Bench((replace(joined, summary="{{ $labels.tank }} is {{ $value }} full."),), recording([]), (case,))
    alive = survivors(given, "TankFull")
    assert "> is >=" in alive
    assert "> is <" not in alive


def test_without_an_alert_s_cases_its_mutant_survives() -> None:
    given = bench(*OF_FULL, *OF_EMPTY)
    killed = kill(given, given.mutants(["TankFull", "TankEmpty"]), workers=2, told=lambda _: None).killed
    assert unmissed(given, killed) == []
    # Without cases, and so without a mutant that they kill, an alert is missed by nothing.
    assert unmissed(given, [mutant for mutant in killed if mutant.users[0].name == "TankFull"]) == ["TankEmpty"]


def test_an_alert_of_which_only_recorded_series_have_mutants_is_missed_by_nothing() -> None:
    given = bench(*OF_FULL, *OF_EMPTY)
    of_records = [mutant for mutant in given.mutants(["TankFull"]) if mutant.of_record]
    assert unmissed(given, of_records) == ["TankEmpty", "TankFull"]


@pytest.mark.parametrize("selector", ['ALERTS{alertname="TankFull"}', "ALERTS_FOR_STATE > 5", '{alertname="TankFull"}'])
def test_a_rule_that_reads_whether_an_alert_fires_is_named(selector: str) -> None:
    watcher = replace(EMPTY, name="TankWatched", expr=selector)
    asks = replace(EMPTY, name="TankAsked", summary=f"{{{{ with printf `{selector}` | query }}}}{{{{ end }}}}")
    reading = Record(record="tank:alerts:all", expr=selector)
    assert readers(bench(*OF_FULL, *OF_EMPTY)) == []
    given = Bench((FULL, watcher, asks), recording([LEVEL, reading]), ())
    assert readers(given) == ["TankAsked", "TankWatched", "tank:alerts:all"]


def test_no_rule_of_the_rulebook_reads_whether_an_alert_fires() -> None:
    assert readers(Bench(rulebook.alerts(), recording(rulebook.records()), cases())) == []


def test_what_a_case_costs_is_how_often_its_rules_are_evaluated() -> None:
    case = OF_FULL[0]
    assert steps(replace(case, at="1h30m")) == 91
    assert steps(replace(case, at="30d", every="6h")) == 121
    assert steps(case) < BATCH


def test_each_alert_of_the_rulebook_has_five_mutants_or_more() -> None:
    all_of_them = Bench(rulebook.alerts(), recording(rulebook.records()), cases())
    names = examine.names()
    counts = examine.count(all_of_them.mutants(names))
    assert {name: counts[name] for name in names if counts[name] < 5} == {}


# --- the command -----------------------------------------------------------------------------------------------------
APP = Typer()
APP.command()(command.main)


def test_the_command_prints_the_counts_of_an_alert_and_passes() -> None:
    done = CliRunner().invoke(APP, ["--only", "ApiDown", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["alerts"]["ApiDown"]["killed"] == found["mutants"] >= 5
    assert found["survivors"] == []


def test_the_command_fails_with_the_difference_where_a_mutant_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "cases", lambda: tuple(case for case in cases() if not case.firing))
    done = CliRunner().invoke(APP, ["--only", "ApiDown"])
    assert done.exit_code == 1
    assert "survived: ApiDown" in done.stdout
    assert '  - expr: up{job="api"} == 0' in done.stdout


def test_the_command_refuses_an_alert_that_does_not_exist() -> None:
    done = CliRunner().invoke(APP, ["--only", "NoSuchAlert"])
    assert done.exit_code == 2
    assert "there is no alert 'NoSuchAlert'" in done.stderr
