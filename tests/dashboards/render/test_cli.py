"""`simplicity dashboards render` as a person types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from dashboards.cli_render import register
from tests.runbooks.operations.stack import NOBODY
from tests.support.canned import canned

if TYPE_CHECKING:
    from pathlib import Path

EMPTY: tuple[int, object] = (200, {"data": {"result": []}})


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    register(made)
    # With a single command typer would take its name away.
    made.command("other")(lambda: None)
    return made


def document(path: Path, url: str) -> str:
    path.write_text(json.dumps({"metrics": {"url": url, "labels": {"cluster": "here"}}}))
    return str(path)


class Everything(dict[str, tuple[int, object]]):
    """Answers to any query: nothing is found."""

    def get(self, *_: object) -> tuple[int, object]:
        return EMPTY


def test_a_dashboard_is_drawn_from_the_environments_prometheus(app: typer.Typer, tmp_path: Path) -> None:
    with canned() as server:
        server.answers = Everything()
        where = document(tmp_path / "environment.json", server.url)
        for name in ("overview.html", "overview.png"):
            out = tmp_path / name
            done = CliRunner().invoke(
                app, ["render", "overview", "--out", str(out), "--environment", where, "--from", "-15m"]
            )
            assert done.exit_code == 0, done.output
            assert "panels" in done.output
            assert out.stat().st_size > 1_000
    assert "· here" in (tmp_path / "overview.html").read_text()
    assert "no data in this range" in (tmp_path / "overview.html").read_text()


def test_without_prometheus_the_file_says_so_and_the_exit_code_tells(app: typer.Typer, tmp_path: Path) -> None:
    out = tmp_path / "api.html"
    done = CliRunner().invoke(app, ["render", "api", "--out", str(out), "--prometheus", f"{NOBODY}/", "--json"])
    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    assert len(answer["failed"]) == answer["panels"]
    assert "Connection refused" in done.stderr
    assert "Connection refused" in out.read_text()
    assert "· local" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing", "--out", "a.png"], "there is no dashboard 'nothing'"),
        (["api", "--out", "a.pdf"], "no picture ends in '.pdf'"),
        (["api", "--out", "a.png", "--from", "soon"], "'soon' is no time"),
        (["api", "--out", "a.png", "--environment", "/nowhere.json"], "/nowhere.json: no environment here"),
        (["api", "--out", "a.png", "--environment", "/dev/null"], "/dev/null: is no environment document"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["render", *arguments])
    assert (done.exit_code, says in done.stderr) == (2, True), done.output
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_local_envelope_is_the_default(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["render", "api", "--out", str(tmp_path / "a.png")])
    assert f"simplicity: {tmp_path}/local/environment.json: no environment here" in done.stderr
