"""`simplicity alerts`: the rules and why they are as they are; what else there is comes from modules of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_args

import typer

from alerts import cli_live, cli_receivers
from alerts.model import Place

if TYPE_CHECKING:
    from alerts.model import Alert, Links

EXIT_WRONG, EXIT_USAGE = 1, 2
PROMTOOL_SECONDS = 60

app = typer.Typer(no_args_is_help=True, help="Alerts: the rules and their reasons, what fires, silences.")
cli_live.register(app)
cli_receivers.register(app)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Where = Annotated[str, typer.Option("--place", help="Only the rules of this place: local, fleet or cloud.")]
Faster = Annotated[float, typer.Option("--scale", min=1, help="How many times shorter windows and waits are.")]


@app.callback()
def _root() -> None:
    """Alerts: the rules and their reasons, what fires, silences."""


@app.command("list")
def list_(*, place: Where = "", as_json: AsJson = False) -> None:
    """List all alerts: severity, team, and the runbook that answers them.

    Exit code 0: listed; 1: the rules contradict each other; 2: no such place.

    Examples: simplicity alerts list; simplicity alerts list --place local --json
    """
    found = _alerts(place)
    if as_json:
        typer.echo(json.dumps([_as_dict(alert) for alert in found], indent=2))
        return
    for alert in found:
        tier = dict(alert.labels).get("tier")
        name = f"{alert.name}, tier {tier}" if tier else alert.name
        typer.echo(f"{name:34} {alert.severity:9} {alert.team:9} {alert.runbook}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The alert; `simplicity alerts list` names them.")],
    *,
    scale: Faster = 1.0,
    as_json: AsJson = False,
) -> None:
    """Show an alert: its condition, why it is this much and this long, whom it hurts, what to do.

    Exit code 0: shown; 1: the rules contradict each other; 2: there is no such alert.

    Examples: simplicity alerts show HighErrorRate; simplicity alerts show ApiAvailabilityBurn --json
    """
    from alerts.model import Scale  # noqa: PLC0415 - not needed for --help
    from alerts.pages import shown  # noqa: PLC0415 - the same

    found = [alert for alert in _alerts("") if alert.name == name]
    if not found:
        _fail(f"there is no alert {name!r}: `simplicity alerts list` names them", EXIT_USAGE)
    if as_json:
        typer.echo(json.dumps([_as_dict(alert) for alert in found], indent=2))
    else:
        typer.echo("\n\n".join(shown(alert, Scale(factor=scale)) for alert in found))


@app.command()
def rules(
    *,
    place: Where = "",
    links: Annotated[
        str, typer.Option(metavar="URL", help="The operations page that annotations link to; fleet and cloud need it.")
    ] = "",
    scale: Faster = 1.0,
    out: Annotated[
        Path | None, typer.Option(help="The directory that gets a file for each group; without it: printed.")
    ] = None,
) -> None:
    """Write the rules as Prometheus reads them.

    Without --links annotations name files of this repository, which nobody can open from a message.

    Exit code 0: written; 1: the rules contradict each other, or the directory cannot be written; 2: no such place, or
    no page to link to.

    Examples: simplicity alerts rules --scale 300;
    simplicity alerts rules --place fleet --links https://operations.example.com --out /etc/prometheus/rules
    """
    wanted = _place(place)
    texts = _rendered(wanted, scale, _links(links, wanted))
    if out is None:
        typer.echo("---\n".join(texts.values()), nl=False)
        return
    try:
        _write(out, texts)
    except OSError as error:
        _fail(f"cannot write to {out} ({error.strerror})", EXIT_WRONG)
    typer.echo(f"{len(texts)} files of rules in {out}")


@app.command()
def check(*, place: Where = "", scale: Faster = 1.0) -> None:
    """Check the rules: that they are complete and do not contradict each other, and with promtool that they parse.

    Exit code 0: they are good; 1: they are not; 2: no such place.

    Examples: simplicity alerts check; simplicity alerts check --place local --scale 300
    """
    texts = _rendered(_place(place), scale)
    promtool = shutil.which("promtool")
    if promtool is None:
        typer.echo(f"{len(texts)} groups of rules are complete; promtool is not in PATH, so nothing has parsed them")
        return
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), texts)
        command = [promtool, "check", "rules", "--lint-fatal", *sorted(texts)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=folder, timeout=PROMTOOL_SECONDS
        )
    if done.returncode != 0:
        _fail(" ".join((done.stderr or done.stdout).split()), EXIT_WRONG)
    typer.echo(f"{len(texts)} groups of rules are complete, and promtool accepts them")


# --- what the commands share -----------------------------------------------------------------------------------------
def _place(name: str) -> Place | None:
    places = {place: place for place in get_args(Place)}
    if name and name not in places:
        _fail(f"there is no place {name!r}: local, fleet or cloud", EXIT_USAGE)
    return places.get(name)


def _links(url: str, place: Place | None) -> Links | None:
    from alerts.model import Links  # noqa: PLC0415 - not needed for --help

    if not url:
        if place in {"fleet", "cloud"}:
            _fail(f"rules of the {place} link to its operations page: give its address with --links URL", EXIT_USAGE)
        return None
    try:
        return Links.of_page(url)
    except ValueError as error:
        _fail(f"--links: {error}", EXIT_USAGE)


def _alerts(place: str) -> tuple[Alert, ...]:
    from alerts import rulebook  # noqa: PLC0415 - not needed for --help

    wanted = _place(place)
    try:
        return rulebook.alerts(wanted)
    except rulebook.RulebookError as error:
        _fail(str(error), EXIT_WRONG)


def _rendered(place: Place | None, scale: float, links: Links | None = None) -> dict[str, str]:
    """Return the text of each group's file."""
    from alerts import render, rulebook  # noqa: PLC0415 - not needed for --help
    from alerts.model import Links, Scale  # noqa: PLC0415 - the same

    try:
        groups = rulebook.groups()
    except rulebook.RulebookError as error:
        _fail(str(error), EXIT_WRONG)
    size, page = Scale(factor=scale), links or Links()
    return {f"{each.name}.yaml": render.as_yaml(each, scale=size, links=page, place=place) for each in groups}


def _write(folder: Path, texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _as_dict(alert: Alert) -> dict[str, Any]:
    return {
        "name": alert.name,
        "severity": alert.severity.value,
        "team": alert.team,
        "expr": " ".join(alert.expr.split()),
        "for": alert.hold,
        "absent": alert.absent,
        "labels": dict(alert.labels),
        "places": sorted(alert.places),
        "reason": " ".join(alert.reason.split()),
        "summary": " ".join(alert.summary.split()),
        "description": " ".join(alert.description.split()),
        "runbook": alert.runbook,
        "dashboard": alert.dashboard,
    }


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"alerts: {message}", err=True)
    raise typer.Exit(code)
