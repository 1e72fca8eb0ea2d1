"""`simplicity fleet`: real Debian hosts on this machine, to rehearse deployments and failures on."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from dataclasses import asdict
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated, NoReturn, get_args

import typer
from rich.console import Console
from rich.table import Table

from infra.fleet import hosts, lab, ssh
from infra.fleet.plan import Plan, Role
from infra.fleet.programs import PATH
from infra.fleet.storage import storage
from infra.local.display import Progress
from infra.local.layout import EnvelopeError, layout
from infra.local.lock import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.fleet.storage import Storage

EXIT_WRONG, EXIT_USAGE, EXIT_DOWN, EXIT_INTERRUPTED = 1, 2, 3, 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Name = Annotated[str, typer.Argument(metavar="HOST", help="A host's name, as `simplicity fleet status` shows it.")]

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def up(
    *,
    prefix: Annotated[
        str, typer.Option(help="In the name of all that it leaves in the kernel; without it that of the fleet, or lab.")
    ] = "",
    network: Annotated[
        str, typer.Option(help="The hosts' network, which only they see; without it the fleet's, or 10.88.0.0/24.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Boot all hosts; a second time boots those that are not running. Takes seconds, the first time a minute.

    Needs root. What it makes is deleted where it fails. The hosts reach one another and nothing else.

    Examples: `simplicity fleet up` · `simplicity fleet up --prefix mine --network 10.99.0.0/24 --json`

    Exit code 0: all hosts answer; 1: not so, and nothing is left; 2: wrong options.
    """
    try:
        plan = _wished(prefix, network)
    except ValueError as error:
        _fail(str(error), EXIT_USAGE)
    began = time.monotonic()
    with _changing("fleet up") as place, Progress(Console(stderr=as_json), quiet=as_json) as progress:
        lab.up(place, plan, progress.note)
        found = lab.status(place)
    seconds = round(time.monotonic() - began, 2)
    if as_json:
        typer.echo(json.dumps({"hosts": [asdict(each) for each in found], "seconds": seconds}, indent=2))
        return
    _show(found)
    typer.echo(f"up in {seconds:.1f} s; enter one: simplicity fleet ssh {found[0].name}")


@app.command()
def down() -> None:
    """Shut all hosts down; nothing of them is left but the images that they boot from.

    Example: `simplicity fleet down`
    """
    with _changing("fleet down") as place:
        was_there = lab.down(place)
    typer.echo("the fleet is down" if was_there else "no fleet was up")


@app.command()
def status(*, as_json: Json = False) -> None:
    """Show what each host is doing.

    Exit code 0: all run and answer; 1: some do not; 3: no fleet is up.

    Examples: `simplicity fleet status` · `simplicity fleet status --json`
    """
    with _errors():
        found = lab.status(_place())
    if as_json:
        typer.echo(json.dumps({"hosts": [asdict(each) for each in found]}, indent=2))
    elif found:
        _show(found)
    else:
        typer.echo("no fleet is up; `simplicity fleet up` boots one")
    if not found:
        raise typer.Exit(EXIT_DOWN)
    raise typer.Exit(0 if all(each.answers for each in found) else EXIT_WRONG)


@app.command(name="ssh", context_settings={"ignore_unknown_options": True})
def ssh_(
    host: Name,
    words: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND]...", help="Run this there.")] = None,
) -> None:
    """Log in to a host, or run a command there.

    Examples: `simplicity fleet ssh db1` · `simplicity fleet ssh app1 -- systemctl --failed`
    """
    with _errors():
        place = _place()
        fleet, machine = lab.chosen(place, host)
        command = ssh.command(fleet.plan, place, machine, words or [])
        os.execvpe(command[0], command, {**os.environ, "PATH": PATH})  # noqa: S606 # nosec B606 - a fixed program


@app.command()
def logs(host: Name) -> None:
    """Print what a host has written to its console since it was made.

    Example: `simplicity fleet logs db1`
    """
    with _errors():
        place = _place()
        _, machine = lab.chosen(place, host)
        typer.echo(hosts.console(machine, place).read_text(encoding="utf-8", errors="replace"), nl=False)


@app.command()
def add(role: Annotated[str, typer.Argument(help="database, application, monitoring or balancer.")]) -> None:
    """Boot a further host, bare: the playbooks make of it what its role is.

    Example: `simplicity fleet add application`
    """
    wanted = next((each for each in get_args(Role) if each == role), None)
    if wanted is None:
        _fail(f"there is no role {role!r}; there are {', '.join(get_args(Role))}", EXIT_USAGE)
    with _changing("fleet add") as place, Progress(Console()) as progress:
        host = lab.add(place, wanted, progress.note)
    typer.echo(f"{host.name} is there; `simplicity fleet ssh {host.name}` enters it")


@app.command()
def remove(host: Name) -> None:
    """Shut a host down and delete all that it had.

    Example: `simplicity fleet remove app3`
    """
    with _changing("fleet remove") as place:
        lab.remove(place, host)
    typer.echo(f"{host} is gone")


@app.command()
def rebuild(host: Name) -> None:
    """Replace a host by a bare one of the same name and address: a machine was lost with its disks.

    Example: `simplicity fleet rebuild app1`
    """
    with _changing("fleet rebuild") as place, Progress(Console()) as progress:
        lab.rebuild(place, host, progress.note)
    typer.echo(f"{host} is bare; the playbooks make of it what it was")


@app.command(name="power-cut")
def power_cut(host: Name) -> None:
    """Cut a host's power: all of its processes die at once. `simplicity fleet up` boots it again.

    Example: `simplicity fleet power-cut db1`
    """
    with _changing("fleet power-cut") as place:
        lab.power_cut(place, host)
    typer.echo(f"{host} is off; `simplicity fleet up` boots it again")


@app.command()
def partition(host: Name) -> None:
    """Pull a host's network cable: it runs on, and nobody reaches it.

    Example: `simplicity fleet partition db1`
    """
    with _changing("fleet partition") as place:
        lab.partition(place, host)
    typer.echo(f"{host} is cut off; `simplicity fleet heal` puts the cable back")


@app.command()
def heal() -> None:
    """Put all cables back.

    Example: `simplicity fleet heal`
    """
    with _changing("fleet heal") as place:
        healed = lab.heal(place)
    typer.echo(f"back on the network: {', '.join(healed)}" if healed else "no host was cut off")


def _wished(prefix: str, network: str) -> Plan:
    """Return what is asked for; where nothing is said, the fleet that is up."""
    there = lab.load(_place())
    before = there.plan if there else Plan()
    return Plan(prefix or before.prefix, IPv4Network(network) if network else before.network)


def _place() -> Storage:
    return storage(layout())


@contextmanager
def _changing(what: str) -> Iterator[Storage]:
    place = _place()
    with _errors(), exclusive(place.lock, what):
        yield place


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except EnvelopeError as error:
        _fail(str(error), EXIT_WRONG)
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}", EXIT_WRONG)
    except KeyboardInterrupt:
        _fail("interrupted; `simplicity fleet status` shows what is there", EXIT_INTERRUPTED)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"simplicity fleet: {message}", err=True)
    raise typer.Exit(code)


def _show(found: list[lab.HostState]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("host", "role", "address", "state"):
        table.add_column(heading)
    for each in found:
        table.add_row(each.name, each.role, each.address, _in_words(each))
    Console().print(table)


def _in_words(each: lab.HostState) -> str:
    if not each.runs:
        return "[red]off[/]"
    if not each.plugged:
        return "[red]cut off[/]"
    return "[green]answers[/]" if each.answers else "[yellow]runs, and does not answer[/]"
