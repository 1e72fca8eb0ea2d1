"""`simplicity dashboards render`: a picture of a dashboard, without Grafana."""

from __future__ import annotations

import json
import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import Annotated, Any

import typer

EXIT_NO_DATA, EXIT_USAGE = 1, 2


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("render")(render)


def render(  # noqa: PLR0913 - a command's options are its arguments
    name: Annotated[str, typer.Argument(help="The dashboard's uid; `simplicity dashboards list` names them.")],
    *,
    out: Annotated[Path, typer.Option(help="The file to write: NAME.html, or NAME.png.")],
    start: Annotated[str, typer.Option("--from", help="From when on: -1h, -30m, 2026-01-31T09:00Z.")] = "-1h",
    end: Annotated[str, typer.Option("--to", help="Until when, in the same way.")] = "now",
    cluster: Annotated[str, typer.Option(help="The environment's label; without it the document's, else local.")] = "",
    prometheus: Annotated[str, typer.Option(help="Prometheus's URL; without it the environment's.")] = "",
    environment: Annotated[
        Path | None,
        typer.Option(
            envvar="SIMPLICITY_ENVIRONMENT", help="The environment document; without it the local envelope's."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was drawn as one JSON object.")] = False,
) -> None:
    """Draw a dashboard with Prometheus's data, for an incident report: HTML that needs nothing else, or a PNG.

    Exit code 0: drawn; 1: Prometheus gave no data for a panel; 2: an option cannot work.

    Examples: simplicity dashboards render overview --from -1h --out overview.html ·
    simplicity dashboards render api --from 2026-01-31T09:00Z --to 2026-01-31T10:00Z --out incident.png
    """
    from dashboards.catalog import UnknownDashboardError, dashboard  # noqa: PLC0415 - not needed for --help
    from dashboards.render import RenderError, format_of, write  # noqa: PLC0415 - as above
    from dashboards.render_data import fill, window_of  # noqa: PLC0415 - as above
    from dashboards.source import Source  # noqa: PLC0415 - as above

    try:
        board, draw = dashboard(name), format_of(out)
        window = window_of(start, end, time.time())
        url, label = _metrics(prometheus, environment)
        picture = fill(board, Source(url), cluster=cluster or label, window=window)
        write(out, draw(picture))
    except (UnknownDashboardError, RenderError, ValueError) as error:
        typer.echo(f"simplicity: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    failed = {each.panel.title: each.problem for each in picture.panels if each.problem}
    empty = [each.panel.title for each in picture.panels if each.is_empty and not each.problem]
    if as_json:
        typer.echo(json.dumps({"file": str(out), "panels": len(picture.panels), "empty": empty, "failed": failed}))
    else:
        typer.echo(f"{out}: {len(picture.panels)} panels, {len(empty)} without data in this range")
    for title, problem in failed.items():
        typer.echo(f"simplicity: {title}: {problem}", err=True)
    raise typer.Exit(EXIT_NO_DATA if failed else 0)


def _metrics(prometheus: str, environment: Path | None) -> tuple[str, str]:
    """Return Prometheus's URL and the environment's label. Raises ValueError with one line."""
    from alerts.place import local_document  # noqa: PLC0415 - not needed for --help

    if prometheus and environment is None:
        return prometheus.rstrip("/"), "local"
    path = environment or local_document()
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))["metrics"]
        return (prometheus or str(found["url"])).rstrip("/"), str(found.get("labels", {}).get("cluster", "local"))
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no environment here; `simplicity up` makes the local one, or give --prometheus URL"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise ValueError(f"{path}: is no environment document; give another with --environment FILE") from None
