"""One run at a time on a target; who wants the whole environment has it alone; a killed holder holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from runbooks.engine.journal import event
from runbooks.engine.lock import BusyError, in_the_way, locked
from runbooks.engine.model import WHOLE
from runbooks.engine.state import Kind, Run, fold
from tests.runbooks.engine.support import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = """
import sys, time
from pathlib import Path
from runbooks.engine.lock import locked
with locked(Path(sys.argv[1]), "local", sys.argv[2], "run abc"):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def _held(runs: Path, target: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(runs), target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("holds", "wants"), [("api-1", "api-1"), (WHOLE, WHOLE), (WHOLE, "api-1"), ("api-1", WHOLE), ("sync", WHOLE)]
)
def test_who_comes_second_is_told_who_holds_it(tmp_path: Path, holds: str, wants: str) -> None:
    (tmp_path / "locks/in-local").mkdir(parents=True)
    (tmp_path / "locks/in-local/a-target-that-was-held-once").touch()
    with _held(tmp_path, holds) as process:
        line = rf"^local/{wants}: run abc \(pid {process.pid}\) is at work there; wait until it has finished$"
        with pytest.raises(BusyError, match=line), locked(tmp_path, "local", wants, "run xyz"):
            pass


def test_other_targets_and_other_environments_are_free(tmp_path: Path) -> None:
    with (
        _held(tmp_path, "api-1"),
        locked(tmp_path, "local", "api-2", "run xyz"),
        locked(tmp_path, "../local", WHOLE, "run xyz"),
    ):
        assert {path.name for path in (tmp_path / "locks").iterdir()} == {"in-local", "in-..%2Flocal"}


def test_the_lock_goes_with_a_process_that_is_killed(tmp_path: Path) -> None:
    with _held(tmp_path, "api-1") as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with (
            locked(tmp_path, "local", WHOLE, "run xyz"),
            pytest.raises(BusyError, match=r"run xyz \(pid"),
            locked(tmp_path, "local", "api-1", "run abc"),
        ):
            pass


def test_a_holder_that_is_going_is_named_as_another_run(tmp_path: Path) -> None:
    directory = tmp_path / "locks" / "in-local"
    with _held(tmp_path, "api-1"):
        (directory / "api-1").unlink()
        with pytest.raises(BusyError, match="another run is at work"), locked(tmp_path, "local", WHOLE, "run xyz"):
            pass


def _run(target: str, *, over: bool = False, environment: str = "local") -> Run:
    ends = [event(Kind.ENDED, result="done")] if over else []
    return fold("r", [opened(target=target, environment=environment), *ends])


@pytest.mark.parametrize(
    ("run", "target", "blocks"),
    [
        (_run("api-1"), "api-1", True),
        (_run("api-1"), "api-2", False),
        (_run("api-1"), WHOLE, True),
        (_run(WHOLE), "api-1", True),
        (_run(WHOLE, over=True), "api-1", False),
        (_run(WHOLE, environment="other"), WHOLE, False),
    ],
)
def test_an_unfinished_run_is_in_the_way_of_what_touches_the_same(run: Run, target: str, *, blocks: bool) -> None:
    assert (in_the_way([run], "local", target) is run) == blocks
