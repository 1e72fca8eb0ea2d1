"""What `simplicity backup` does where backups are pgBackRest's, on hosts."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from runbooks.engine.command import document_of, fail

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runbooks.backup.pgbackrest import PgBackRestEngine
    from runbooks.drivers.protocols import Operation

EXIT_WRONG, EXIT_USAGE = 1, 2
OPEN_SECONDS = 60.0


def engine_on_hosts(environment: Path | None) -> PgBackRestEngine | None:
    """Return the engine of an environment whose backups are pgBackRest's, None elsewhere."""
    from infra.local.layout import layout  # noqa: PLC0415 - not needed for --help
    from runbooks.backup.engines import is_on_hosts  # noqa: PLC0415 - as above
    from runbooks.backup.pgbackrest import pgbackrest_engine  # noqa: PLC0415 - as above
    from runbooks.drivers.operations import OperationStore  # noqa: PLC0415 - as above

    document = document_of(environment)[0]
    if not is_on_hosts(document):
        return None
    engine = pgbackrest_engine(document, OperationStore(layout().home / "operations"))
    engine.tell = lambda line: typer.echo(line, err=True)
    return engine


def worked(engine: PgBackRestEngine, begin: Callable[[str], Operation], *, as_json: bool) -> None:
    """Carry out an operation that is no runbook, and print what it came to; ends with 1 where it failed."""
    from runbooks.drivers.protocols import Phase  # noqa: PLC0415 - not needed for --help

    key = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    begin(key)
    done = engine.poll(key)
    if done.phase is not Phase.DONE:
        fail(done.detail, EXIT_WRONG)
    typer.echo(json.dumps(dict(done.result), indent=2) if as_json else done.detail)


def open_there(engine: PgBackRestEngine, folder: str, database: str) -> None:
    """Start a restored database on its host, print a URL that leads there from here, and stop it at Ctrl-C."""
    import signal  # noqa: PLC0415 - not needed for --help
    from dataclasses import replace  # noqa: PLC0415 - as above

    from runbooks.backup.remote_scratch import USER, RemoteScratch  # noqa: PLC0415 - as above
    from runbooks.drivers.relay import relayed  # noqa: PLC0415 - as above

    host, _, path = folder.partition(":")
    key = path.rpartition("/")[2]
    if folder not in engine.left(key):
        fail(f"{folder} holds no restored database", EXIT_USAGE)
    there = RemoteScratch(engine.remote, host, engine.stanza, key)
    try:
        there.start(within=OPEN_SECONDS)
        with relayed(engine.remote, host, USER, there.socket) as relay:
            typer.echo(replace(there, relay=relay).url(database))
            typer.echo("Ctrl-C stops it", err=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        there.stop()
