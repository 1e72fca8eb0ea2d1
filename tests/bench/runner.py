"""Runs stages, each in a process of its own, so that its CPU seconds and memory are its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tests.bench.progress import Progress
from tests.bench.task import Figures, Said, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LOG_LINES = 5


class StageError(Exception):
    """A stage ended without figures."""


def run(task: Task, what: str, log: Path) -> Figures:
    """Run a stage to its end and return its figures. Raises StageError with the end of its log."""
    command = [sys.executable, "-m", "tests.bench.stages"]
    with log.open("wb") as errors, Progress(what, 1) as progress:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, bufsize=0
        )
        try:
            figures = _listen(process, task, progress)
        finally:
            process.kill()
            process.wait()
    if figures is None:
        last = log.read_text().splitlines()[-LOG_LINES:]
        raise StageError("\n".join([f"{what}: ended with exit code {process.returncode}", *last]))
    return figures


def _listen(process: subprocess.Popen[bytes], task: Task, progress: Progress) -> Figures | None:
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin as stdin:
        stdin.write(msgspec.json.encode(task))
    figures = None
    with process.stdout as stdout:
        for said in _lines(stdout):
            progress.at(said.at)
            figures = said.figures or figures
    process.wait()
    return figures


def _lines(stdout: Any) -> Iterator[Said]:  # noqa: ANN401 - a raw pipe has no public type
    for line in stdout:
        yield msgspec.json.decode(line, type=Said)
