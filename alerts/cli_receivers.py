"""`simplicity alerts receivers`: Alertmanager's configuration for the receivers that an environment has."""

from __future__ import annotations

from typing import Annotated

import typer

EXIT_WRONG = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(receivers)


def receivers(
    file: Annotated[
        typer.FileText, typer.Argument(metavar="FILE", help="Receivers as YAML or JSON; `-` reads standard input.")
    ],
    *,
    scale: Annotated[float, typer.Option("--scale", min=1, help="How many times shorter its waits are.")] = 1.0,
) -> None:
    """Print Alertmanager's configuration: who is told of what, for these receivers.

    They are given by kind: webhook, pager, chat, team_chats, mail, heartbeat. Secrets are named as files that
    Alertmanager reads when it sends.

    Exit code 0: printed; 1: the receivers cannot do their work; 2: there is no such file.

    Examples: simplicity alerts receivers receivers.yaml;
    echo '{"webhook": {"url": "https://operations.example.com/alerts"}}' | simplicity alerts receivers -
    """
    import yaml  # noqa: PLC0415 - not needed for --help

    from alerts.alertmanager import configuration  # noqa: PLC0415 - the same
    from alerts.model import Scale  # noqa: PLC0415 - the same
    from alerts.receivers import ReceiverError  # noqa: PLC0415 - the same
    from alerts.receivers_read import receivers_of  # noqa: PLC0415 - the same

    try:
        text = configuration(receivers_of(yaml.safe_load(file)), scale=Scale(factor=scale))
    except yaml.YAMLError as error:
        typer.echo(f"alerts: the receivers are no YAML ({' '.join(str(error).split())})", err=True)
        raise typer.Exit(EXIT_WRONG) from None
    except ReceiverError as error:
        typer.echo(f"alerts: {error}", err=True)
        raise typer.Exit(EXIT_WRONG) from None
    typer.echo(text, nl=False)
