"""All cases: those of each module in `cases/`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.alerts.case import Case

FOLDER = Path(__file__).with_name("cases")


@cache
def cases() -> tuple[Case, ...]:
    """Return all cases."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]))
    return tuple(case for name in names for case in importlib.import_module(f"tests.alerts.cases.{name}").CASES)
