"""`simplicity backup`: make, list, verify, restore and prune backups."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runbooks.backup.agent_cli import agent
from runbooks.backup.archive_cli import archive_wal
from runbooks.backup.driving import REPLACED_BY_HAND
from runbooks.backup.hosts_cli import engine_on_hosts, open_there, worked
from runbooks.engine.command import document_of, explained, fail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbooks.backup.place import Backups

EXIT_WRONG, EXIT_USAGE = 1, 2

app = typer.Typer(no_args_is_help=True, help="Backups: create, list, verify, restore, prune; each one proven.")
app.command("archive-wal", hidden=True)(archive_wal)
app.command("agent", hidden=True)(agent)

Document = Annotated[
    Path | None,
    typer.Option(envvar="SIMPLICITY_ENVIRONMENT", help="The environment document; without it the local envelope's."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object; how it goes is told on standard error.")]
ClusterId = Annotated[
    str, typer.Option("--cluster", help="Whose backups, where the live database is gone: its system identifier.")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The backup; `simplicity backup list` names them.")]


@app.callback()
def _root() -> None:
    """Backups: create, list, verify, restore, prune; each one proven."""


@app.command()
def create(
    *,
    kind: Annotated[
        str, typer.Option(help="full; incremental: since the last one; differential: since the full one.")
    ] = "full",
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Make a backup, read it back to the last byte, and prune: the runbook back-up-database.

    It holds the database (index, keys, switches, audit trail), the WAL from then on, and the environment's
    configuration and secrets; compressed, encrypted for the recipient of the backup keys, signed.

    Exit code 0: made; 1: it failed; 2: no such environment or kind; 3: another run is at it.

    Examples: simplicity backup create; simplicity backup create --kind incremental --json
    """
    _carry_out("back-up-database", {"kind": kind}, as_json=as_json, environment=environment)


@app.command("list")
def list_(*, cluster: ClusterId = "", as_json: AsJson = False, environment: Document = None) -> None:
    """List the backups, oldest first, and whether each was ever restored and proven.

    Exit code 0: listed; 1: the repository cannot be read, or holds what must not be used; 2: no environment.

    Examples: simplicity backup list; simplicity backup list --json
    """
    from runbooks.backup.listing import Listing  # noqa: PLC0415 - not needed for --help

    with _told():
        engine = engine_on_hosts(environment)
        if engine is None:
            place = _place(environment)
            listing = Listing.of(place.repository(cluster or None), place.keys)
        else:
            listing = Listing(engine.stanza, engine.repository, engine.backups(), [], [], {})
    if as_json:
        typer.echo(json.dumps(listing.as_dict(), indent=2))
    else:
        listing.show()
    raise typer.Exit(EXIT_WRONG if listing.unusable else 0)


@app.command()
def verify(
    backup: Id,
    *,
    prove: Annotated[bool, typer.Option("--prove", help="Restore it too, and prove it by the index itself.")] = False,
    cluster: ClusterId = "",
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Read a backup, what it builds on and the WAL after it to the last byte; --prove restores it beside the database.

    Exit code 0: whole (and proven); 1: damaged, forged, incomplete or foreign; 2: no such environment.

    Examples: simplicity backup verify 20261130T051200Z-full-3f9a; simplicity backup verify --prove ID
    """
    from runbooks.backup.verifying import verify as read_all  # noqa: PLC0415 - not needed for --help

    if prove:
        _carry_out("prove-backup", {"backup": backup, "cluster": cluster}, as_json=as_json, environment=environment)
    with _told():
        engine = engine_on_hosts(environment)
        if engine is not None:
            worked(engine, lambda key: engine.verify(key, backup), as_json=as_json)
            return
        place = _place(environment)
        found = read_all(place.repository(cluster or None), backup, place.keys, _progress)
    typer.echo(json.dumps(found.as_dict(), indent=2) if as_json else found.sentence)


@app.command()
def restore(  # noqa: PLR0913 - its options are its arguments
    *,
    to: Annotated[str, typer.Option(help="latest, a height, a block hash, or a time with its zone.")] = "latest",
    backup: Annotated[str, typer.Option(help="From this backup; best: the newest that leads there.")] = "best",
    replace_live: Annotated[
        bool, typer.Option("--replace-live", help="Let it take the live database's place, once it is proven.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --replace-live: do not ask.")] = False,
    cluster: ClusterId = "",
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Restore into a second database and prove it; with --replace-live it takes the live one's place then.

    Proven means: every byte is as signed; state hash and digest at its block are those that were recorded outside; its
    tables come to them; a copy catches up with the node and equals the node's blocks; trail, keys and switches are as
    the trail's copy says. The live database is kept beside the new one until you remove it.

    Exit code 0: restored and proven; 1: it failed, what was live stays so; 2: a wrong target or environment; 3: another
    run is at it; 4: undone.

    Examples: simplicity backup restore; simplicity backup restore --to 2026-11-30T05:12:00Z;
    simplicity backup restore --to 901350 --replace-live
    """
    arguments = {"to": to, "backup": backup, "cluster": cluster}
    if replace_live:
        with _told():
            if engine_on_hosts(environment) is not None:
                fail(REPLACED_BY_HAND, EXIT_USAGE)
        _carry_out("restore-database", arguments, as_json=as_json, environment=environment, yes=yes)
    _carry_out("prove-backup", arguments | {"keep": "yes"}, as_json=as_json, environment=environment)


@app.command("open")
def open_(
    folder: Annotated[Path, typer.Argument(help="The folder that `backup restore` named.")],
    *,
    database: Annotated[str, typer.Option(help="Which database.")] = "simplicity",
    environment: Document = None,
) -> None:
    """Start a restored database to look at it, print its URL, and stop it at Ctrl-C.

    Exit code 0: stopped; 1: it does not start.

    Example: simplicity backup open .simplicity/restored/20261130T051200Z-prove-backup-3f9a-restore
    """
    import signal  # noqa: PLC0415 - not needed for --help

    from runbooks.backup.scratch import scratch  # noqa: PLC0415 - as above

    with _told():
        engine = engine_on_hosts(environment) if ":" in str(folder) else None
        if engine is not None:
            open_there(engine, str(folder), database)
            return
        data = folder.absolute() / "data"
        if not (data / "PG_VERSION").exists() or (data / "recovery.signal").exists():
            fail(f"{folder} holds no restored database", EXIT_USAGE)
        with scratch(data, folder.absolute() / "postgresql.log") as server:
            server.start({}, within=60)
            typer.echo(server.url(database))
            typer.echo("Ctrl-C stops it", err=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})


@app.command()
def prune(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Remove what retention no longer wants: 7 daily, 4 weekly, 12 monthly and 3 yearly backups stay.

    Those of the last 24 hours and the newest proven one always stay, and what they build on. WAL stays from the oldest
    daily backup on, and as much as every older one needs to be consistent.

    Exit code 0: done; 1: the repository cannot be used; 2: no environment.

    Examples: simplicity backup prune --dry-run; simplicity backup prune --json
    """
    from runbooks.backup import pruning  # noqa: PLC0415 - not needed for --help
    from runbooks.backup.keys import load_trusted  # noqa: PLC0415 - as above
    from runbooks.backup.retention import Policy  # noqa: PLC0415 - as above

    with _told():
        engine = engine_on_hosts(environment)
        if engine is not None:
            if dry_run:
                fail(
                    "what is kept is pgBackRest's setting: `pgbackrest expire --dry-run` on a database host", EXIT_USAGE
                )
            worked(engine, engine.prune, as_json=as_json)
            return
        place = _place(environment)
        repository, trusted = place.repository(), load_trusted(place.keys)
        found = pruning.plan(repository, trusted, Policy())[0] if dry_run else pruning.prune(repository, trusted)
        if not dry_run:
            place.record("backup.prune", place.environment.name, found.as_dict())
    if as_json:
        typer.echo(json.dumps(found.as_dict() | {"done": not dry_run}, indent=2))
        return
    for name in (*found.removed, *found.unfinished):
        typer.echo(f"{'would remove' if dry_run else 'removed'} {name}")
    typer.echo(("would have " if dry_run else "") + found.sentence)


@app.command()
def configuration(
    backup: Id,
    target: Annotated[Path, typer.Argument(help="A new directory for the files; they hold secrets.")],
    *,
    cluster: ClusterId = "",
    environment: Document = None,
) -> None:
    """Take the configuration and the secrets out of a backup, into a new directory of mode 0700.

    Exit code 0: done; 1: no such backup, or it is damaged; 2: no environment.

    Example: simplicity backup configuration 20261130T051200Z-full-3f9a /root/configuration
    """
    from runbooks.backup.keys import load_opening  # noqa: PLC0415 - not needed for --help
    from runbooks.backup.restore import read_configuration  # noqa: PLC0415 - as above

    with _told():
        place = _place(environment)
        repository, opening = place.repository(cluster or None), load_opening(place.keys)
        names = read_configuration(repository, repository.manifest(backup, opening.trusted), opening, target)
    typer.echo("\n".join(names))


@app.command()
def keygen(
    directory: Annotated[Path, typer.Argument(help="A directory of its own for the keys.")],
    *,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Keys that are there are no error.")] = False,
) -> None:
    """Make the keys of backups: identity and recipient (age), signing.key and signing.key.pub (Ed25519).

    Only a restore needs `identity`: keep it, and a copy of it, where the hosts that make backups cannot read it.
    Without it no backup can ever be read.

    Exit code 0: made; 1: they are there already, or cannot be written.

    Example: simplicity backup keygen /etc/simplicity/backup-keys
    """
    from runbooks.backup.keys import make  # noqa: PLC0415 - not needed for --help

    with _told():
        made = make(directory)
    if not made and not if_missing:
        fail(f"{directory} has keys already, and keys are never overwritten", EXIT_WRONG)
    typer.echo(f"{directory}: {'made' if made else 'there already'}")


def _carry_out(
    name: str, arguments: dict[str, str], *, as_json: bool, environment: Path | None, yes: bool = False
) -> None:
    """Carry out a runbook as `simplicity runbook run` does; exits with its code."""
    from runbooks.engine.cli import run  # noqa: PLC0415 - it is a command itself

    given = [f"{key}={value}" for key, value in arguments.items()]
    run(name, arg=given, only_plan=False, first="", yes=yes, as_json=as_json, environment=environment)


def _place(environment: Path | None) -> Backups:
    from runbooks.backup.place import Backups  # noqa: PLC0415 - not needed for --help

    return Backups(document_of(environment)[0])


@contextmanager
def _progress(what: str, total: int) -> Iterator[Any]:
    from indexer.progress import shown  # noqa: PLC0415 - not needed for --help

    with shown(what, total) as advance:
        yield advance


@contextmanager
def _told() -> Iterator[None]:
    """Show what keeps a command from its work as one line."""
    from audit.objects import ObjectStoreError  # noqa: PLC0415 - not needed for --help
    from runbooks.backup.errors import BackupError  # noqa: PLC0415 - as above

    with explained():
        try:
            yield
        except (BackupError, ObjectStoreError) as error:
            fail(str(error), EXIT_WRONG)
