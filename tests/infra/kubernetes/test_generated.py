"""`.ci/check_kubernetes.py`: what the chart carries of rules and dashboards is what their sources give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from infra.kubernetes import monitoring
from tests.support.scripts import ROOT
from tests.support.scripts import script as load

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

COMMAND = "run: .venv/bin/python .ci/check_kubernetes.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Return the script, which works on a copy of nothing: an empty checkout."""
    module = load("check_kubernetes")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def call(script: Any, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:  # noqa: ANN401 - a module by path
    monkeypatch.setattr("sys.argv", ["check_kubernetes.py", *arguments])
    code: int = script.main()
    return code


def test_the_committed_files_are_what_alerts_and_dashboards_give(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "ROOT", ROOT)
    assert call(script, monkeypatch, "--check") == 0, capsys.readouterr().err


def test_a_file_that_is_missing_changed_or_left_over_is_named_and_mended(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(script, monkeypatch) == 0
    assert call(script, monkeypatch, "--check") == 0
    (tmp_path / f"{monitoring.BOARDS}/api.json").write_text("{}")
    (tmp_path / f"{monitoring.RULES}/gone.yaml").write_text("groups: []")
    (tmp_path / f"{monitoring.RULES}/slo.yaml").unlink()
    assert call(script, monkeypatch, "--check") == 1
    named = capsys.readouterr().err.splitlines()
    paths = (f"{monitoring.BOARDS}/api.json", f"{monitoring.RULES}/gone.yaml", f"{monitoring.RULES}/slo.yaml")
    assert named == [f"{path} is not what alerts and dashboards give; {COMMAND}" for path in paths]
    assert call(script, monkeypatch) == 0
    assert not (tmp_path / f"{monitoring.RULES}/gone.yaml").exists()
    assert call(script, monkeypatch, "--check") == 0


def test_a_rule_that_no_cluster_can_answer_does_not_pass(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(monitoring, "NO_ALERTS", {})
    assert call(script, monkeypatch) == 2
    assert capsys.readouterr().err.startswith('up{job="haproxy"} == 0: asks a balancer that no cluster has')
