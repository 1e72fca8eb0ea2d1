"""Which backups retention no longer wants, for an answer that shows them before it removes them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import psutil

from runbooks.backup.driving import place, told
from runbooks.backup.keys import load_trusted
from runbooks.backup.pruning import plan
from runbooks.backup.retention import Policy
from runbooks.engine.lock import BusyError, locked
from runbooks.engine.model import Halt
from runbooks.engine.wiring import runs_home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbooks.engine.model import Context

# What runbooks have for themselves that make backups.
TARGET = "backups"


def planned(context: Context) -> dict[str, Any]:
    """Return what a prune would remove now, and where it would make room; `bytes` is without the WAL. Raises Halt."""
    with told():
        here = place(context, "what is kept is pgBackRest's setting: `pgbackrest expire --dry-run` on a database host")
        repository, trusted = here.repository(), load_trusted(here.keys)
        found, _ = plan(repository, trusted, Policy())
        there, _ = repository.backups(trusted)
        return {
            "where": whereabouts(repository.store.url),
            "removed": found.removed,
            "unfinished": found.unfinished,
            "wal_files": found.wal_files,
            "bytes": sum(each.stored_size for each in there if each.id in found.removed),
            "kept": len(found.kept),
        }


def whereabouts(url: str) -> str:
    """Say on which disk of this machine a repository lies, and how full that is."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return f"the repository {url} lies on no disk of this machine: a prune makes no room here"
    folder = Path(unquote(parts.path))
    try:
        device, usage = folder.stat().st_dev, psutil.disk_usage(str(folder))
    except OSError as error:
        return f"the repository {url} cannot be looked at ({error.strerror})"
    mount = next(
        each for each in (folder, *folder.parents) if each == each.parent or each.parent.stat().st_dev != device
    )
    in_use = f"{usage.percent:g} % of it in use"
    return f"the repository {url} lies on the disk of {mount}, {in_use}: a prune makes room there only"


@contextmanager
def alone(context: Context) -> Iterator[None]:
    """Keep runs that make or prune backups out meanwhile; one that was left unfinished is in nobody's way.

    Raises Halt while such a run is at work.
    """
    try:
        with locked(runs_home(), context.environment.name, TARGET, f"run {context.run}"):
            yield
    except BusyError as error:
        raise Halt(str(error)) from None
