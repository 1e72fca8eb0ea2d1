from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tests.bench.api import report
from tests.bench.api.__main__ import Part, api
from tests.bench.api.endpoints import ENDPOINTS
from tests.bench.runner import ROOT


def bench_api(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench.api", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=600)


@pytest.mark.proof
def test_a_run_measures_an_endpoint_beside_the_bare_one_and_leaves_only_its_database(tmp_path: Path) -> None:
    cache, figures = tmp_path / "cache", tmp_path / "figures.json"
    done = bench_api("--quick", "--only", "holders", "--cache", str(cache), "--json", str(figures))
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    ways = found["closed"]["holders"]["50"]
    assert all(ways[way]["rate"] > 0 and not ways[way]["errors"] for way in ("bare", "warm", "cold"))
    assert ways["warm"]["hits"] > 0.9
    assert ways["cold"]["hits"] == 0
    assert ways["warm"]["cpu"].keys() == {"server", "postgresql", "valkey", "client"}
    assert found["bodies"]["holders"]["compared"] > 0
    assert found["bodies"]["holders"]["differences"] == []
    assert found["queries"]["holders"]["count"] > 0
    assert found["whole_reads"] == 0
    assert [path.name.rpartition("-")[0] for path in cache.iterdir()] == ["api-50400"]


@pytest.mark.proof
def test_a_quick_run_measures_everything_and_no_fault_is_seen_as_more_than_an_honest_503(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = bench_api("--quick", "--cache", str(tmp_path), "--json", str(figures))
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    assert found["closed"].keys() == {endpoint.name for endpoint in ENDPOINTS}
    assert len(found["faults"]) == 4
    speeds = ("requests/s", "of the bare", "p95")  # what a busy machine changes
    missed = [line for line in report.missed(found) if not any(word in line.figure for word in speeds)]
    assert missed == []


def test_every_endpoint_can_be_measured_by_itself() -> None:
    assert {endpoint.name for endpoint in ENDPOINTS} == set(Part) - {Part.CONNECTIONS, Part.FAULTS}


def test_a_file_that_cannot_be_written_is_said_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        api(json_file=Path("/nowhere/figures.json"))
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == "bench-api: --json: /nowhere is no folder that can be written to\n"


def test_a_setting_of_another_form_is_said_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        api(setting=["api_cache"])
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == "bench-api: --set api_cache: must look like API_CACHE_BYTES=0\n"
