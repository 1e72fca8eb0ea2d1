"""`simplicity infrastructure`: see all tiers of an environment; change its hosts, its leader, its settings."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.cloud.cost.cli import cost
from infra.cloud.rehearsal.cli import drift, rehearse
from runbooks.engine.command import document_of, explained, fail
from runbooks.infrastructure.cloud_cli import mount

if TYPE_CHECKING:
    from runbooks.infrastructure.rows import Row

EXIT_WRONG, EXIT_USAGE = 1, 2
STYLES = {"well": "green", "idle": "dim", "degraded": "yellow", "down": "red", "unknown": "red"}

app = typer.Typer(
    no_args_is_help=True, help="See all tiers of an environment; change its hosts, its leader, its settings."
)

Document = Annotated[
    Path | None,
    typer.Option(envvar="SIMPLICITY_ENVIRONMENT", help="The environment document; without it the local envelope's."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object; how it goes is told on standard error.")]
OnlyPlan = Annotated[bool, typer.Option("--dry-run", help="Look, and say what would be done.")]


@app.callback()
def _root() -> None:
    """See all tiers of an environment; change its hosts, its leader, its settings."""


@app.command()
def status(*, as_json: AsJson = False, environment: Document = None) -> None:
    """Show every tier: hosts, balancers, API by colour, sync, database, cache, monitoring.

    Exit code 0: all is well; 1: something is degraded, down or unknown; 2: no environment.

    Examples: `simplicity infrastructure status` · `simplicity infrastructure status --json`
    """
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - the help needs no driver
    from runbooks.engine.wiring import runs_home  # noqa: PLC0415 - as above
    from runbooks.infrastructure.looking import see  # noqa: PLC0415 - as above
    from runbooks.infrastructure.rows import BAD  # noqa: PLC0415 - as above

    began = time.monotonic()
    with explained():
        document = document_of(environment)[0]
        try:
            found = see(document, runs_home())
        except Refusal as error:
            fail(str(error), EXIT_USAGE)
    seconds = round(time.monotonic() - began, 2)
    bad = sum(each.standing in BAD for each in found)
    if as_json:
        told = {"environment": document.name, "place": document.place, "well": not bad, "seconds": seconds}
        typer.echo(json.dumps(told | {"parts": [asdict(each) for each in found]}, indent=2))
    else:
        _show(found)
        typer.echo(
            f"\n{document.name}: {f'{bad} of {len(found)} parts are not well' if bad else 'all is well'} ({seconds} s)"
        )
    raise typer.Exit(EXIT_WRONG if bad else 0)


@app.command()
def scale(  # noqa: PLR0913 - a command's options are its arguments
    group: Annotated[str, typer.Argument(help="What: api; in the cloud also api-blue, api-green, sync.")],
    size: Annotated[int | None, typer.Argument(help="How many there are to be.")] = None,
    *,
    kind: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="In the cloud: replace them by hosts of this type.")
    ] = "same",
    artifacts: Annotated[
        str, typer.Option(help="Where the releases' artifacts lie; own: the store of `simplicity deploy`.")
    ] = "own",
    remove: Annotated[
        str, typer.Option(metavar="HOST", help="Who goes first, where there are to be fewer; newest: who came last.")
    ] = "newest",
    only_plan: OnlyPlan = False,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Run the service on more hosts, on fewer, or on larger ones, with traffic on: scale-api, or scale-cloud.

    A host that comes is made ready before it is sent anything; one that goes answers first what it is at.

    Exit code 0: so many serve; 1: it failed; 2: no such environment or group; 3: another run is at it.

    Examples: `simplicity infrastructure scale api 3` · `simplicity infrastructure scale api 2 --remove app1` ·
    `simplicity infrastructure scale api 2 --dry-run` · `simplicity infrastructure scale api --type c7g.xlarge`
    """
    if _in_cloud(environment):
        if size is None and kind == "same":
            fail("say how many there are to be, or of which --type", EXIT_USAGE)
        wanted = {"group": group, "size": "same" if size is None else str(size), "type": kind}
        _carry_out("scale-cloud", wanted, only_plan=only_plan, as_json=as_json, environment=environment)
    if group != "api":
        fail(f"{group[:60]!r} cannot be scaled; what can: api", EXIT_USAGE)
    if size is None or kind != "same":
        fail("say how many there are to be; types of hosts are the cloud's", EXIT_USAGE)
    arguments = {"size": str(size), "artifacts": artifacts, "remove": remove}
    _carry_out("scale-api", arguments, only_plan=only_plan, as_json=as_json, environment=environment)


@app.command(name="test-failover")
def failover(
    *,
    member: Annotated[str, typer.Option(help="Who is to be the primary; any: the synchronous standby.")] = "any",
    only_plan: OnlyPlan = False,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Move the database to another host in order, and count what was written meanwhile: the runbook test-failover.

    A writer makes API keys the whole time; every one that was acknowledged is looked for afterwards.

    Exit code 0: moved, and nothing is lost; 1: it failed, or something is lost; 2: no such environment; 3: another run
    is at it.

    In the cloud it is test-failover-cloud, which makes no writes: it tells who is written to, and since when.

    Examples: `simplicity infrastructure test-failover` · `simplicity infrastructure test-failover --member db1 --json`
    """
    name = "test-failover-cloud" if _in_cloud(environment, "failover", ("aurora", "rds")) else "test-failover"
    _carry_out(name, {"member": member}, only_plan=only_plan, as_json=as_json, environment=environment)


@app.command(name="update-config")
def update_config(  # noqa: PLR0913 - as above
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Settings like API_CACHE_TTL or work_mem.")
    ] = None,
    *,
    unset: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Take one back; may be repeated.")] = None,
    listed: Annotated[Path | None, typer.Option("--from", help="A YAML file of names and values.")] = None,
    only_plan: OnlyPlan = False,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Change settings of the service and of PostgreSQL, host by host with traffic on: the runbook update-config.

    Values are read first by those whom they are for; the difference is shown; a host that does not serve with them
    lets all go back to the former ones. No secret is set this way.

    Exit code 0: in force; 1: refused, and nothing was done; 2: a wrong name or value, or no environment; 3: another run
    is at it; 4: a host did not bear them, and all is as before.

    Examples: `simplicity infrastructure update-config API_CACHE_TTL=300 work_mem=8MB` ·
    `simplicity infrastructure update-config --unset work_mem` ·
    `simplicity infrastructure update-config --from settings.yaml --dry-run`
    """
    from runbooks.infrastructure.changes import ChangeError, names  # noqa: PLC0415 - the help needs it not

    try:
        wanted = names(settings or (), unset or (), _read(listed) if listed else {})
    except ChangeError as error:
        fail(str(error), EXIT_USAGE)
    if _in_cloud(environment):
        _update_cloud(wanted, only_plan=only_plan, as_json=as_json, environment=environment)
    arguments = {"changes": json.dumps(wanted)}
    _carry_out("update-config", arguments, only_plan=only_plan, as_json=as_json, environment=environment)


@app.command(name="rotate-secret")
def rotate_secret(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name in the environment document.")],
    *,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Replace a secret that services log in with: first where it is checked, then where it is used, with traffic on.

    Where a host refuses it the old one is put in force again. After a kill `simplicity deploy site` finishes it.

    Exit code 0: the new one is in force; 1: the old one is, or a host has to be looked at; 2: no such environment.

    Examples: `simplicity infrastructure rotate-secret database_reader_password`
    """
    from runbooks.deploy.errors import DeployError  # noqa: PLC0415 - not needed for --help
    from runbooks.deploy.site import bring  # noqa: PLC0415 - as above
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as above
    from runbooks.engine.command import is_terminal  # noqa: PLC0415 - as above
    from runbooks.engine.telling import telling  # noqa: PLC0415 - as above
    from runbooks.infrastructure.rotating import rotate  # noqa: PLC0415 - as above

    with explained(), telling(as_json=as_json, is_terminal=is_terminal()) as teller:
        found, path = document_of(environment)

        def put_in_force(parts: str) -> str:
            return bring(found, path.absolute(), tags=parts, tell=teller.say).played.failed

        try:
            done = rotate(found, name, put_in_force)
        except (DeployError, Refusal) as error:
            fail(str(error), EXIT_WRONG)
    words = f"{name} is another one, and in force" if not done.failed else f"{name} is the old one again: {done.failed}"
    if done.stuck:
        words = f"{name}: not in force everywhere, run `simplicity deploy site`: {done.stuck}"
    typer.echo(json.dumps(asdict(done), indent=2) if as_json else words)
    raise typer.Exit(EXIT_WRONG if done.failed else 0)


def _in_cloud(environment: Path | None, driver: str = "", kinds: tuple[str, ...] = ()) -> bool:
    """Whether an environment is in the cloud; where a driver is named, whether it is one of these kinds there."""
    with explained():
        document = document_of(environment)[0]
    found = document.drivers.get(driver)
    return document.place == "cloud" and (not driver or (found is not None and found.kind in kinds))


def _update_cloud(
    wanted: dict[str, str | None], *, only_plan: bool, as_json: bool, environment: Path | None
) -> NoReturn:
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - the help needs no driver
    from runbooks.infrastructure.changes import ChangeError  # noqa: PLC0415 - as above
    from runbooks.infrastructure.cloud_config import update  # noqa: PLC0415 - as above

    with explained():
        try:
            done = update(document_of(environment)[0], wanted, only_plan=only_plan)
        except ChangeError as error:
            fail(str(error), EXIT_USAGE)
        except Refusal as error:
            fail(str(error), EXIT_WRONG)
    if as_json:
        typer.echo(json.dumps(asdict(done), indent=2))
    else:
        typer.echo("\n".join(done.lines))
        typer.echo(f"{'kept' if done.written else 'not kept: a dry run'}; in force by {done.applied_by}")
    raise typer.Exit(0)


def _read(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - not needed without a file

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        fail(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}", EXIT_USAGE)
    if not isinstance(found, dict):
        fail(f"{path}: has to have names and values, like `API_CACHE_TTL: 300`", EXIT_USAGE)
    return found


def _carry_out(  # noqa: PLR0913 - as above
    name: str, arguments: dict[str, str], *, only_plan: bool, as_json: bool, environment: Path | None, yes: bool = False
) -> None:
    """Carry out a runbook as `simplicity runbook run` does; exits with its code."""
    from runbooks.engine.cli import run  # noqa: PLC0415 - it is a command itself

    given = [f"{key}={value}" for key, value in arguments.items()]
    run(name, arg=given, only_plan=only_plan, first="", yes=yes, as_json=as_json, environment=environment)


def _show(found: list[Row]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("tier", "part", "is", "does", "detail"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"tier", "part", "is"})
    last = ""
    for each in found:
        style = STYLES[each.standing]
        tier, last = ("" if each.tier == last else each.tier), each.tier
        table.add_row(tier, escape(each.name), f"[{style}]{each.standing}[/]", escape(each.does), escape(each.detail))
    Console().print(table)


mount(app)
for command in (cost, rehearse, drift):
    app.command()(command)
