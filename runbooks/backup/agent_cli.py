"""The agent as a process: its settings, its metrics, its end."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from threading import Event
from typing import Annotated

import typer

from indexer.signals import at_the_end


def agent(  # noqa: PLR0913 - its options are its arguments
    *,
    repository: Annotated[
        str, typer.Option(envvar="BACKUP_REPOSITORY", help="file:///directory or s3://bucket/prefix.")
    ],
    keys: Annotated[Path, typer.Option(envvar="BACKUP_KEYS", help="The directory with the keys of the backups.")],
    database: Annotated[
        str, typer.Option(envvar="BACKUP_DATABASE_URL", help="The database, as the role that makes backups.")
    ],
    anchor: Annotated[
        str, typer.Option(envvar="AUDIT_ANCHOR_URL", help="The audit trail's second place; empty: none.")
    ] = "",
    lock_days: Annotated[
        int, typer.Option(envvar="AUDIT_LOCK_DAYS", min=0, help="Object Lock on each of its objects; 0: none.")
    ] = 0,
    listen: Annotated[str, typer.Option(help="Where /metrics answers.")] = "127.0.0.1:9109",
) -> None:
    """Record each block's state outside of the database, copy the audit trail, serve metrics; until SIGTERM.

    Exit code 0: stopped; 2: a setting cannot work.

    Example: simplicity backup agent --repository s3://backups/prod --keys /etc/simplicity/backup-keys
    """
    from prometheus_client import start_http_server  # noqa: PLC0415 - not needed for --help

    from audit.objects import ObjectStoreError, open_store  # noqa: PLC0415 - as above
    from indexer import log  # noqa: PLC0415 - as above
    from runbooks.backup.agent import Agent  # noqa: PLC0415 - as above
    from runbooks.backup.errors import BackupError  # noqa: PLC0415 - as above
    from runbooks.backup.keys import load_sealing  # noqa: PLC0415 - as above

    stop = Event()
    at_the_end(stop.set)
    log.configure("INFO")
    host, _, port = listen.rpartition(":")
    try:
        second = open_store(anchor, lock_days=lock_days or None, write_once=True) if anchor else None
        made = Agent(database, open_store(repository), load_sealing(keys), second)
        start_http_server(int(port), host, registry=made.metrics.registry)
    except (BackupError, ObjectStoreError, ValueError, OSError) as error:
        typer.echo(f"simplicity: {error}", err=True)
        raise typer.Exit(2) from None
    made.run(stop)
