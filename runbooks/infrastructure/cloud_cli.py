"""What `simplicity infrastructure` can do in the cloud only: secrets, colours, snapshots, stop and start."""

from __future__ import annotations

import json
import secrets
import sys
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runbooks.engine.command import document_of, explained, fail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.environment import Environment
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Driver, Operation
    from runbooks.drivers.select import Drivers

EXIT_WRONG, EXIT_USAGE = 1, 2
DAY = 86_400.0

Document = Annotated[
    Path | None,
    typer.Option(envvar="SIMPLICITY_ENVIRONMENT", help="The environment document; without it the local envelope's."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object; how it goes is told on standard error.")]
Key = Annotated[str, typer.Option("--key", help="Go on with the operation that was begun under this key.")]

snapshots = typer.Typer(no_args_is_help=True, help="Snapshots of the cloud's database: create, list, verify, restore.")


@snapshots.callback()
def _root() -> None:
    """Snapshots of the cloud's database: create, list, verify, restore."""


@contextmanager
def _refused() -> Iterator[None]:
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - the help needs no driver

    with explained():
        try:
            yield
        except Refusal as error:
            fail(str(error), EXIT_WRONG)
        except ModuleNotFoundError as error:
            fail(f"it needs the package {error.name!r}; install the extra: pip install 'simplicity[cloud]'", EXIT_USAGE)


def _drivers(environment: Path | None) -> tuple[Environment, Drivers, OperationStore]:
    from infra.local.layout import layout  # noqa: PLC0415 - as above
    from runbooks.drivers.operations import OperationStore  # noqa: PLC0415 - as above
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as above
    from runbooks.drivers.select import Drivers  # noqa: PLC0415 - as above

    document = document_of(environment)[0]
    if document.place != "cloud":
        raise Refusal(f"{document.name} is not in the cloud: its own commands do this")
    directory = layout().home / "operations"
    return document, Drivers.for_environment(document, directory), OperationStore(directory)


def _new() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def _worked(driver: Driver, key: str, begin: Callable[[str], Operation], *, as_json: bool) -> None:
    """Begin an operation, or go on with it, and say how it ended; ends with 1 where it failed."""
    from runbooks.drivers.operations import wait  # noqa: PLC0415 - as above
    from runbooks.drivers.protocols import Phase  # noqa: PLC0415 - as above

    key = key or _new()
    # At once: whatever this process dies of, whoever has seen its first line can go on.
    typer.echo(f"key {key}: the same command with --key {key} goes on with it", err=True)
    try:
        begin(key)
        done = wait(driver, key, DAY, tell=lambda operation: typer.echo(operation.detail, err=True))
    except KeyboardInterrupt:
        fail(f"interrupted, AWS goes on with it; the same command with --key {key} goes on here", 130)
    if done.phase is not Phase.DONE:
        fail(done.detail, EXIT_WRONG)
    typer.echo(json.dumps({"key": key, **done.result}, indent=2) if as_json else done.detail)


def fill_secrets(
    *,
    rotate: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Give this one another value; may be repeated.")
    ] = None,
    enter: Annotated[
        str, typer.Option(metavar="NAME", help="Write this one from standard input: it is somebody else's.")
    ] = "",
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Give every empty secret of the cloud a value that nobody has seen; what has one keeps it.

    `pulumi up` makes secrets empty, so that none is in its state. No value is printed, here or in a record.
    The cache is told its password, which takes AWS some minutes; hosts learn theirs from the playbooks.

    Exit code 0: none is empty; 1: one is, or AWS refuses; 2: no environment.

    Examples: `simplicity infrastructure fill-secrets` ·
    `simplicity infrastructure fill-secrets --rotate database_reader_password` ·
    `simplicity infrastructure fill-secrets --enter node_rpc_password < FILE`
    """
    with _refused():
        from runbooks.drivers import aws_secrets  # noqa: PLC0415 - the help needs no driver

        document, _, store = _drivers(environment)
        there = aws_secrets.SecretsManagerStore(document, store)
        if enter:
            aws_secrets.check_entered(there, enter)
            there.write(f"{_new()}-{enter}", enter, _entered(enter))
        done = aws_secrets.fill(there, _new(), tuple(rotate or ()))
    if as_json:
        typer.echo(json.dumps(asdict(done), indent=2))
    else:
        for what, names in (("filled", done.filled), ("rotated", done.rotated), ("kept", done.kept)):
            typer.echo(f"{what}: {', '.join(names) or 'none'}")
        if done.rotated:
            typer.echo("hosts read them when the playbooks come next: ansible-playbook site.yaml")
    if done.lacking:
        fail(f"{', '.join(done.lacking)}: somebody else's; write it with --enter NAME", EXIT_WRONG)


def _entered(name: str) -> str:
    """Read a secret from a terminal without showing it, or from standard input."""
    if sys.stdin.isatty():
        import getpass  # noqa: PLC0415 - not needed elsewhere

        return getpass.getpass(f"{name}: ")
    return sys.stdin.read().strip()


def fetch_secrets(
    directory: Annotated[Path, typer.Argument(help="A new directory; remove it when the playbooks are done.")],
    *,
    environment: Document = None,
) -> None:
    """Write the cloud's secrets to files for the playbooks; SIMPLICITY_SECRETS names the directory to them.

    Exit code 0: written; 1: one is empty, or AWS refuses; 2: no environment.

    Example: `simplicity infrastructure fetch-secrets /dev/shm/secrets`
    """
    with _refused():
        from runbooks.drivers import aws_secrets  # noqa: PLC0415 - the help needs no driver

        document, _, store = _drivers(environment)
        names = aws_secrets.fetch(aws_secrets.SecretsManagerStore(document, store), directory.absolute())
    typer.echo(f"{len(names)} secrets are in {directory}; remove it when the playbooks are done")


def shift(
    blue: Annotated[int, typer.Argument(min=0, max=100, help="Blue's share of the requests in percent.")],
    *,
    key: Key = "",
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Give blue a share of the requests, and green the rest; a colour without a healthy host gets nothing.

    Exit code 0: the balancer has it; 1: refused; 2: no environment.

    Examples: `simplicity infrastructure shift 90` · `simplicity infrastructure shift 0`
    """
    with _refused():
        driver = _drivers(environment)[1].traffic_switch
        weights = {"blue": blue, "green": 100 - blue}
        _worked(driver, key, lambda given: driver.shift(given, weights), as_json=as_json)


def stop(*, key: Key = "", as_json: AsJson = False, environment: Document = None) -> None:
    """Stop the hosts and the database of an environment that is not production; `start` brings all back as it was.

    Exit code 0: stopped; 1: refused, or it failed; 2: no environment.

    Example: `simplicity infrastructure stop`
    """
    _power("stop", key, as_json=as_json, environment=environment)


def start(*, key: Key = "", as_json: AsJson = False, environment: Document = None) -> None:
    """Start what `stop` has stopped: the database, the hosts, then as many of each group as there were.

    Exit code 0: it serves; 1: it failed; 2: no environment.

    Example: `simplicity infrastructure start`
    """
    _power("start", key, as_json=as_json, environment=environment)


def _power(action: str, key: str, *, as_json: bool, environment: Path | None) -> None:
    with _refused():
        from runbooks.drivers.aws_power import Power  # noqa: PLC0415 - the help needs no driver

        document, _, store = _drivers(environment)
        power = Power(document, store)
        begin: Callable[[str], Operation] = getattr(power, action)
        _worked(power, key, begin, as_json=as_json)


@snapshots.command()
def create(*, key: Key = "", as_json: AsJson = False, environment: Document = None) -> None:
    """Make a snapshot of the database, and wait until it is whole.

    Exit code 0: made; 1: refused, or it failed; 2: no environment.

    Example: `simplicity infrastructure snapshots create`
    """
    with _refused():
        engine = _drivers(environment)[1].backup_engine
        _worked(engine, key, lambda given: engine.create(given, "full"), as_json=as_json)


@snapshots.command("list")
def list_(*, as_json: AsJson = False, environment: Document = None) -> None:
    """List the snapshots, those that AWS makes each day among them; the oldest first.

    Exit code 0: listed; 1: AWS refuses; 2: no environment.

    Example: `simplicity infrastructure snapshots list --json`
    """
    with _refused():
        found = _drivers(environment)[1].backup_engine.backups()
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    for each in found:
        typer.echo(f"{each.id}  {each.started_at}  {'whole' if each.ended_at else 'not whole yet'}")


@snapshots.command()
def verify(
    snapshot: Annotated[str, typer.Argument(help="Its id.")],
    *,
    key: Key = "",
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Ask whether AWS has a snapshot, whole and encrypted; what is in it only a restore shows.

    Exit code 0: it has; 1: it has not; 2: no environment.

    Example: `simplicity infrastructure snapshots verify ID`
    """
    with _refused():
        engine = _drivers(environment)[1].backup_engine
        _worked(engine, key, lambda given: engine.verify(given, snapshot), as_json=as_json)


@snapshots.command()
def restore(
    target: Annotated[str, typer.Argument(metavar="NAME[@MOMENT]", help="A new name; without a moment, the last one.")],
    *,
    snapshot: Annotated[str, typer.Option(help="From this snapshot instead of a moment.")] = "",
    key: Key = "",
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Restore to a new database beside the one that runs, never over it.

    Exit code 0: restored; 1: refused, or it failed; 2: no environment.

    Examples: `simplicity infrastructure snapshots restore look@2026-11-30T05:12:00Z` ·
    `simplicity infrastructure snapshots restore look --snapshot ID`
    """
    with _refused():
        engine = _drivers(environment)[1].backup_engine
        _worked(engine, key, lambda given: engine.restore(given, snapshot or None, target), as_json=as_json)


@snapshots.command()
def prune(*, key: Key = "", as_json: AsJson = False, environment: Document = None) -> None:
    """Remove snapshots that `create` has made and that are older than 35 days; the newest of them stays.

    Exit code 0: done; 1: AWS refuses; 2: no environment.

    Example: `simplicity infrastructure snapshots prune`
    """
    with _refused():
        engine = _drivers(environment)[1].backup_engine
        _worked(engine, key, engine.prune, as_json=as_json)


def mount(app: typer.Typer) -> None:
    """Add these commands to `simplicity infrastructure`."""
    panel: dict[str, Any] = {"rich_help_panel": "In the cloud"}
    app.command("fill-secrets", **panel)(fill_secrets)
    app.command("fetch-secrets", **panel)(fetch_secrets)
    app.command("shift", **panel)(shift)
    app.command("stop", **panel)(stop)
    app.command("start", **panel)(start)
    app.add_typer(snapshots, name="snapshots", **panel)
