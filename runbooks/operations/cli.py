"""`simplicity operations`: the page for the person on call."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import Annotated

import typer

EXIT_USAGE = 2

app = typer.Typer(no_args_is_help=True, help="The page for the person on call.")


@app.callback()
def _root() -> None:
    """The page for the person on call."""  # noqa: D401 - a group's title


@app.command()
def serve(
    *,
    listen: Annotated[
        str,
        typer.Option(
            help="HOST:PORT; beyond the loopback address everybody there may look, nobody deliver without --token-file."
        ),
    ] = "127.0.0.1:8090",
    environment: Annotated[
        Path | None,
        typer.Option(
            envvar="SIMPLICITY_ENVIRONMENT", help="The environment document; without it the local envelope's."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with the token that deliveries have to show: what Alertmanager has as credentials_file."
        ),
    ] = None,
) -> None:
    """Serve the page: health, firing alerts, budgets, dashboards, runbooks; and take Alertmanager's deliveries.

    Deliveries are kept in SIMPLICITY_HOME/local/operations. While there is a file `refuse` they are refused, as by a
    receiver that is away. Beyond the loopback address they are refused without --token-file; with it, whoever does not
    show its token is. The file is read anew for each delivery.

    Exit code 0: stopped; 2: an option cannot work.

    Examples: simplicity operations serve · simplicity operations serve --listen 0.0.0.0:8090 --environment fleet.json
    --token-file /etc/simplicity/operations-token
    """
    from infra.local.layout import EnvelopeError, layout, private_directory  # noqa: PLC0415 - not needed for --help
    from runbooks.operations.gate import Gate, TokenError  # noqa: PLC0415 - as above
    from runbooks.operations.server import ListenError, bound, run  # noqa: PLC0415 - as above

    home = layout()
    directory = home.operations
    try:
        private_directory(directory)
        Gate(listen, token_file).check()
        listener = bound(listen)
    except (EnvelopeError, ListenError, TokenError) as error:
        typer.echo(f"simplicity: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    run(listener, environment or home.environment, directory, token_file)
