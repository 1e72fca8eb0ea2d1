from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import CliRunner

from alerts import rulebook
from alerts.cli import app
from tests.alerts.promtool import program

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


def alerts(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def test_list_names_each_alert_with_severity_team_and_answer() -> None:
    done = alerts("list")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == len(rulebook.alerts())
    line = next(line for line in done.stdout.splitlines() if line.startswith("HighErrorRate "))
    assert line.split() == ["HighErrorRate", "critical", "api", "answer-api-errors"]
    assert "ApiLatencyBurn, tier 4" in done.stdout


def test_list_of_a_place_in_json_is_what_can_fire_there() -> None:
    found = json.loads(alerts("list", "--place", "local", "--json").stdout)
    assert [each["name"] for each in found] == [alert.name for alert in rulebook.alerts("local")]
    assert all(each["reason"] and each["runbook"] for each in found)


def test_show_tells_why_and_what_to_do() -> None:
    done = alerts("show", "HighErrorRate")
    assert done.exit_code == 0
    assert "why " in done.stdout
    assert "simplicity runbook show answer-api-errors" in done.stdout
    tiers = json.loads(alerts("show", "ApiLatencyBurn", "--json").stdout)
    assert [each["labels"]["tier"] for each in tiers] == ["1", "2", "3", "4"]


def test_an_alert_or_a_place_that_does_not_exist_is_one_line_that_says_what_to_do() -> None:
    for arguments, said in (
        (("show", "NoSuchAlert"), "alerts: there is no alert 'NoSuchAlert': `simplicity alerts list` names them\n"),
        (("list", "--place", "moon"), "alerts: there is no place 'moon': local, fleet or cloud\n"),
        (("rules", "--place", "moon"), "alerts: there is no place 'moon': local, fleet or cloud\n"),
    ):
        done = alerts(*arguments)
        assert (done.exit_code, done.stderr) == (2, said)


def test_rules_are_written_a_file_for_each_group(tmp_path: Path) -> None:
    done = alerts("rules", "--place", "local", "--scale", "300", "--out", str(tmp_path / "rules"))
    assert done.exit_code == 0
    written = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (tmp_path / "rules").iterdir()}
    assert set(written) == {group.name for group in rulebook.groups()}
    assert [group["name"] for text in written.values() for group in text["groups"]] == list(written)


def test_rules_of_a_fleet_link_to_the_page_that_is_given_and_need_one() -> None:
    for place in ("fleet", "cloud"):
        done = alerts("rules", "--place", place)
        said = f"alerts: rules of the {place} link to its operations page: give its address with --links URL\n"
        assert (done.exit_code, done.stdout, done.stderr) == (2, "", said)
    text = alerts("rules", "--place", "fleet", "--links", "https://operations.example.com/").stdout
    notes = [
        rule["annotations"]
        for each in yaml.safe_load_all(text)
        for rule in each["groups"][0]["rules"]
        if "alert" in rule
    ]
    assert notes
    page = "https://operations.example.com"
    assert all(each["runbook_url"].startswith(f"{page}/runbooks/answer-") for each in notes)
    assert all(each["dashboard_url"].startswith(f"{page}/dashboards/") for each in notes)


@pytest.mark.parametrize("url", ["operations.example.com", "ftp://x", "https://", "https://x/{name}", "https://x y"])
def test_what_is_no_address_of_a_page_is_refused_in_one_line(url: str) -> None:
    done = alerts("rules", "--place", "fleet", "--links", url)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"alerts: --links: {url!r} is no address of a page; give one such as https://")
    assert done.stderr.count("\n") == 1


def test_rules_are_printed_without_a_directory() -> None:
    groups = [each["groups"][0]["name"] for each in yaml.safe_load_all(alerts("rules").stdout)]
    assert groups == [group.name for group in rulebook.groups()]


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = alerts("rules", "--out", str(tmp_path / "file"))
    assert done.exit_code == 1
    assert done.stderr == f"alerts: cannot write to {tmp_path / 'file'} (File exists)\n"


def test_check_has_promtool_read_the_rules_where_it_is_in_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program().parent))
    done = alerts("check", "--place", "local", "--scale", "300")
    assert (done.exit_code, done.stdout) == (
        0,
        f"{len(rulebook.groups())} groups of rules are complete, and promtool accepts them\n",
    )


def test_check_says_that_nothing_has_parsed_the_rules_without_promtool(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = alerts("check")
    assert done.exit_code == 0
    assert "promtool is not in PATH, so nothing has parsed them" in done.stdout


def test_what_promtool_refuses_is_told_and_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refusing = tmp_path / "promtool"
    refusing.write_text("#!/bin/sh\necho 'slo.yaml: could not parse' >&2\nexit 1\n", encoding="utf-8")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = alerts("check")
    assert (done.exit_code, done.stderr) == (1, "alerts: slo.yaml: could not parse\n")


@pytest.mark.parametrize("arguments", [("list",), ("show", "ApiDown"), ("rules",), ("check",)])
def test_rules_that_contradict_each_other_are_one_line(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise rulebook.RulebookError("the alert 'X' is there twice")

    monkeypatch.setattr(rulebook, "groups", refused)
    done = alerts(*arguments)
    assert (done.exit_code, done.stderr) == (1, "alerts: the alert 'X' is there twice\n")


@pytest.mark.parametrize("command", ["list", "show", "rules", "check"])
def test_help_tells_exit_codes_and_examples(command: str) -> None:
    said = alerts(command, "--help").stdout
    assert "Exit code" in said
    assert "Examples" in said
