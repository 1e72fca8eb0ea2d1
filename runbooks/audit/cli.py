"""`simplicity audit`: read the trail of who did what, prove that it is what it was, copy it to a second place."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated

import typer

from indexer.command import EnvFile, clear_errors, fail, whole_file
from indexer.settings import ConfigurationError
from indexer.settings import load as load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from audit.anchor import Anchor
    from audit.chain import Link
    from audit.trail import Connection
    from runbooks.audit.settings import AnchorSettings
    from runbooks.audit.verdict import Verdict

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
AnchorUrl = Annotated[
    str | None,
    typer.Option("--anchor", help="Where the copy is: file:///directory or s3://bucket/prefix (AUDIT_ANCHOR_URL)."),
]
TrailId = Annotated[
    str | None, typer.Option("--trail", help="The id of the database's cluster; default: the database is asked.")
]

app = typer.Typer(no_args_is_help=True, help="The trail of who did what: read it, prove it, copy it.")


@app.callback()
def _root() -> None:
    """The trail of who did what: read it, prove it, copy it."""  # noqa: D401 - a group's title


@app.command()
def show(  # noqa: PLR0913 - a command's options are its arguments
    *,
    since: Annotated[str | None, typer.Option(help="From this time on: 24h, 7d, 2026-11-30T12:00 (UTC).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most: the newest.")] = 50,
    actor: Annotated[str, typer.Option(help="Who: a part of the name.")] = "",
    action: Annotated[str, typer.Option(help="What: the beginning, like auth.keys.")] = "",
    target: Annotated[str, typer.Option(help="To what: a part of it.")] = "",
    run: Annotated[str, typer.Option(help="The id of a runbook's run.")] = "",
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Show entries of the trail, the newest last; with --json also what was before and after, as one list.

    Exit code 0: shown; 1: the database is away; 2: a setting or an option is wrong.

    Examples: simplicity audit show --since 24h --action auth.; simplicity audit show --run ID --json
    """
    from audit import trail  # noqa: PLC0415 - the database client is not needed for --help
    from runbooks.audit import listing  # noqa: PLC0415 - as above

    with clear_errors():
        begin = "" if since is None else listing.since(since, datetime.now(UTC))
        wanted = listing.Wanted(begin, actor, action, target, run)
        with _opened(env_file) as connection:
            entries = listing.chosen(trail.newest(connection), wanted, limit)
    if as_json:
        typer.echo(json.dumps(entries, indent=2))
    elif entries:
        from rich.console import Console  # noqa: PLC0415 - as above

        Console().print(listing.table(entries))
    else:
        typer.echo("there are no such entries")


@app.command()
def verify(
    *,
    anchor: AnchorUrl = None,
    trail: TrailId = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Verify this export instead of the database, which is not asked.")
    ] = None,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Say whether the trail is what it was when it was anchored, and if not, which entries were forged and how.

    Exit code 0: intact; 1: forged, each forgery is named; 2: it cannot be told.

    Examples: simplicity audit verify --anchor s3://bucket/simplicity;
    simplicity audit verify --file trail.ndjson --anchor file:///mnt/audit --trail 7412345678901234567
    """
    with _errors(), _source(env_file, file) as (connection, links):
        found = _anchor(_settings(env_file, anchor), connection, trail)
        verdict = _examined(links, found)
    if as_json:
        typer.echo(json.dumps(verdict.as_dict(), indent=2))
    else:
        from runbooks.audit.listing import printable  # noqa: PLC0415 - not needed for --help

        for line in verdict.sentences:
            typer.echo(printable(line))
    raise typer.Exit(verdict.code)


@app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; it is there whole or not at all.")],
    *,
    env_file: EnvFile = None,
) -> None:
    """Write the whole trail as NDJSON, an entry a line with its hash, for `verify --file` and for auditors.

    Exit code 0: written; 1: the database is away; 2: a setting is wrong or the file cannot be written.

    Example: simplicity audit export -o trail.ndjson
    """
    from audit.chain import line  # noqa: PLC0415 - not needed for --help
    from audit.trail import links  # noqa: PLC0415 - as above

    count = 0
    with clear_errors(), _opened(env_file) as connection, whole_file(output) as target:
        for each in links(connection):
            target.write(line(each))
            count += 1
    typer.echo(f"{output}: {count} entries")


@app.command("anchor")
def anchor_(
    *,
    anchor: AnchorUrl = None,
    trail: TrailId = None,
    lock_days: Annotated[
        int | None,
        typer.Option(min=1, max=36_500, help="Let S3 lock what is put there for so many days (AUDIT_LOCK_DAYS)."),
    ] = None,
    env_file: EnvFile = None,
) -> None:
    """Copy what is new in the trail to its second place, if what was copied before is in the trail still.

    Run it every minute, say; only what it has copied is proven later. A directory is no lock: whoever may write there
    can forge the copy too.

    Exit code 0: all is copied; 1: the trail was forged, or restored and lacks entries; 2: it cannot be told.

    Example: simplicity audit anchor --anchor s3://bucket/simplicity --lock-days 400
    """
    from audit.anchor import AnchorMismatchError  # noqa: PLC0415 - not needed for --help

    with _errors(), _opened(env_file) as connection:
        found = _anchor(_settings(env_file, anchor, lock_days), connection, trail)
        if found is None:
            raise ConfigurationError("AUDIT_ANCHOR_URL is not set: say where the copy is, or give --anchor")
        try:
            count = found.extend(connection)
        except AnchorMismatchError as error:
            fail(str(error), code=1)
        head = found.head()
    typer.echo(f"{count} entries copied; anchored up to entry {head.seq if head else 0}")


def _errors() -> AbstractContextManager[None]:
    from audit.chain import ChainError  # noqa: PLC0415 - not needed for --help
    from audit.objects import ObjectStoreError  # noqa: PLC0415 - as above

    return clear_errors(ChainError, ObjectStoreError, unavailable=2)


@contextmanager
def _opened(env_file: Path | None) -> Iterator[Connection]:
    from audit.trail import is_there  # noqa: PLC0415 - not needed for --help
    from indexer.store.connection import StoreError, connect, translated  # noqa: PLC0415 - as above

    url = load_settings(env_file).DATABASE_URL.get_secret_value()
    with translated(), connect(url) as connection:
        if not is_there(connection):
            raise StoreError("database has no audit trail yet; run this release's: simplicity sync")
        yield connection


@contextmanager
def _source(env_file: Path | None, file: Path | None) -> Iterator[tuple[Connection | None, Iterable[Link]]]:
    """Give what is verified: the database's trail and its connection, or an export's."""
    from audit.trail import links  # noqa: PLC0415 - not needed for --help

    if file is None:
        with _opened(env_file) as connection:
            yield connection, links(connection)
    else:
        yield None, _exported(file)


def _exported(file: Path) -> Iterator[Link]:
    from audit.chain import parsed  # noqa: PLC0415 - not needed for --help

    try:
        with file.open("rb") as source:
            for number, text in enumerate(source, start=1):
                try:
                    yield parsed(text)
                except ValueError:
                    raise ConfigurationError(f"--file {file}: line {number} is none of an export") from None
    except OSError as error:
        raise ConfigurationError(f"--file {file}: {error.strerror}") from None


def _anchor(settings: AnchorSettings, connection: Connection | None, trail: str | None) -> Anchor | None:
    """Return the anchor of a trail, by default that of the database; None where none is set."""
    from audit.anchor import Anchor  # noqa: PLC0415 - not needed for --help
    from audit.objects import open_store  # noqa: PLC0415 - as above
    from audit.trail import cluster_id  # noqa: PLC0415 - as above

    if settings.AUDIT_ANCHOR_URL is None:
        return None
    if trail is None and connection is None:
        raise ConfigurationError("--trail: an export does not say which database it is of; give its cluster's id")
    store = open_store(settings.AUDIT_ANCHOR_URL, lock_days=settings.AUDIT_LOCK_DAYS, write_once=True)
    try:
        return Anchor(store, trail or (cluster_id(connection) if connection else ""))
    except ValueError as error:
        raise ConfigurationError(f"--trail: {error}") from None


def _settings(env_file: Path | None, url: str | None, lock_days: int | None = None) -> AnchorSettings:
    from runbooks.audit.settings import load  # noqa: PLC0415 - not needed for --help

    return load(env_file, url=url, lock_days=lock_days)


def _examined(links: Iterable[Link], anchor: Anchor | None) -> Verdict:
    from audit.chain import examine  # noqa: PLC0415 - not needed for --help
    from runbooks.audit.verdict import Verdict  # noqa: PLC0415 - as above

    count = 0

    def counted() -> Iterator[Link]:
        nonlocal count
        for each in links:
            count += 1
            yield each

    head = anchor.head() if anchor else None
    found = examine(counted(), anchor.links() if anchor else ())
    return Verdict(count, anchor.url if anchor else None, head, tuple(found))
