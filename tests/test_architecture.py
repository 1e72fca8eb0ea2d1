"""The arrows between folders, and what a command may drag in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runbooks.cli import MOUNTS

ROOT = Path(__file__).parent.parent
HEAVY = ("alembic", "btclib", "fastapi", "httpx2", "pbk", "psycopg", "sqlalchemy", "supervisor", "uvicorn")


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT)


def test_folders_import_only_what_the_architecture_allows() -> None:
    done = python("from importlinter.cli import lint_imports_command; lint_imports_command()")
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_a_forbidden_import_breaks_its_contract(tmp_path: Path) -> None:
    for package in ("audit", "indexer", "infra", "runbooks", "alerts", "dashboards", "loadtests"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    for package in ("indexer/protocol", "indexer/store", "indexer/sync", "indexer/api"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "infra" / "sneaky.py").write_text("import indexer.protocol\n")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.'); {code}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert "infra knows only alerts and dashboards BROKEN" in done.stdout


@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_the_overview_loads_no_sub_command(asked: str) -> None:
    code = (
        f"import sys; sys.argv = ['simplicity', {asked!r}]\n"
        "from runbooks.cli import app\n"
        "try: app()\n"
        "except SystemExit as end: assert not end.code\n"
        f"print('loaded:', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = python(code)
    assert done.stdout.splitlines()[-1] == "loaded: []", done.stdout + done.stderr
    assert all(name in done.stdout for name in MOUNTS)


@pytest.mark.parametrize("name", MOUNTS)
def test_every_sub_command_explains_itself(name: str) -> None:
    done = python("from runbooks.cli import main; main()", name, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_a_missing_extra_is_one_clear_line() -> None:
    code = "import sys; sys.modules['pbk'] = None; from runbooks.cli import main; main()"
    done = python(code, "node", "--data-dir", "/nonexistent")
    assert done.returncode == 2
    assert done.stderr == (
        "simplicity node: needs the package 'pbk'; install the extra: pip install 'simplicity[local]'\n"
    )
    assert done.stdout == ""


def test_an_unknown_sub_command_is_refused() -> None:
    done = python("from runbooks.cli import main; main()", "deploi")
    assert done.returncode == 2
    assert "No such command" in done.stderr
