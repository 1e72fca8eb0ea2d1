"""Which runbooks there are: every module of the packages named here that has a `RUNBOOK`, or several as `RUNBOOKS`."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from runbooks.engine.model import Runbook

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

# A package here may hold runbooks; a runbook is a file in one of them.
BOOKS = (
    "runbooks.maintenance.books",
    "runbooks.backup.books",
    "runbooks.deploy.books",
    "runbooks.response.books",
    "runbooks.infrastructure.books",
)
OURS = frozenset({"audit", "indexer", "infra", "runbooks", "tests"})


class RegistryError(Exception):
    """A runbook that is not to be had: one line that says why and what to do."""


def runbooks(packages: Sequence[str] | None = None) -> dict[str, Runbook]:
    """Return all runbooks by name, sorted; by default those of BOOKS. Raises RegistryError, also for one name twice."""
    found: dict[str, Runbook] = {}
    for package in BOOKS if packages is None else packages:
        for module in _modules(package):
            for book in _books(module):
                if book.name in found:
                    raise RegistryError(f"{module.__name__}: there is another runbook {book.name}; rename one of them")
                found[book.name] = book
    return dict(sorted(found.items()))


def runbook(name: str, packages: Sequence[str] | None = None) -> Runbook:
    """Return the runbook of this name. Raises RegistryError where there is none."""
    there = runbooks(packages)
    if name not in there:
        raise RegistryError(f"there is no runbook {name[:60]!r}; there are {', '.join(there)}")
    return there[name]


def _modules(package: str) -> Iterator[ModuleType]:
    folder = _imported(package)
    for module in sorted(pkgutil.iter_modules(folder.__path__), key=lambda module: module.name):
        yield _imported(f"{package}.{module.name}")


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.split(".")[0] in OURS:
            raise
        raise RegistryError(
            f"{name}: needs the package {missing!r}; install the extra: pip install 'simplicity[local]'"
        ) from None


def _books(module: ModuleType) -> Sequence[Runbook]:
    named: Sequence[object] = getattr(module, "RUNBOOKS", None) or (getattr(module, "RUNBOOK", None),)
    books = [book for book in named if isinstance(book, Runbook)]
    if len(books) < len(named):
        raise RegistryError(f"{module.__name__}: has no RUNBOOK, nor RUNBOOKS; give it one, or move it elsewhere")
    return books
