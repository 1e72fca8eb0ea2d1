"""What the sub-commands share: where settings come from, errors as lines, files that are whole."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from indexer.settings import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

EnvFile = Annotated[
    Path | None, typer.Option("--env-file", help="Read settings from this file (default: .env); the environment wins.")
]


@contextmanager
def clear_errors(*others: type[Exception], unavailable: int = 1) -> Iterator[None]:
    """Show what an operator can mend as lines on standard error, without a trace; `others` are shown as well.

    Exit code 2, or `unavailable` for a database that cannot be reached.
    """
    from indexer.store.connection import StoreError, StoreUnavailableError  # noqa: PLC0415 - not needed for --help

    told: tuple[type[Exception], ...] = (ConfigurationError, StoreError, *others)
    try:
        yield
    except told as error:
        fail(str(error), code=2)
    except StoreUnavailableError as error:
        fail(str(error), code=unavailable)


def fail(message: str, *, code: int) -> None:
    """Show a message as lines on standard error and exit."""
    typer.echo("\n".join(f"simplicity: {line}" for line in message.splitlines()), err=True)
    raise typer.Exit(code) from None


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as target:
            yield target
        partial.replace(path)
    except OSError as error:
        raise ConfigurationError(f"--output {path}: {error.strerror}; choose another place") from None
    finally:
        with suppress(OSError):
            partial.unlink()
