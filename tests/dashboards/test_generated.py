"""`.ci/check_dashboards.py`: committed files are what the dashboards give, and a wrong dashboard does not pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.scripts import ROOT
from tests.support.scripts import script as load

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

COMMAND = "run: .venv/bin/python .ci/check_dashboards.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Return the script, which works on a copy of nothing: an empty checkout."""
    module = load("check_dashboards")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "dashboards").mkdir()
    (tmp_path / "docs").mkdir()
    return module


def call(script: Any, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:  # noqa: ANN401 - a module by path
    monkeypatch.setattr("sys.argv", ["check_dashboards.py", *arguments])
    code: int = script.main()
    return code


def test_the_committed_files_are_what_the_dashboards_give(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "ROOT", ROOT)
    assert call(script, monkeypatch, "--check") == 0, capsys.readouterr().err


def test_a_file_that_is_missing_changed_or_left_over_is_named_and_mended(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(script, monkeypatch) == 0
    assert call(script, monkeypatch, "--check") == 0
    generated = tmp_path / "dashboards/generated"
    (generated / "api.json").write_text("{}")
    (generated / "gone.json").write_text("{}")
    (tmp_path / "docs/dashboards.md").unlink()
    assert call(script, monkeypatch, "--check") == 1
    named = capsys.readouterr().err.splitlines()
    paths = ("dashboards/generated/api.json", "dashboards/generated/gone.json", "docs/dashboards.md")
    assert named == [f"{path} is not what the dashboards give; {COMMAND}" for path in paths]
    assert call(script, monkeypatch) == 0
    assert not (generated / "gone.json").exists()
    assert call(script, monkeypatch, "--check") == 0


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_wrong_dashboard_does_not_pass(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    call(script, monkeypatch)
    monkeypatch.setattr(script, "wrong", lambda: ["api: Answers: it has no witness"])
    assert call(script, monkeypatch, *arguments) == 1
    assert "api: Answers: it has no witness" in capsys.readouterr().err
