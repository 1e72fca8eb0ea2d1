"""`simplicity dashboards`, as a person uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from dashboards.catalog import dashboards
from dashboards.cli import GENERATED, app
from dashboards.grafana import as_json

if TYPE_CHECKING:
    from pathlib import Path

run = CliRunner()


def test_list_names_each_dashboard_and_what_it_shows() -> None:
    done = run.invoke(app, ["list"])
    assert done.exit_code == 0
    for line, board in zip(done.stdout.splitlines(), dashboards(), strict=True):
        assert line.startswith(board.uid)
        assert line.endswith(board.description)


def test_list_for_machines() -> None:
    rows = json.loads(run.invoke(app, ["list", "--json"]).stdout)
    assert [(row["uid"], row["panels"]) for row in rows] == [(board.uid, len(board.panels)) for board in dashboards()]


def test_show_tells_what_a_panel_shows_and_what_fills_it() -> None:
    done = run.invoke(app, ["show", "api"])
    assert done.exit_code == 0
    assert "Response time  [s]  lines: 0.02 (api-latency); 1 (SlowResponses); 2 (HighResponseTime)" in done.stdout
    assert "Processes in rotation  [short]  lines: below 1 (NoApiInstance)" in done.stdout
    assert "witness bad-keys: a flood of requests with keys that do not exist" in done.stdout


def test_show_for_machines_has_rows_queries_and_witnesses() -> None:
    shown = json.loads(run.invoke(app, ["show", "bitcoin-node", "--json"]).stdout)
    assert shown["uid"] == "bitcoin-node"
    first = shown["panels"][0]
    assert (first["row"], first["witness"]) == ("Does it answer", "node-stopped")
    assert first["moves_when"] == "the Bitcoin node hangs (SIGSTOP)"
    assert first["queries"][0]["expr"] == 'min by (instance) (simplicity_node_up{cluster="$cluster"})'


def test_show_refuses_an_unknown_dashboard_in_one_line() -> None:
    done = run.invoke(app, ["show", "nobody"])
    assert done.exit_code == 2
    assert done.stderr.startswith("simplicity: there is no dashboard 'nobody'; there are overview, ")
    assert done.stderr.count("\n") == 1


def test_generate_writes_a_file_for_each_dashboard(tmp_path: Path) -> None:
    out = tmp_path / "new" / "dashboards"
    done = run.invoke(app, ["generate", "--out", str(out)])
    assert done.exit_code == 0
    assert done.stdout == f"{len(dashboards())} dashboards in {out}\n"
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        f"{board.uid}.json": as_json(board) for board in dashboards()
    }


def test_generate_puts_the_operations_page_in(tmp_path: Path) -> None:
    url = "https://operations.example.com"
    run.invoke(app, ["generate", "--out", str(tmp_path), "--operations", url])
    assert f'"query": "{url}"' in (tmp_path / "api.json").read_text()


def test_generate_says_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run.invoke(app, ["generate", "--out", str(tmp_path / "file" / "below")])
    assert done.exit_code == 2
    assert done.stderr.startswith("simplicity: cannot write ")
    assert done.stderr.endswith("(Not a directory)\n")


def test_the_committed_files_lie_where_generate_writes_them() -> None:
    assert {path.stem for path in GENERATED.glob("*.json")} == {board.uid for board in dashboards()}
