"""`simplicity runbook`: list, show, run, resume and undo runbooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from runbooks.engine import run as running
from runbooks.engine.arguments import parse_arguments
from runbooks.engine.command import (
    EXIT_USAGE,
    chosen,
    document_of,
    explained,
    fail,
    interruptible,
    is_terminal,
    rehearse,
)
from runbooks.engine.dry import dry_run
from runbooks.engine.journal import all_runs
from runbooks.engine.page import page
from runbooks.engine.registry import runbook, runbooks
from runbooks.engine.report import exit_code, record, summary
from runbooks.engine.telling import plain, telling
from runbooks.engine.wiring import place_of, runs_home

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbooks.engine.model import Runbook
    from runbooks.engine.run import Place
    from runbooks.engine.state import Run

app = typer.Typer(no_args_is_help=True, help="Show runbooks as pages, and carry them out.")

Document = Annotated[
    Path | None,
    typer.Option(envvar="SIMPLICITY_ENVIRONMENT", help="The environment document; without it the local envelope's."),
]
Name = Annotated[str, typer.Argument(help="The runbook; `simplicity runbook list` names them.", show_default=False)]
RunId = Annotated[str | None, typer.Argument(metavar="[RUN]", help="The run; not needed where only one is unfinished.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object; how it goes is told on standard error.")]


@app.callback()
def _root() -> None:
    """Show runbooks as pages, and carry them out."""


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List all runbooks.

    Examples: `simplicity runbook list` · `simplicity runbook list --json`

    Exit code 0: done; 2: a runbook needs a package that is not installed.
    """
    with explained():
        books = runbooks()
    if as_json:
        rows = [{"name": book.name, "title": book.title, "destroys": book.destroys} for book in books.values()]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("runbook", "what it is for", "destroys", box=None, pad_edge=False, header_style="bold")
    for name, book in books.items():
        table.add_row(name, escape(book.title), "yes, asks first" if book.destroys else "nothing")
    Console().print(table)


@app.command()
def show(name: Name, *, as_json: AsJson = False) -> None:
    """Show the page of a runbook: what it means, how it is followed by hand, how it is run.

    Examples: `simplicity runbook show restart-service` · `simplicity runbook show restart-service > page.md`

    Exit code 0: done; 2: no such runbook.
    """
    with explained():
        text = page(runbook(name))
    if as_json:
        typer.echo(json.dumps({"name": name, "page": text}, indent=2))
    elif is_terminal():
        Console().print(Markdown(text))
    else:
        typer.echo(text, nl=False)


@app.command()
def run(  # noqa: PLR0913 - a command's options are its arguments
    name: Name,
    *,
    arg: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="An argument; may be repeated.")] = None,
    only_plan: Annotated[bool, typer.Option("--dry-run", help="Look, and say what would be done.")] = False,
    first: Annotated[str, typer.Option("--from", metavar="STEP", help="Begin at this step; skip those before.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Destroy what the runbook destroys without asking.")] = False,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Carry a runbook out: look, then act and assert step by step, then verify.

    What destroys something with its arguments does a dry run first and asks. A run that was left, whatever ended it, is
    gone on with by `resume` or taken back by `undo`; until then nothing else runs on its target.

    Examples: `simplicity runbook run restart-service --arg service=api-1` ·
    `simplicity runbook run restart-service --arg service=sync --dry-run`

    Exit code 0: done; 1: a step failed, or nothing was done; 2: no such runbook, argument, step or environment; 3: the
    target is held by another run, or one was left unfinished there; 4: a step failed and all was undone; 130:
    interrupted, to be resumed.
    """
    with explained(), telling(as_json=as_json, is_terminal=is_terminal()) as teller:
        book = runbook(name)
        document, path = document_of(environment)
        arguments = parse_arguments(book.parameters, arg or ())
        running.check_first(book, first)
        target = running.target_of(book, arguments)
        if only_plan or (book.destroys_with(arguments) and not yes):
            teller.say(f"dry run of {name} on {document.name}: nothing is changed")
            parts = dry_run(book, arguments, document, teller, first)
            rehearse(name, parts, teller, only_plan=only_plan, as_json=as_json)
        place = place_of(document, path, teller)
        with interruptible(place, target):
            ended = running.start(book, arguments, place, first)
        typer.echo(json.dumps(record(ended, book), indent=2) if as_json else plain(summary(ended, book)))
    raise typer.Exit(exit_code(ended))


@app.command()
def runs(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest.")] = 20,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Only those that are not over.")] = False,
    as_json: AsJson = False,
) -> None:
    """List runs, the newest last: what became of them and how to go on with those that are not over.

    Examples: `simplicity runbook runs` · `simplicity runbook runs --unfinished --json`

    Exit code 0: done; 1: a journal cannot be read; 2: the home cannot be used.
    """
    with explained():
        found = [each for each in all_runs(runs_home()) if not (unfinished and each.is_over)][-limit:]
    if as_json:
        typer.echo(json.dumps([record(each) for each in found], indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("run", "where", "standing", "step", "why"):
        # An id is whole, however narrow the terminal: it is what the next command is given.
        table.add_column(heading, overflow="fold", no_wrap=heading == "run")
    for each in found:
        cells = (each.id, f"{each.environment}/{each.target}", each.standing, each.step, each.why)
        table.add_row(*(escape(plain(cell)) for cell in cells))
    Console().print(table)
    for each in found:
        if not each.is_over:
            typer.echo(f"go on with: {running.ways_on(each)}")


@app.command()
def resume(which: RunId = None, *, as_json: AsJson = False, environment: Document = None) -> None:
    """Go on with a run whose process died, that failed or was interrupted: onwards, or back where it had turned back.

    A step that had begun is first asked whether it holds already; steps that are done are not done again.

    Examples: `simplicity runbook resume` · `simplicity runbook resume 20261130T051200Z-restart-service-3f9a`

    Exit code 0: done; 1: a step failed; 2: no such run; 3: its target is held; 4: undone; 130: interrupted.
    """
    ended = _go_on(which, environment, running.resume, as_json=as_json)
    raise typer.Exit(exit_code(ended))


@app.command()
def undo(which: RunId = None, *, as_json: AsJson = False, environment: Document = None) -> None:
    """Take an unfinished run back: undo every step that had begun, the last one first.

    Examples: `simplicity runbook undo` · `simplicity runbook undo 20261130T051200Z-restart-service-3f9a --json`

    Exit code 0: undone; 1: an undo failed and a person is needed; 2: no such run; 3: its target is held; 130:
    interrupted.
    """
    ended = _go_on(which, environment, running.take_back, as_json=as_json)
    raise typer.Exit(0 if ended.is_over else 1)


@app.command()
def close(
    which: Annotated[str, typer.Argument(metavar="RUN", help="The run.", show_default=False)],
    *,
    why: Annotated[str, typer.Option(help="What was put right by hand; it is kept in the journal and the trail.")],
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """End a run that a person has put right by hand; nothing is done, and its target is free again.

    Examples: `simplicity runbook close 20261130T051200Z-restart-service-3f9a --why "started it by systemctl"`

    Exit code 0: closed; 2: no such run, or no reason; 3: its target is held.
    """

    def put_right(book: Runbook, which: Run, place: Place) -> Run:
        return running.close(book, which, place, why)

    if not why.strip() or not why.isprintable():
        fail("say what was put right: --why TEXT, of one line", EXIT_USAGE)
    _go_on(which, environment, put_right, as_json=as_json)


def _go_on(
    which: str | None, environment: Path | None, how: Callable[[Runbook, Run, Place], Run], *, as_json: bool
) -> Run:
    with explained(), telling(as_json=as_json, is_terminal=is_terminal()) as teller:
        found = chosen(which)
        book = runbook(found.runbook)
        document, path = document_of(environment or Path(found.document))
        place = place_of(document, path, teller)
        with interruptible(place, found.target):
            ended = how(book, found, place)
        typer.echo(json.dumps(record(ended, book), indent=2) if as_json else plain(summary(ended, book)))
    return ended
