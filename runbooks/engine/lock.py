"""One run at a time on a target of an environment, and alone where it wants the whole environment."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from infra.local.lock import HeldError, held
from runbooks.engine.model import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from runbooks.engine.state import Run

DIRECTORY = "locks"


class BusyError(Exception):
    """A target that cannot be worked on now: one line that says by whom it is held and what to do."""


@contextmanager
def locked(runs: Path, environment: str, target: str, holder: str) -> Iterator[None]:
    """Hold a target for a run, and share its environment with those that have other targets.

    Raises BusyError at once when somebody else holds it. The kernel drops the lock with the process.
    """
    directory = runs / DIRECTORY / f"in-{quote(environment, safe='')}"
    who = f"{holder} (pid {os.getpid()})"
    try:
        with held(directory / WHOLE, who, shared=target != WHOLE):
            if target == WHOLE:
                yield
            else:
                with held(directory / target, who):
                    yield
    except HeldError as error:
        found = str(error) or _first_holder(directory) or "another run"
        raise BusyError(f"{environment}/{target}: {found} is at work there; wait until it has finished") from None


def _first_holder(directory: Path) -> str:
    """Return who holds one of the targets; those that share the environment are named there."""
    for path in sorted(directory.iterdir()):
        if path.name == WHOLE:
            continue
        try:
            with held(path, "", shared=True):
                pass
        except HeldError as error:
            return str(error)
    return ""


def in_the_way(runs: Iterable[Run], environment: str, target: str) -> Run | None:
    """Return a run that was left unfinished on a target, on all of its environment, or on a part of it."""
    return next((run for run in runs if run.environment == environment and _blocks(run, target)), None)


def _blocks(run: Run, target: str) -> bool:
    return not run.is_over and (run.target == target or WHOLE in {run.target, target})
