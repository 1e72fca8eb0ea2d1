"""`simplicity alerts firing | silence | silences | unsilence | trial`: what Alertmanager does now."""

from __future__ import annotations

import getpass
import json
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from alerts.model import Severity, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from alerts.live import FiringAlert, Silence
    from alerts.place import Place

EXIT_CRITICAL, EXIT_FAILED, EXIT_USAGE = 1, 1, 2

Url = Annotated[str, typer.Option("--alertmanager", help="Alertmanager's URL; without it the environment document's.")]
Document = Annotated[
    Path | None,
    typer.Option(envvar="SIMPLICITY_ENVIRONMENT", help="The environment document; without it the local envelope's."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `simplicity alerts`."""
    for command in (firing, silence, silences, unsilence, trial):
        app.command()(command)


def firing(*, as_json: AsJson = False, alertmanager: Url = "", environment: Document = None) -> None:
    """List the alerts that fire, the worst first: since when, and what to do. The Watchdog, which always does, is none.

    Where Alertmanager is away, Prometheus is asked, which knows of no silences.

    Exit code 0: nothing critical fires that is not silenced; 1: something does; 2: nobody can be asked.

    Examples: simplicity alerts firing; simplicity alerts firing --json
    """
    from alerts.live import AlertingError  # noqa: PLC0415 - not needed for --help

    try:
        listed = _firing(_place(alertmanager, environment))
    except AlertingError as error:
        _fail(str(error), EXIT_USAGE)
    found = [each for each in listed if each.severity is not Severity.NONE]
    if as_json:
        typer.echo(json.dumps([each.as_dict() for each in found], indent=2))
    else:
        for each in found:
            typer.echo(_told(each))
        if not found:
            typer.echo("nothing fires")
    critical = any(each.severity is Severity.CRITICAL and not each.silenced for each in found)
    raise typer.Exit(EXIT_CRITICAL if critical else 0)


def silence(  # noqa: PLR0913 - its options are its arguments
    matchers: Annotated[
        list[str],
        typer.Argument(metavar="MATCHER...", help="An alert's name, NAME=VALUE, !=, =~ or !~; all must hold."),
    ],
    *,
    length: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 3d.")],
    comment: Annotated[str, typer.Option(help="Why, for whoever wonders.")],
    by: Annotated[str, typer.Option(help="Who asks for it; without it the user who runs this.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Let it last more than 7 days.")] = False,
    as_json: AsJson = False,
    alertmanager: Url = "",
    environment: Document = None,
) -> None:
    """Have nobody told of some alerts for a while, as for maintenance; they go on firing and stay listed.

    Refused: what would silence everything, or the Watchdog, whose silence says that alerting itself is broken.

    Exit code 0: done; 1: Alertmanager is away or refuses; 2: a silence that must not be.

    Examples: simplicity alerts silence --for 2h --comment "new disk" instance=api-1;
    simplicity alerts silence --for 30m --comment "restore" 'alertname=~"Database.*"' cluster=local
    """
    from alerts import live  # noqa: PLC0415 - not needed for --help
    from alerts.matcher import MatcherError, parse  # noqa: PLC0415 - as above

    where = _place(alertmanager, environment)
    try:
        wanted = live.requested(
            [parse(each) for each in matchers],
            length=seconds(length),
            comment=comment,
            by=by or _user(),
            however_long=yes,
        )
    except live.LongSilenceError as error:
        _fail(f"{error}; repeat it with --yes", EXIT_USAGE)
    except (ValueError, live.AlertingError) as error:
        _fail(str(error), EXIT_USAGE)
    with _explained():
        try:
            made = live.silence(where.alertmanager, wanted)
        except MatcherError as error:
            _fail(str(error), EXIT_USAGE)
    typer.echo(json.dumps(made.as_dict(), indent=2) if as_json else _described(made))


def silences(*, as_json: AsJson = False, alertmanager: Url = "", environment: Document = None) -> None:
    """List the silences that hold or will.

    Exit code 0: listed; 1: Alertmanager is away; 2: no environment.

    Example: simplicity alerts silences
    """
    from alerts import live  # noqa: PLC0415 - not needed for --help

    with _explained():
        found = live.silences(_place(alertmanager, environment).alertmanager)
    if as_json:
        typer.echo(json.dumps([each.as_dict() for each in found], indent=2))
        return
    for each in found:
        typer.echo(_described(each))
    if not found:
        typer.echo("nothing is silenced")


def unsilence(
    which: Annotated[
        str, typer.Argument(metavar="ID", help="The silence; `simplicity alerts silences` lists them.")
    ] = "",
    *,
    everyone: Annotated[bool, typer.Option("--all", help="End all silences.")] = False,
    as_json: AsJson = False,
    alertmanager: Url = "",
    environment: Document = None,
) -> None:
    """End a silence before its time.

    Exit code 0: ended; 1: no such silence holds, or Alertmanager is away; 2: neither an ID nor --all.

    Examples: simplicity alerts unsilence 0f8fad5b-d9cb-469f-a165-70867728950e; simplicity alerts unsilence --all
    """
    from alerts import live  # noqa: PLC0415 - not needed for --help

    if bool(which) == everyone:
        _fail("give either the ID of a silence or --all", EXIT_USAGE)
    url = _place(alertmanager, environment).alertmanager
    with _explained():
        ids = [each.id for each in live.silences(url)] if everyone else [which]
        ended = [live.unsilence(url, each) for each in ids]
    if as_json:
        typer.echo(json.dumps([each.as_dict() for each in ended], indent=2))
        return
    for each in ended:
        typer.echo(f"ended: {_described(each)}")
    if not ended:
        typer.echo("nothing was silenced")


def trial(
    *,
    severity: Annotated[Severity, typer.Option(help="critical goes the way of pages.")] = Severity.WARNING,
    team: Annotated[str, typer.Option(help="Whose chat it goes to.")] = "platform",
    by: Annotated[str, typer.Option(help="Who tries; without it the user who runs this.")] = "",
    alertmanager: Url = "",
    environment: Document = None,
) -> None:
    """Send an alert that is none, to see that it arrives; it ends after a minute, so that its end has to arrive too.

    Exit code 0: sent; 1: Alertmanager is away or refuses; 2: no environment.

    Example: simplicity alerts trial --severity critical
    """
    from alerts import live  # noqa: PLC0415 - not needed for --help

    with _explained():
        live.send(
            _place(alertmanager, environment).alertmanager,
            live.Trial(severity=severity, team=team, by=by or _user()),
        )
    typer.echo(f"sent TrialAlert, {severity}, for {_plain(team)}: it should arrive now, and its end in some minutes")


def _firing(where: Place) -> tuple[FiringAlert, ...]:
    from alerts import live  # noqa: PLC0415 - not needed for --help

    try:
        return live.firing(where.alertmanager)
    except live.AlertingError as error:
        if not where.prometheus:
            raise
        # That nobody is told of anything now is what the person has to know first.
        typer.echo(f"simplicity: {_plain(str(error))}: nobody is told of this; Prometheus says:", err=True)
        return live.evaluated(where.prometheus)


def _told(alert: FiringAlert) -> str:
    state = " (silenced)" if alert.silenced else " (hidden by its cause)" if alert.inhibited else ""
    lines = [
        f"{alert.severity:8}  {alert.name}{state}, for {_age(datetime.now(UTC) - alert.since)}: {alert.summary}",
        *([f"          do: {alert.runbook_url}"] if alert.runbook_url else ()),
    ]
    return "\n".join(_plain(line) for line in lines)


def _age(since: timedelta) -> str:
    whole = max(0, int(since.total_seconds()))
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def _described(one: Silence) -> str:
    matchers = " ".join(str(each) for each in one.matchers)
    return _plain(f"{one.id}  until {one.ends:%Y-%m-%d %H:%M} UTC  {matchers}  {one.by}: {one.comment}")


def _plain(text: str) -> str:
    """Return text in one line without what would steer a terminal: labels and comments are other people's."""
    return "".join(character if character.isprintable() else " " for character in text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _place(alertmanager: str, environment: Path | None) -> Place:
    from alerts.place import PlaceError, place  # noqa: PLC0415 - not needed for --help

    try:
        return place(alertmanager, environment)
    except PlaceError as error:
        _fail(str(error), EXIT_USAGE)


@contextmanager
def _explained() -> Iterator[None]:
    """Show what keeps a command from its work as one line."""
    from alerts.live import AlertingError  # noqa: PLC0415 - not needed for --help

    try:
        yield
    except AlertingError as error:
        _fail(str(error), EXIT_FAILED)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"simplicity: {_plain(message)}", err=True)
    raise typer.Exit(code)
