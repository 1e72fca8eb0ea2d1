"""Programs that look at Alertmanager's configuration."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from infra.local.layout import layout
from infra.local.tools import locate

AMLINT = Path(sys.executable).with_name("amlint")


def amtool(*arguments: str) -> str:
    """Return what amtool prints; it has to end well."""
    return _run([str(_amtool()), *arguments])


def amlint(*arguments: str) -> str:
    """Return what amlint prints; it has to end well."""
    return _run([str(AMLINT), *arguments])


@cache
def _amtool() -> Path:
    return locate("amtool", layout().tools)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
