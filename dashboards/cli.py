"""`simplicity dashboards`: list them, show their panels, write Grafana's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dashboards.cli_render import register

EXIT_USAGE = 2
GENERATED = Path(__file__).with_name("generated")

app = typer.Typer(no_args_is_help=True, help="List, draw and generate the dashboards.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.callback()
def _root() -> None:
    """List, draw and generate the dashboards."""


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the dashboards.

    Exit code 0: listed.

    Examples: simplicity dashboards list; simplicity dashboards list --json
    """
    from dashboards.catalog import dashboards  # noqa: PLC0415 - not needed for --help

    boards = dashboards()
    if as_json:
        rows = [{"uid": b.uid, "title": b.title, "description": b.description, "panels": len(b.panels)} for b in boards]
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max(len(board.uid) for board in boards)
    for board in boards:
        typer.echo(f"{board.uid:{width}}  {len(board.panels):2} panels  {board.description}")


@app.command()
def show(
    uid: Annotated[str, typer.Argument(metavar="UID", help="The dashboard; `simplicity dashboards list` names them.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show the panels of a dashboard: what each shows, its unit and lines, and the load or fault that fills it.

    Exit code 0: shown; 2: no such dashboard.

    Examples: simplicity dashboards show api; simplicity dashboards show slo --json
    """
    from dashboards.catalog import UnknownDashboardError, dashboard  # noqa: PLC0415 - not needed for --help

    try:
        board = dashboard(uid)
    except UnknownDashboardError as error:
        typer.echo(f"simplicity: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    panels = [_panel(row.title, panel) for row in board.rows for panel in row.panels]
    if as_json:
        head = {"uid": board.uid, "title": board.title, "description": board.description}
        typer.echo(json.dumps(head | {"panels": panels}, indent=2))
        return
    typer.echo(f"{board.title}: {board.description}")
    for panel in panels:
        lines = "; ".join(
            f"{'below ' if line['below'] else ''}{line['value']:g} ({line['source']})" for line in panel["lines"]
        )
        typer.echo(f"\n{panel['title']}  [{panel['unit']}]{f'  lines: {lines}' if lines else ''}")
        typer.echo(f"  {panel['description']}")
        typer.echo(f"  witness {panel['witness']}: {panel['moves_when']}")
        for query in panel["queries"]:
            typer.echo(f"  {query['legend']}: {query['expr']}")


def _panel(row: str, panel: Any) -> dict[str, Any]:  # noqa: ANN401 - typed where it is made; the model is not loaded yet
    from dataclasses import asdict  # noqa: PLC0415 - not needed for --help

    from dashboards.witnesses import WITNESSES  # noqa: PLC0415 - the same

    return {"row": row, **asdict(panel), "moves_when": WITNESSES[panel.witness]}


@app.command()
def generate(
    *,
    out: Annotated[Path, typer.Option(help="The directory; without it that of the committed files.")] = GENERATED,
    operations: Annotated[
        str, typer.Option(help="The operations page, whose runbooks the alerts open; without it this machine's.")
    ] = "",
) -> None:
    """Write the files that Grafana reads, a dashboard each.

    Exit code 0: written; 2: the directory cannot be written.

    Examples: simplicity dashboards generate; simplicity dashboards generate --out /etc/grafana/simplicity
    """
    from dashboards.catalog import dashboards  # noqa: PLC0415 - not needed for --help
    from dashboards.grafana import OPERATIONS  # noqa: PLC0415 - the same
    from dashboards.grafana import as_json as file_of  # noqa: PLC0415 - the same

    page = operations or OPERATIONS
    boards = dashboards()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for board in boards:
            (out / f"{board.uid}.json").write_text(file_of(board, operations=page), encoding="utf-8")
    except OSError as error:
        typer.echo(f"simplicity: cannot write {error.filename or out} ({error.strerror})", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    typer.echo(f"{len(boards)} dashboards in {out}")


register(app)
