"""What the commands of `simplicity runbook` have in common: what is asked, chosen and refused."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

import typer

from infra.environment import EnvironmentFileError, load
from infra.local.layout import EnvelopeError, layout
from runbooks.engine.arguments import ArgumentError
from runbooks.engine.journal import JournalError, all_runs
from runbooks.engine.lock import BusyError, in_the_way
from runbooks.engine.registry import RegistryError
from runbooks.engine.run import RunError, WrongRunError, ways_on
from runbooks.engine.telling import plain
from runbooks.engine.wiring import runs_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.engine.dry import Planned
    from runbooks.engine.model import Teller
    from runbooks.engine.run import Place
    from runbooks.engine.state import Run

EXIT_NOTHING_DONE, EXIT_USAGE, EXIT_BUSY, EXIT_INTERRUPTED = 1, 2, 3, 130


def chosen(which: str | None) -> Run:
    """Return the run that is meant: the one named, or the only one that is not over."""
    found = [each for each in all_runs(runs_home()) if (each.id == which if which else not each.is_over)]
    if len(found) == 1:
        return found[0]
    if which:
        fail(f"there is no run {which[:100]!r}; `simplicity runbook runs` lists them", EXIT_USAGE)
    if not found:
        fail("no run is unfinished; `simplicity runbook runs` lists them all", EXIT_USAGE)
    return fail(f"name one of the unfinished runs: {', '.join(each.id for each in found)}", EXIT_USAGE)


def rehearse(name: str, parts: Iterator[Planned], teller: Teller, *, only_plan: bool, as_json: bool) -> None:
    """Show a dry run and, unless it is all that is wanted, ask whether to go on; exits where that is not so."""
    plan = []
    for each in parts:
        plan.append(each)
        teller.say(each.sentence)
    asks = not only_plan and may_ask()
    if as_json and not asks:
        typer.echo(json.dumps({"runbook": name, "dry_run": [asdict(each) for each in plan]}, indent=2))
    if plan[-1].stops:
        fail("a run would stop here: nothing was done", EXIT_NOTHING_DONE)
    if only_plan:
        raise typer.Exit
    if not asks:
        fail("nothing was done; repeat it with --yes", EXIT_NOTHING_DONE)
    if not typer.confirm(f"{name} destroys something. Carry it out?", err=True):
        fail("nothing was done", EXIT_NOTHING_DONE)


def document_of(path: Path | None) -> tuple[Environment, Path]:
    """Return an environment and where its document lies. Raises EnvironmentFileError."""
    path = (path or layout().environment).absolute()
    return load(path), path


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def fail(message: str, code: int) -> NoReturn:
    """Say in one line what is wrong, and exit."""
    typer.echo(f"simplicity: {plain(message)}", err=True)
    raise typer.Exit(code)


def may_ask() -> bool:
    """Whether a person sits at a terminal."""
    return sys.stdout.isatty() and sys.stdin.isatty()


@contextmanager
def interruptible(place: Place, target: str) -> Iterator[None]:
    """Say how an interrupted run is gone on with."""
    try:
        yield
    except KeyboardInterrupt:
        left = in_the_way(all_runs(place.runs), place.environment.name, target)
        fail(f"interrupted; {ways_on(left) if left else 'nothing was begun'}", EXIT_INTERRUPTED)


@contextmanager
def explained() -> Iterator[None]:
    """Make one line and an exit code of what stops a command."""
    try:
        yield
    except BusyError as error:
        fail(str(error), EXIT_BUSY)
    except (RunError, JournalError) as error:
        fail(str(error), EXIT_NOTHING_DONE)
    except (RegistryError, ArgumentError, WrongRunError, EnvironmentFileError, EnvelopeError) as error:
        fail(str(error), EXIT_USAGE)
