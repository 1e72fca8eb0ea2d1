"""The service's sub-commands: check the settings, follow the chain, serve the API, export the state."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import IO, TYPE_CHECKING, Annotated

import typer

from indexer import log
from indexer.settings import ConfigurationError, load

if TYPE_CHECKING:
    from collections.abc import Iterator

EnvFile = Annotated[
    Path | None, typer.Option("--env-file", help="Read settings from this file (default: .env); the environment wins.")
]

config_app = typer.Typer(no_args_is_help=True, help="The indexer's settings.")
state_app = typer.Typer(no_args_is_help=True, help="The indexed state.")


@config_app.callback()
def _config() -> None:
    """The indexer's settings."""  # noqa: D401 - a group's title


@state_app.callback()
def _state() -> None:
    """The indexed state."""  # noqa: D401 - a group's title


@config_app.command("check")
def config_check(
    *,
    env_file: EnvFile = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the database and the node.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check the settings, then whether the database and the node answer to them.

    Exit code 0: all is well; 1: something does not answer; 2: a setting cannot work.

    Example: simplicity config check --env-file production.env
    """
    from indexer.check import check  # noqa: PLC0415 - the database and RPC clients are not needed for --help

    with _clear_errors():
        settings = load(env_file)
    log.configure("ERROR")
    findings = check(settings, offline=offline)
    if as_json:
        typer.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}: {finding.detail}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def sync(
    *,
    until: Annotated[
        str | None,
        typer.Option(help="Stop at the node's 'tip' as it is now, or at a HEIGHT; default: follow for ever."),
    ] = None,
    patience: Annotated[
        float, typer.Option(help="With --until: give up when the node or database was away for this many seconds.")
    ] = 60.0,
    env_file: EnvFile = None,
) -> None:
    """Migrate the database, then index from any bitcoind-compatible node; a second one waits as hot standby.

    Exit code 0: stopped or done; 1: gave up waiting; 2: a setting, the database or the node does not fit.

    Examples: simplicity sync; simplicity sync --until tip; simplicity sync --until 895600
    """
    from prometheus_client import start_http_server  # noqa: PLC0415 - not needed for --help

    from indexer.sync.service import Service, Until  # noqa: PLC0415 - as above

    with _clear_errors():
        settings = load(env_file)
        target = None if until is None else Until(_height(until), patience)
    log.configure(settings.LOG_LEVEL)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if target is None:
        host, port = settings.SYNC_METRICS_HOST, settings.SYNC_METRICS_PORT
        with _clear_errors(), _listening("SYNC_METRICS_HOST", host, "SYNC_METRICS_PORT", port):
            start_http_server(port, host)
    raise typer.Exit(Service(settings, stop, target).run())


def api(*, env_file: EnvFile = None) -> None:
    """Serve the read API on API_HOST:API_PORT.

    Example: API_PORT=8083 simplicity api
    """
    from indexer.api.server import listen, serve  # noqa: PLC0415 - FastAPI is not needed for --help

    with _clear_errors():
        settings = load(env_file)
    log.configure(settings.LOG_LEVEL)
    with _clear_errors(), _listening("API_HOST", settings.API_HOST, "API_PORT", settings.API_PORT):
        listener = listen(settings)
    serve(settings, listener)


@state_app.command("export")
def state_export(
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, not standard output.")
    ] = None,
    env_file: EnvFile = None,
) -> None:
    """Write deploys, balances and operations as canonical NDJSON, one consistent snapshot, so that indexers compare.

    Lines are sorted and carry exact amounts; the first line says at which height and state hash it was taken.

    Examples: simplicity state export > a.ndjson; diff a.ndjson b.ndjson
    """
    from indexer.store.export import export  # noqa: PLC0415 - the database client is not needed for --help

    with _clear_errors():
        settings = load(env_file)
        url = settings.DATABASE_URL.get_secret_value()
        if output is None:
            export(url, sys.stdout.buffer)
        else:
            with _whole_file(output) as target:
                export(url, target)


@contextmanager
def _whole_file(path: Path) -> Iterator[IO[bytes]]:
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


def _height(until: str) -> int | None:
    if until == "tip":
        return None
    if not until.isdecimal():
        raise ConfigurationError(f"--until {until}: must be 'tip' or a height such as 895600")
    return int(until)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Show what an operator can mend as lines on standard error, without a trace."""
    from indexer.store.connection import StoreError, StoreUnavailableError  # noqa: PLC0415 - not needed for --help

    try:
        yield
    except ConfigurationError as error:
        typer.echo("\n".join(f"simplicity: {line}" for line in str(error).splitlines()), err=True)
        raise typer.Exit(2) from None
    except StoreError as error:
        typer.echo(f"simplicity: {error}", err=True)
        raise typer.Exit(2) from None
    except StoreUnavailableError as error:
        typer.echo(f"simplicity: {error}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _listening(host_setting: str, host: str, port_setting: str, port: int) -> Iterator[None]:
    try:
        yield
    except socket.gaierror as error:
        raise ConfigurationError(f"{host_setting}={host} is no address of this machine ({error.strerror})") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigurationError(f"{port_setting}={port} cannot be listened on ({reason}); choose another") from None
