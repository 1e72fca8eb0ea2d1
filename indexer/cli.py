"""The service's sub-commands: check the settings, follow the chain, serve the API."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from indexer import log
from indexer.command import EnvFile, clear_errors
from indexer.settings import ConfigurationError, load
from indexer.signals import at_signals, at_the_end
from indexer.tls import renew

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


config_app = typer.Typer(no_args_is_help=True, help="The indexer's settings.")


@config_app.callback()
def _config() -> None:
    """The indexer's settings."""  # noqa: D401 - a group's title


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

    with clear_errors():
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

    Exit code 0: stopped or done; 1: gave up waiting; 2: a setting, the database or the node does not fit;
    3: the database is damaged.

    Examples: simplicity sync; simplicity sync --until tip; simplicity sync --until 895600
    """
    from prometheus_client import start_http_server  # noqa: PLC0415 - not needed for --help

    from indexer.sync.service import Service, Until  # noqa: PLC0415 - as above

    with clear_errors():
        settings = load(env_file)
        target = None if until is None else Until(_height(until), patience)
    log.configure(settings.LOG_LEVEL)
    stop = Event()
    at_the_end(stop.set)
    if target is None:
        host, port = settings.SYNC_METRICS_HOST, settings.SYNC_METRICS_PORT
        with clear_errors(), _listening("SYNC_METRICS_HOST", host, "SYNC_METRICS_PORT", port):
            server, _ = start_http_server(
                port, host, certfile=_text(settings.TLS_CERTIFICATE), keyfile=_text(settings.TLS_KEY)
            )
        if isinstance(server.socket, ssl.SSLSocket):
            at_signals((signal.SIGHUP,), partial(renew, server.socket.context, settings))
    raise typer.Exit(Service(settings, stop, target).run())


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def migrate(
    *,
    env_file: EnvFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the versions as JSON.")] = False,
) -> None:
    """Bring the database to this release's schema, once, while the release before goes on; sync does so by itself.

    Exit code 0: the database has it; 1: no database; 2: it has a later one, or does not fit.

    Example: simplicity migrate --env-file production.env
    """
    from indexer.store import schema  # noqa: PLC0415 - the database's driver is not needed for --help
    from indexer.store.connection import connect, require_utf8, translated  # noqa: PLC0415 - as above

    with clear_errors():
        settings = load(env_file)
        url = settings.DATABASE_URL.get_secret_value()
        with translated(), connect(url) as connection:
            require_utf8(connection)
            before = schema.version(connection)
        schema.migrate(url, reader_role=settings.DATABASE_READER_ROLE)
    now = schema.head()
    if as_json:
        typer.echo(json.dumps({"before": before, "now": now, "changed": before != now}))
    else:
        typer.echo(f"schema {now}" + (" (already)" if before == now else f", was {before or 'empty'}"))


api_app = typer.Typer(invoke_without_command=True, help="Serve the read API, or switch its maintenance mode.")


@api_app.callback()
def api(context: typer.Context, *, env_file: EnvFile = None) -> None:
    """Serve the read API on API_HOST:API_PORT; SIGTERM drains for API_DRAIN_SECONDS, a second one ends that.

    Examples: simplicity api; simplicity api maintenance on --message "back at 10:00 UTC"
    """
    if context.invoked_subcommand is not None:
        return
    from indexer.api.server import listen, serve  # noqa: PLC0415 - FastAPI is not needed for --help
    from indexer.telemetry.sink import Sink  # noqa: PLC0415 - as above

    with clear_errors():
        settings = load(env_file)
    sink = Sink.on_stderr()
    log.configure(settings.LOG_LEVEL, sink)
    with clear_errors(), _listening("API_HOST", settings.API_HOST, "API_PORT", settings.API_PORT):
        listener = listen(settings)
    serve(settings, listener, sink)


@api_app.command("maintenance")
def api_maintenance(
    switch: Annotated[str, typer.Argument(help="on, off or show.")],
    *,
    message: Annotated[str, typer.Option(help="What clients are told.")] = "",
    only: Annotated[
        list[str] | None, typer.Option(help="Only this class of routes: read, bulk, stream or auth; may be repeated.")
    ] = None,
    serve_cached: Annotated[
        bool, typer.Option("--serve-cached", help="Give kept answers, marked with their age.")
    ] = False,
    retry_after: Annotated[int, typer.Option(min=1, max=86_400, help="Seconds after which clients try again.")] = 60,
    env_file: EnvFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the switch as JSON.")] = False,
) -> None:
    """Let every API process answer an honest 503, at once and until it is switched off; health and metrics go on.

    Needs the database's owner in DATABASE_URL. Exit code 0: as wanted; 1: no database; 2: cannot be.

    Examples: simplicity api maintenance on --message "back at 10:00 UTC" --retry-after 1800;
    simplicity api maintenance on --only bulk; simplicity api maintenance off; simplicity api maintenance show
    """
    from indexer.api import maintenance  # noqa: PLC0415 - the database's driver is not needed for --help
    from indexer.store.connection import connect, translated  # noqa: PLC0415 - as above

    with clear_errors():
        settings = load(env_file)
        if switch not in {"on", "off", "show"}:
            raise ConfigurationError(f"{switch}: say on, off or show")
        try:
            classes = maintenance.classes_of(only or ())
        except ValueError as error:
            raise ConfigurationError(f"--only: {error}") from None
        wanted = maintenance.NOT_ON
        if switch == "on":
            wanted = maintenance.Maintenance(True, message, classes, serve_cached, retry_after)
        with translated(), connect(settings.DATABASE_URL.get_secret_value(), statement_timeout=10) as connection:
            changed = switch != "show" and maintenance.write(connection, wanted)
            now = maintenance.read(connection)
    if as_json:
        typer.echo(json.dumps(now.as_dict() | {"changed": changed}, indent=2))
    else:
        typer.echo(now.sentence + ("" if changed or switch == "show" else " (already)"))


def _height(until: str) -> int | None:
    if until == "tip":
        return None
    if not until.isdecimal():
        raise ConfigurationError(f"--until {until}: must be 'tip' or a height such as 895600")
    return int(until)


@contextmanager
def _listening(host_setting: str, host: str, port_setting: str, port: int) -> Iterator[None]:
    try:
        yield
    except socket.gaierror as error:
        raise ConfigurationError(f"{host_setting}={host} is no address of this machine ({error.strerror})") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigurationError(f"{port_setting}={port} cannot be listened on ({reason}); choose another") from None
