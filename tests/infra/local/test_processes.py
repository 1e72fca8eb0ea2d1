from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from infra.local import processes
from infra.local.layout import EnvelopeError
from infra.local.processes import (
    MARKER,
    Seen,
    belonging,
    child_environment,
    family,
    listening_ports,
    simplicity_command,
    stop_all,
    wait_gone,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = Path("/home/someone/.simplicity/local")


def seen(pid: int, parent: int = 1, *, marker: str = "", executable: str = "", directory: str = "/") -> Seen:
    return Seen(pid, parent, Path(executable).name, marker, executable, directory)


def test_marked_processes_and_all_their_descendants_belong() -> None:
    table = [seen(10, marker=str(DATA)), seen(11, 10), seen(12, 11), seen(13)]
    assert [p.pid for p in belonging(table, DATA)] == [10, 11, 12]


def test_a_database_backend_without_environment_and_parent_is_known_by_program_and_directory() -> None:
    backend = seen(20, executable="/x/bin/postgres", directory=str(DATA / "postgresql"))
    elsewhere = seen(21, executable="/x/bin/postgres", directory="/var/lib/postgresql")
    other_program = seen(22, executable="/bin/bash", directory=str(DATA / "postgresql"))
    assert belonging([backend, elsewhere, other_program], DATA) == [backend]


def test_another_envelope_is_left_alone() -> None:
    assert belonging([seen(30, marker="/home/someone/else/local"), seen(31, 30)], DATA) == []


def test_the_one_who_asks_is_spared() -> None:
    table = [seen(40, marker=str(DATA)), seen(41, 40)]
    assert [p.pid for p in belonging(table, DATA, spare=frozenset({40}))] == [41]


def test_settings_of_the_callers_shell_do_not_reach_the_envelope(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://production")
    monkeypatch.delenv("HOME", raising=False)
    environment = child_environment(DATA)
    assert "DATABASE_URL" not in environment
    assert environment["HOME"] == environment[MARKER] == str(DATA)


@pytest.fixture
def start() -> Iterator[Callable[..., psutil.Process]]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(script: str) -> psutil.Process:
        # The script prints a line when it has set its traps.
        running = subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE)
        started.append(running)
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        return psutil.Process(running.pid)

    yield begin
    for running in started:
        running.kill()
        running.wait(10)
        assert running.stdout is not None
        running.stdout.close()


def test_processes_that_do_not_hear_are_ended_by_force_and_one_that_is_gone_is_no_error(
    start: Callable[..., psutil.Process],
) -> None:
    polite = start("echo ready; exec sleep 60")
    deaf = start('trap "" TERM; echo ready; while :; do sleep 0.05; done')
    frozen = start("echo ready; exec sleep 60")
    gone = start("echo ready")
    frozen.suspend()
    wait_gone([gone], within=5)
    gone.wait(5)
    stop_all([polite, deaf, frozen, gone], patience=0.3)
    assert wait_gone([polite, deaf, frozen, gone], within=0) == []
    assert family(gone.pid) == []
    assert listening_ports([gone]) == frozenset()


def test_one_that_survives_even_force_is_named(
    start: Callable[..., psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a process does that hangs in the kernel, on a dead network disk for instance.
    monkeypatch.setattr(psutil.Process, "send_signal", lambda *_: None)
    monkeypatch.setattr(processes, "KILLED_SECONDS", 0.1)
    stuck = start("echo ready; exec sleep 60")
    with pytest.raises(EnvelopeError, match=rf"processes \[{stuck.pid}\] do not end even by SIGKILL"):
        stop_all([stuck], patience=0.1)


def test_the_command_is_found_also_where_its_script_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for installed in (True, False):
        monkeypatch.setattr(sys, "executable", sys.executable if installed else str(tmp_path / "python"))
        command = simplicity_command("node", "--help")
        assert command[-2:] == ("node", "--help")
        assert Path(command[0]).name == ("simplicity" if installed else "python")
