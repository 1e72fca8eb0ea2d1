"""What PostgreSQL calls for each file of WAL: quick to start, quiet, and silent about nothing that fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def archive_wal(
    path: Annotated[Path, typer.Argument(help="The file, relative to the data directory: PostgreSQL's %p.")],
    *,
    repository: Annotated[str, typer.Option(help="file:///directory or s3://bucket/prefix.")],
    keys: Annotated[Path, typer.Option(help="The directory with the recipient and the signing key.")],
    data: Annotated[Path | None, typer.Option(help="The data directory; default: the working directory.")] = None,
) -> None:
    """Store a file of WAL in the repository, sealed and signed: what PostgreSQL's archive_command runs.

    Before the first backup nothing is stored: WAL without a backup before it is of no use.

    Exit code 0: stored, or stored already, or not needed; 1: not stored, PostgreSQL keeps the file and asks again.

    Example: archive_command = 'simplicity backup archive-wal --repository s3://backups/prod --keys /etc/keys %p'
    """
    from audit.objects import ObjectStoreError  # noqa: PLC0415 - not needed for --help
    from runbooks.backup import wal  # noqa: PLC0415 - as above
    from runbooks.backup.errors import BackupError  # noqa: PLC0415 - as above
    from runbooks.backup.keys import load_sealing  # noqa: PLC0415 - as above
    from runbooks.backup.repository import Repository, opened  # noqa: PLC0415 - as above

    try:
        cluster = wal.cluster_of(data or Path.cwd())
        mark = keys / f"archiving-{cluster}"
        wal.archive(Repository(opened(repository), cluster), path, lambda: load_sealing(keys), mark)
    except (BackupError, ObjectStoreError) as error:
        reason = str(error)
    except OSError as error:
        reason = f"{path}: {error.strerror or os.strerror(error.errno or 0)}"
    else:
        return
    typer.echo(f"simplicity: {path.name} is not archived: {reason}", err=True)
    raise typer.Exit(1)
