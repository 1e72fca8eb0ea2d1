from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.bench.runner import ROOT, StageError, run
from tests.bench.task import Task

if TYPE_CHECKING:
    from pathlib import Path


def bench_index(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench.index", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=200)


def test_a_run_measures_the_pipeline_on_a_durable_database_and_leaves_only_its_chain(tmp_path: Path) -> None:
    cache, figures = tmp_path / "cache", tmp_path / "figures.json"
    done = bench_index("--only", "files", "--blocks", "40", "--cache", str(cache), "--json", str(figures))
    assert done.returncode == 0, done.stderr
    files = json.loads(figures.read_text())["files"]
    assert files["agrees"]
    assert files["settings"]["fsync"] == files["settings"]["synchronous_commit"] == "on"
    assert (files["blocks"], files["operations"]) == (40, 2_000)
    assert files["working_set"] == files["balances"] // 10
    assert 0 < files["transactions"] < files["statements"] < 40
    assert files["cpu"] > 0
    assert files["server_cpu"] > 0
    assert "fsync=on" in done.stdout
    assert [path.name for path in cache.iterdir()] == ["default-1-40"]


@pytest.mark.proof
def test_a_quick_run_measures_every_stage(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = bench_index("--quick", "--profile", "--cache", str(tmp_path), "--json", str(figures))
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    stages = {"decode", "apply", "files", "rpc", "rpc_without_index", "rest", "mainnet", "tip", "undo"}
    assert stages <= found.keys()
    assert found["rest"]["interface"] == "REST"
    assert all(found[name]["agrees"] for name in ("files", "rpc", "rpc_without_index", "rest"))
    assert "files-main.pstats" in done.stdout


def test_a_file_that_cannot_be_written_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    done = bench_index("--json", str(tmp_path / "nowhere" / "figures.json"))
    assert done.returncode == 2
    assert "no folder that can be written to" in done.stderr


def test_a_chain_too_short_for_the_reorgs_is_said_in_one_line(tmp_path: Path) -> None:
    done = bench_index("--only", "undo", "--blocks", "20", "--cache", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "bench-index: --blocks: reorgs of 100 blocks need a chain of 127 or more\n"
    assert list(tmp_path.iterdir()) == []


def test_a_stage_that_fails_says_so_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"decode only: ended with exit code 1\n[\s\S]*No such file"):
        run(Task("decode", str(tmp_path), 1), "decode only", tmp_path / "log")
