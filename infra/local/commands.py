"""The commands around the local envelope: up, status, logs, open, restart, down, reset."""

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
from infra.local.component import components, named
from infra.local.document import document_of, env_file_of
from infra.local.layout import EnvelopeError, Layout, layout, write_private
from infra.local.lock import exclusive
from infra.local.pages import pages
from infra.local.restart import restart as restart_components
from infra.local.supervisor import Supervisor
from infra.local.take_down import take_down

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from infra.local.bring_up import Outcome

SUPERVISOR = "supervisord"
EXIT_WRONG, EXIT_USAGE, EXIT_DOWN, EXIT_INTERRUPTED = 1, 2, 3, 130
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
Backups = Annotated[
    str | None,
    typer.Option(help="Where backups lie: file:///directory or s3://bucket/prefix (by AWS_… of this shell)."),
]
Anchor = Annotated[str | None, typer.Option(help="The audit trail's second place, of the same form.")]
AlertScale = Annotated[
    float | None,
    typer.Option(min=1, max=100_000, help="How many times shorter than real the windows of the alerts are."),
]


def up(  # noqa: PLR0913 - one parameter an option
    *,
    traffic: Traffic = None,
    rate: Rate = None,
    seed: Seed = None,
    backups: Backups = None,
    anchor: Anchor = None,
    alert_scale: AlertScale = None,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Bring the whole envelope up on this machine; a second time changes nothing.

    Data lies in .simplicity/local of the checkout, or where SIMPLICITY_HOME says. Options that are not given stay as
    they were the last time; `simplicity reset` forgets them. Ports that are taken are replaced by free ones.

    Examples: `simplicity up` · `simplicity up --rate 2 --seed 7` · `simplicity up --no-traffic --json` ·
    `simplicity up --backups s3://backups/dev` · `simplicity up --alert-scale 1440`

    Exit code 0: everything answers; 1: something does not, and the rest goes on running.
    """
    place = layout()
    console = Console(stderr=as_json)
    began = time.monotonic()
    with _errors(), exclusive(place.lock, "up"):
        warm = place.ports.exists()
        place.create()
        with display.Progress(console, quiet=as_json) as progress:
            wishes = {"traffic": traffic, "rate": rate, "seed": seed, "backups": backups, "anchor": anchor}
            wishes["alert_scale"] = alert_scale
            outcome = bring_up(place, progress, patience=wait, **wishes)
            document_of(outcome.envelope).save(place.environment)
            write_private(place.env_file, env_file_of(outcome.envelope))
            seconds = time.monotonic() - began
            picture = _with_first_block(place, outcome, progress)
    if as_json:
        typer.echo(display.as_json(picture, seconds=round(seconds, 2), warm=warm, **_told(outcome)))
    else:
        console.print()
        display.show_picture(console, picture, advice=False)
        display.closing_words(console, place.log, outcome, display.times(outcome, seconds, warm=warm))
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


def logs(  # noqa: PLR0913 - one parameter an option
    component: Annotated[
        str, typer.Argument(help="Which component, or `api` for all its processes; all if not given.")
    ] = "",
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written, until Ctrl-C.")] = False,
    count: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 20,
    level: Annotated[str, typer.Option(help="This level and worse: debug, info, warning, error, critical.")] = "debug",
    request_id: Annotated[
        str, typer.Option(help="Only lines of this request, as its answer names it in X-Request-ID.")
    ] = "",
    user: Annotated[str, typer.Option(help="Only lines of requests with this API key, by its id.")] = "",
) -> None:
    """Show or follow the logs of the envelope.

    Examples: `simplicity logs sync -f` · `simplicity logs --level warning -n 50` · `simplicity logs api -f` ·
    `simplicity logs --request-id 6c1f04b2-3a55-4c53-8b5e-1f6f6f1f0a11` · `simplicity logs api --user 3f9a1c5b7d20 -f`
    """
    place = layout()
    if level.lower() not in log_files.LEVELS:
        _fail(f"there is no level {level!r}; there are {', '.join(log_files.LEVELS)}", EXIT_USAGE)
    fields = {"request_id": request_id, "user_id": user}
    wanted = log_files.Wanted(level.lower(), {name: value for name, value in fields.items() if value})
    names = _log_names(component)
    paths = {name: place.log / f"{name}.log" for name in names}
    if not follow and not any(path.exists() for path in paths.values()):
        _fail(f"no logs in {place.log}; `simplicity up` starts the envelope", EXIT_DOWN)
    labelled = len(names) > 1
    for name in names:
        _print_lines(name, log_files.last(paths[name], count, wanted), labelled=labelled)
    if follow:
        try:
            for name, line in log_files.follow(paths):
                _print_lines(name, log_files.shown([line], wanted), labelled=labelled)
        except (KeyboardInterrupt, BrokenPipeError):
            raise typer.Exit(0) from None


def _log_names(asked: str) -> list[str]:
    if asked == SUPERVISOR:
        return [SUPERVISOR]
    found = named(asked) if asked else components()
    if not found:
        _fail_unknown(asked, SUPERVISOR)
    return [component.name for component in found] + ([] if asked else [SUPERVISOR])


def _print_lines(name: str, lines: Iterable[str], *, labelled: bool) -> None:
    for line in lines:
        typer.echo(f"{name:<{display.NAME_WIDTH}} {line}" if labelled else line)


def open_(
    page: Annotated[
        str, typer.Argument(help="operations, api, docs (the API's), prometheus, or grafana where it is.")
    ] = "operations",
) -> None:
    """Print the address of a page of the envelope, and open it where there is a browser.

    Without a name that is the page for the person on call: health, firing alerts, budgets, dashboards.

    Examples: `simplicity open` · `simplicity open docs`
    """
    envelope = state.existing(layout())
    if envelope is None:
        _fail("the envelope is not up; `simplicity up` starts it", EXIT_DOWN)
    found = pages(envelope)
    if page not in found:
        _fail(f"there is no page {page!r}; there are {', '.join(found)}", EXIT_USAGE)
    typer.echo(found[page])
    # A text browser would take the terminal over.
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(found[page])


def restart(
    names: Annotated[list[str], typer.Argument(help="Components; `api` stands for all its processes.")],
    *,
    wait: Wait = None,
) -> None:
    """Restart components one after the other; each has to answer before the next is stopped.

    Processes of the API finish what they are answering, while the others serve: no request fails.

    Examples: `simplicity restart api` · `simplicity restart sync bitcoin-node`

    Exit code 0: all answer again; 1: one does not, and those after it were left alone; 2: there is no such component;
    3: the envelope is not up.
    """
    wanted = []
    for name in names:
        found = named(name)
        if not found:
            _fail_unknown(name)
        wanted += [component for component in found if component not in wanted]
    place = layout()
    with _errors(), exclusive(place.lock, "restart"):
        envelope = state.existing(place)
        if envelope is None or Supervisor(place).pid() is None:
            _fail("the envelope is not up; `simplicity up` starts it", EXIT_DOWN)
        with display.Progress(Console()) as progress:
            failed = restart_components(envelope, wanted, progress, patience=wait)
    if failed:
        _fail(f"{failed} is not ready; `simplicity logs {failed}` tells why", EXIT_WRONG)


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
    """Stop the envelope and delete its data: chain, database, metrics, logs, options.

    Unpacked tools stay, and so do backups, their keys and the audit trail's copy.

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


def _fail_unknown(name: str, *others: str) -> NoReturn:
    known = dict.fromkeys(part for component in components() for part in (component.group, component.name) if part)
    _fail(f"there is no component {name!r}; there are {', '.join((*known, *others))}", EXIT_USAGE)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"simplicity: {message}", err=True)
    raise typer.Exit(code)
