"""The commands around the local envelope: up, status, logs, open, down, reset."""

from __future__ import annotations

import os
import shutil
import sys
import time
import webbrowser
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from infra.local import display, state
from infra.local import logs as log_files
from infra.local.bring_up import bring_up
from infra.local.component import components
from infra.local.components import api
from infra.local.document import document_of
from infra.local.layout import EnvelopeError, Layout, layout
from infra.local.lock import exclusive
from infra.local.take_down import take_down

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.local.bring_up import Outcome

EXIT_WRONG, EXIT_USAGE, EXIT_DOWN, EXIT_INTERRUPTED = 1, 2, 3, 130
LAST_LINES = 8
FIRST_BLOCK_SECONDS = 20.0

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Wait = Annotated[
    float | None, typer.Option(min=1, help="Seconds that each component may take; without it, its own time-out.")
]
Traffic = Annotated[
    bool | None, typer.Option("--traffic/--no-traffic", help="Let traffic mine blocks; as the last time if not given.")
]
Rate = Annotated[float | None, typer.Option(min=0.01, max=50, help="Blocks a second that traffic mines.")]
Seed = Annotated[str | None, typer.Option(help="Seed of the traffic: the same one makes the same operations.")]


def up(
    *, traffic: Traffic = None, rate: Rate = None, seed: Seed = None, wait: Wait = None, as_json: Json = False
) -> None:
    """Bring the whole envelope up on this machine; a second time changes nothing.

    Data lies in .simplicity/local of the checkout, or where SIMPLICITY_HOME says. Options that are not given stay as
    they were the last time; `simplicity reset` forgets them. Ports that are taken are replaced by free ones.

    Examples: `simplicity up` · `simplicity up --rate 2 --seed 7` · `simplicity up --no-traffic --json`

    Exit code 0: everything answers; 1: something does not, and the rest goes on running.
    """
    place = layout()
    console = Console(stderr=as_json)
    began = time.monotonic()
    with _errors(), exclusive(place.lock, "up"):
        warm = place.ports.exists()
        place.create()
        with display.Progress(console, quiet=as_json) as progress:
            outcome = bring_up(place, progress, patience=wait, traffic=traffic, rate=rate, seed=seed)
            document_of(outcome.envelope).save(place.environment)
            seconds = time.monotonic() - began
            picture = _with_first_block(place, outcome, progress)
    if as_json:
        typer.echo(display.as_json(picture, seconds=round(seconds, 2), warm=warm, **_told(outcome)))
    else:
        console.print()
        display.show_picture(console, picture, advice=False)
        _closing_words(console, place, outcome, _times(outcome, seconds, warm=warm))
    raise typer.Exit(EXIT_WRONG if outcome.failed else 0)


def _with_first_block(place: Layout, outcome: Outcome, progress: display.Progress) -> state.Picture:
    """Wait a while for the first indexed block where traffic makes some, so that there is a tip to show."""
    deadline = time.monotonic() + FIRST_BLOCK_SECONDS
    picture = state.picture(place)
    expects = not outcome.failed and outcome.envelope.options.traffic
    while expects and picture.tip is None and time.monotonic() < deadline:
        progress.note("waiting for the first indexed block")
        time.sleep(0.2)
        picture = state.picture(place)
    return picture


def _told(outcome: Outcome) -> dict[str, object]:
    changed = bool(outcome.started or outcome.removed)
    return {"started": outcome.started, "stopped": outcome.removed, "failed": outcome.failed, "changed": changed}


def _times(outcome: Outcome, seconds: float, *, warm: bool) -> str:
    if not outcome.started:
        return f"stopped     {', '.join(outcome.removed)}" if outcome.removed else "already up: nothing changed"
    setup = os.environ.get("SIMPLICITY_SETUP_SECONDS")
    before = f"set-up {setup} s, " if setup else ""
    return f"times       {before}start {seconds:.1f} s ({'warm' if warm else 'cold: first start'})"


def _closing_words(console: Console, place: Layout, outcome: Outcome, times: str) -> None:
    for name, reason in outcome.failed.items():
        # One that was not even begun says all in its reason; its log would be of another day.
        lines = log_files.last_lines(place.log / f"{name}.log", LAST_LINES) if name in outcome.began else []
        console.print(f"\n{name} is not up: {reason}", style="red", highlight=False, markup=False, soft_wrap=True)
        for line in log_files.shown(lines, "debug"):
            console.print(f"  | {line}", highlight=False, markup=False, soft_wrap=True)
        if name in outcome.began:
            hint = next(c.hint for c in components() if c.name == name)
            console.print(f"  {hint}", highlight=False, markup=False, soft_wrap=True)
    if outcome.failed:
        console.print("\nThe rest goes on running for a look at it; `simplicity down` stops it.", highlight=False)
        return
    if not outcome.envelope.options.traffic:
        console.print("traffic     off; `simplicity up --traffic` lets the chain grow", highlight=False)
    console.print(times, highlight=False)
    address = api.base_url(outcome.envelope)
    console.print("\ntry next", highlight=False)
    for command in (
        f"curl -s {address}/v1/indexer/brc20/list",
        f"{_called_as()} logs sync -f",
        f"{_called_as()} maintenance health",
    ):
        console.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)


def _called_as() -> str:
    """Return what a person has to type: `make up` runs the command without its folder being on the PATH."""
    return "simplicity" if shutil.which("simplicity") else os.path.relpath(sys.argv[0])


def status(*, as_json: Json = False) -> None:
    """Show what runs where, the tip and the state hash.

    Examples: `simplicity status` · `simplicity status --json | jq .tip.height`

    Exit code 0: all components answer; 1: something is wrong; 3: the envelope is not up.
    """
    place = layout()
    with _errors():
        picture = state.picture(place)
    if as_json:
        typer.echo(display.as_json(picture))
    elif picture.leftovers:
        typer.echo(
            f"the supervisor is gone, {picture.leftovers} processes are left; `simplicity up` or `down` mends that"
        )
    elif picture.overall is state.Overall.DOWN:
        typer.echo(f"not up: `simplicity up` starts it ({place.data})")
    else:
        display.show_picture(Console(), picture)
    raise typer.Exit(
        {state.Overall.RUNNING: 0, state.Overall.WRONG: EXIT_WRONG, state.Overall.DOWN: EXIT_DOWN}[picture.overall]
    )


def logs(
    component: Annotated[str, typer.Argument(help="Which component; all if not given.")] = "",
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written, until Ctrl-C.")] = False,
    count: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 20,
    level: Annotated[str, typer.Option(help="This level and worse: debug, info, warning, error, critical.")] = "debug",
) -> None:
    """Show or follow the logs of the envelope.

    Examples: `simplicity logs sync -f` · `simplicity logs --level warning -n 50`
    """
    place = layout()
    known = [*(c.name for c in components()), "supervisord"]
    if component and component not in known:
        _fail(f"there is no component {component!r}; there are {', '.join(known)}", EXIT_USAGE)
    if level.lower() not in log_files.LEVELS:
        _fail(f"there is no level {level!r}; there are {', '.join(log_files.LEVELS)}", EXIT_USAGE)
    names = [component] if component else known
    paths = {name: place.log / f"{name}.log" for name in names}
    if not follow and not any(path.exists() for path in paths.values()):
        _fail(f"no logs in {place.log}; `simplicity up` starts the envelope", EXIT_DOWN)
    for name in names:
        _print_lines(name, log_files.last_lines(paths[name], count), level.lower(), labelled=not component)
    if follow:
        try:
            for name, line in log_files.follow(paths):
                _print_lines(name, [line], level.lower(), labelled=not component)
        except (KeyboardInterrupt, BrokenPipeError):
            raise typer.Exit(0) from None


def _print_lines(name: str, raw: list[str], level: str, *, labelled: bool) -> None:
    for text in log_files.shown(raw, level):
        typer.echo(f"{name:<13} {text}" if labelled else text)


def open_(
    page: Annotated[str, typer.Argument(help="api, docs (the API's) or prometheus.")] = "docs",
) -> None:
    """Print the address of a page of the envelope, and open it where there is a browser.

    Examples: `simplicity open` · `simplicity open prometheus`
    """
    envelope = state.existing(layout())
    if envelope is None:
        _fail("the envelope is not up; `simplicity up` starts it", EXIT_DOWN)
    urls = {c.name: c.url(envelope) for c in components()}
    pages = {"api": urls["api"], "docs": f"{urls['api']}/docs", "prometheus": urls["prometheus"]}
    if page not in pages:
        _fail(f"there is no page {page!r}; there are {', '.join(pages)}", EXIT_USAGE)
    typer.echo(pages[page])
    # A text browser would take the terminal over.
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(pages[page])


def down() -> None:
    """Stop the envelope; no process is left, its data stays.

    Example: `simplicity down`
    """
    place = layout()
    with _errors(), exclusive(place.lock, "down"):
        stopped = take_down(place)
    typer.echo(f"down: {stopped} processes stopped, data kept in {place.data}" if stopped else "nothing was running")


def reset(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop the envelope and delete its data: chain, database, metrics, logs, options. Unpacked tools stay.

    Without a terminal and without --yes it only says what it would do.

    Examples: `simplicity reset` · `simplicity reset --yes`
    """
    place = layout()
    if not yes:
        typer.echo(f"this stops the envelope and deletes {place.data}")
        if not sys.stdin.isatty():
            _fail("nothing was done; repeat it with --yes", EXIT_WRONG)
        typer.confirm("go on?", abort=True)
    with _errors(), exclusive(place.lock, "reset"):
        take_down(place)
        if place.data.is_symlink() or not place.data.exists():
            place.data.unlink(missing_ok=True)
        else:
            shutil.rmtree(place.data)
    typer.echo(f"reset: {place.data} is gone")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except EnvelopeError as error:
        _fail(str(error), EXIT_WRONG)
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}", EXIT_WRONG)
    except KeyboardInterrupt:
        _fail(
            "interrupted; what runs goes on: `simplicity status` shows it, `simplicity down` stops it", EXIT_INTERRUPTED
        )


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"simplicity: {message}", err=True)
    raise typer.Exit(code)
