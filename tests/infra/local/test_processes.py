from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.processes import MARKER, Seen, belonging, child_environment

if TYPE_CHECKING:
    import pytest

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
