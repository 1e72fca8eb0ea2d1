"""`simplicity infrastructure cost`, as people and as programs read it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from infra.cloud import stacks
from infra.cloud.cost import prices as priced
from infra.cloud.cost.cli import cost
from infra.cloud.cost.estimate import estimate
from infra.cloud.cost.prices import parsed, table

app = typer.Typer()
app.command()(cost)


def run(*arguments: str, fails: bool = False) -> str:
    found = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert found.exit_code == (2 if fails else 0), found.output
    return found.stderr if fails else found.stdout


def read(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return found


def test_all_stacks_are_shown_by_tier_with_their_totals_and_the_prices_day() -> None:
    shown = run()
    for name in stacks.names():
        assert name in shown
        assert f"{estimate(stacks.load(name), table()).total:,.0f}" in shown
    assert "database" in shown
    assert table().dates[0] in shown
    assert "the bill decides" in shown


def test_one_stack_is_shown_line_by_line_and_what_scaling_out_adds() -> None:
    shown = run("production")
    assert "3 x Aurora, db.r7g.xlarge" in shown
    assert "8 x API more, c7g.large" in shown
    assert "at most" in shown
    assert "worked out" not in shown


def test_prices_that_were_worked_out_are_marked() -> None:
    assert "0.6671*" in run("production-eu")
    assert "worked out from another region's" in run("production-eu")


def test_two_stacks_are_compared_by_their_difference() -> None:
    shown = run("production", "--compare", "staging")
    both = [estimate(stacks.load(name), table()).total for name in ("production", "staging")]
    assert f"{both[1] - both[0]:+,.0f}" in shown
    assert "production-eu" not in shown


def test_json_has_the_same_figures_and_every_line() -> None:
    (only,) = read("staging")["stacks"]
    expected = estimate(stacks.load("staging"), table())
    assert only["total"] == round(expected.total, 2)
    assert only["region"] == "us-east-1"
    assert sum(line["usd"] for line in only["lines"] if not line["when_scaled"]) == pytest.approx(
        only["total"], abs=0.5
    )
    assert sum(only["tiers"].values()) == pytest.approx(only["total"], abs=0.1)


def test_json_of_all_has_all_stacks_the_currency_and_the_days() -> None:
    found = read()
    assert [each["stack"] for each in found["stacks"]] == list(stacks.names())
    assert (found["currency"], found["dates"]) == ("USD", list(table().dates))


def test_an_unknown_stack_is_told_in_one_line() -> None:
    assert run("prod", fails=True).splitlines() == [f"prod: no such stack; there are: {', '.join(stacks.names())}"]


def test_comparing_takes_a_stack_to_compare_with() -> None:
    assert run("--compare", "staging", fails=True).startswith("--compare needs a stack")


def test_a_missing_price_ends_it_with_a_line_and_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    values = table().model_dump()
    del values["prices"]["alb.hour"]
    monkeypatch.setattr(priced, "table", lambda: parsed(values))
    assert run("staging", fails=True).startswith("alb.hour: has no price in us-east-1")
