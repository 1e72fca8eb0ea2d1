"""`simplicity snapshot`: make keys, create, inspect and restore index snapshots."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from indexer import log
from indexer.command import EnvFile, clear_errors, fail
from indexer.progress import shown
from indexer.settings import load
from indexer.snapshot.errors import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.snapshot.header import Header

app = typer.Typer(no_args_is_help=True, help="Index snapshots: the index at a height as one signed file.")

File = Annotated[Path, typer.Argument(help="The snapshot.")]
Trust = Annotated[
    list[Path] | None, typer.Option("--trust", help="A public key (KEY.pub) whose snapshots to believe; repeatable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def _snapshot() -> None:
    """Index snapshots: the index at a height as one signed file."""


@app.command()
def keygen(
    *, output: Annotated[Path, typer.Option("--output", "-o", help="The private key's file; KEY.pub goes beside it.")]
) -> None:
    """Make a key pair (Ed25519) to sign snapshots with. The private key stays where snapshots are made.

    Exit code 0: made; 2: a file exists or cannot be written.

    Example: simplicity snapshot keygen --output snapshot.key
    """
    from indexer.snapshot import keys  # noqa: PLC0415 - cryptography is not needed for --help

    with _errors():
        public = keys.generate(output)
    typer.echo(
        f"{output}: the private key, keep it secret\n{output}.pub: the public key {keys.key_id(keys.raw(public))}"
    )


@app.command()
def create(
    *,
    key: Annotated[Path, typer.Option("--key", help="The private key to sign with, from keygen.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="A directory, where the name says network, height and hash; or a file."),
    ] = Path(),
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Write the index as it stands to a signed file; a sync may go on beside it.

    The file is there whole or not at all. An index whose tables do not come to their own hash and digest is refused.

    Exit code 0: written; 1: the index is damaged or the database went away; 2: a setting, the key or place is wrong.

    Examples: simplicity snapshot create --key snapshot.key; simplicity snapshot create --key snapshot.key -o /backup
    """
    from indexer.snapshot import create as creating  # noqa: PLC0415 - the database client is not needed for --help
    from indexer.snapshot import keys  # noqa: PLC0415 - as above

    with _errors():
        settings = load(env_file)
        log.configure(settings.LOG_LEVEL)
        private = keys.load_private(key)
        path, header = creating.create(settings.DATABASE_URL.get_secret_value(), private, output, shown)
    if as_json:
        typer.echo(json.dumps({"file": str(path), "header": msgspec.to_builtins(header)}, indent=2))
    else:
        typer.echo(f"{path}\n{_summary(header)}")


@app.command()
def inspect(
    file: File,
    *,
    trust: Trust = None,
    check: Annotated[bool, typer.Option("--check", help="Read the whole file and verify every checksum.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a snapshot holds and whose it is; needs no database.

    Exit code 0: of a trusted key and, with --check, undamaged; 1: damaged, forged or not trusted; 2: wrong input.

    Example: simplicity snapshot inspect --trust snapshot.key.pub --check simplicity-main-930000-0123456789ab.snapshot
    """
    from indexer.snapshot import container, keys  # noqa: PLC0415 - cryptography is not needed for --help

    log.configure("INFO")
    with _errors():
        trusted = keys.load_trusted(trust or ())
        with container.opened(file) as snapshot:
            problems = snapshot.problems(trusted, check=check, progress=shown)
            header, is_signed = snapshot.header, snapshot.is_signed
    signer = keys.key_id(header.signer)
    is_trusted = is_signed and header.signer in trusted
    if as_json:
        seen = {"file": str(file), "key": signer, "signed": is_signed, "trusted": is_trusted, "checked": check}
        typer.echo(json.dumps(seen | {"problems": problems, "header": msgspec.to_builtins(header)}, indent=2))
    else:
        state = "trusted" if is_trusted else "valid, but of a key that is not trusted" if is_signed else "NOT VALID"
        typer.echo(f"{_summary(header)}\nsignature: {state} (key {signer})")
        is_damaged = any(problem.startswith("section ") for problem in problems)
        typer.echo(f"checksums: {('WRONG' if is_damaged else 'right') if check else 'not looked at, use --check'}")
    for problem in problems:
        typer.echo(f"simplicity: {file}: {problem}", err=True)
    raise typer.Exit(1 if problems else 0)


@app.command()
def restore(
    file: File,
    *,
    trust: Annotated[
        list[Path], typer.Option("--trust", help="A public key (KEY.pub) whose snapshots to believe; repeatable.")
    ],
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Fill an empty database from a snapshot; `simplicity sync` goes on from there.

    Everything is imported in one transaction, and compared with the signed hash and digest before that is committed:
    the database is complete afterwards or as empty as before. It can be run again after any failure.

    Exit code 0: restored, or nothing to do; 1: the file is damaged, forged or not trusted, or the database is away or
    written to; 2: a setting does not fit the snapshot or the database is not empty.

    Example: simplicity snapshot restore --trust snapshot.key.pub simplicity-main-930000-0123456789ab.snapshot
    """
    from indexer.snapshot import keys  # noqa: PLC0415 - the database client is not needed for --help
    from indexer.snapshot import restore as restoring  # noqa: PLC0415 - as above
    from indexer.store.chain import Identity  # noqa: PLC0415 - as above

    with _errors():
        settings = load(env_file)
        log.configure(settings.LOG_LEVEL)
        trusted = keys.load_trusted(trust)
        header, is_new = restoring.restore(
            file,
            trusted,
            settings.DATABASE_URL.get_secret_value(),
            Identity.from_settings(settings),
            reader_role=settings.DATABASE_READER_ROLE,
            progress=shown,
        )
    if as_json:
        typer.echo(json.dumps({"restored": is_new, "header": msgspec.to_builtins(header)}, indent=2))
    else:
        done = (
            "restored; go on with: simplicity sync"
            if is_new
            else "the database stands in this very block: nothing to do"
        )
        typer.echo(f"{_summary(header)}\n{done}")


def _summary(header: Header) -> str:
    rows = ", ".join(f"{section.name} {section.rows:,}" for section in header.tables)
    return (
        f"network {header.network.value}, height {header.height}, block {header.block_hash}\n"
        f"state hash {header.state_hash}\nstate digest {header.state_digest}\n"
        f"rows: {rows}; blocks can be taken back from height {header.undo_from}\n"
        f"{header.file_size:,} bytes, {sum(section.content_size for section in header.tables):,} unpacked;"
        f" made {header.created_at} by {header.version}, schema {header.schema}"
    )


@contextmanager
def _errors() -> Iterator[None]:
    """Show what can go wrong as one line, and let a SIGTERM clean up like a Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with clear_errors():
            yield
    except SnapshotError as error:
        fail(str(error), code=1)
    finally:
        signal.signal(signal.SIGTERM, before)
