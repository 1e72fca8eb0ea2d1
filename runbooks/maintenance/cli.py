"""`simplicity maintenance`: see how an environment is."""

from __future__ import annotations

import json
import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.environment import EnvironmentFileError, load
from infra.local.layout import layout
from runbooks.backup.cli import create, restore
from runbooks.maintenance.checks import CHECKS, checks_of
from runbooks.maintenance.health import Finding, examine, overall
from runbooks.maintenance.verdict import Health

EXIT_USAGE = 2
STYLES = {Health.HEALTHY: "green", Health.DEGRADED: "yellow", Health.UNHEALTHY: "red"}

app = typer.Typer(no_args_is_help=True, help="See how an environment is; back it up and restore it.")
# The same commands as `simplicity backup create` and `restore`, where those who maintain look for them.
app.command("backup")(create)
app.command("restore")(restore)


@app.callback()
def _root() -> None:
    """See how an environment is; back it up and restore it."""


@app.command()
def health(
    *,
    environment: Annotated[
        Path | None,
        typer.Option(
            envvar="SIMPLICITY_ENVIRONMENT", help="The environment document; without it the local envelope's."
        ),
    ] = None,
    component: Annotated[
        list[str] | None, typer.Option(help=f"Only this one; may be repeated: {', '.join(CHECKS)}.")
    ] = None,
    detailed: Annotated[bool, typer.Option("--detailed", help="Show what each check saw.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Check every component of an environment, all at once, in under 5 seconds.

    Examples: `simplicity maintenance health` · `simplicity maintenance health --component sync --detailed` ·
    `simplicity maintenance health --environment fleet.json --json`

    Exit code 0: all healthy; 1: something is degraded or unhealthy; 2: no such component or no environment.
    """
    began = time.monotonic()
    try:
        document = load(environment or layout().environment)
    except EnvironmentFileError as error:
        typer.echo(f"simplicity: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    checks = checks_of(document)
    unknown = sorted(set(component or ()) - set(checks))
    if unknown:
        typer.echo(
            f"simplicity: {document.name} has no component {unknown[0]!r}; there are {', '.join(checks)}", err=True
        )
        raise typer.Exit(EXIT_USAGE)
    findings = examine(document, {name: check for name, check in checks.items() if not component or name in component})
    seconds = round(time.monotonic() - began, 2)
    worst = overall(findings)
    if as_json:
        typer.echo(json.dumps(_record(document.name, worst, seconds, findings, detailed=detailed), indent=2))
    else:
        _show(Console(), findings, detailed=detailed)
        typer.echo(f"\n{document.name}: {worst} ({seconds} s)")
    raise typer.Exit(0 if worst is Health.HEALTHY else 1)


def _record(name: str, worst: Health, seconds: float, findings: list[Finding], *, detailed: bool) -> dict[str, object]:
    components = [
        {
            "component": finding.component,
            "status": finding.verdict.health,
            "latency_ms": finding.latency_ms,
            "detail": finding.verdict.detail,
            "hint": finding.verdict.hint,
        }
        | ({"facts": finding.verdict.facts} if detailed else {})
        for finding in findings
    ]
    return {"environment": name, "status": worst, "seconds": seconds, "components": components}


def _show(console: Console, findings: list[Finding], *, detailed: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("component", "status", "ms", "detail"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "ms" else "left")
    for finding in findings:
        verdict = finding.verdict
        style = STYLES[verdict.health]
        table.add_row(
            finding.component, f"[{style}]{verdict.health}[/]", f"{finding.latency_ms:.0f}", escape(verdict.detail)
        )
    console.print(table)
    for finding in findings:
        verdict = finding.verdict
        if verdict.hint:
            console.print(f"\n{finding.component}: {verdict.hint}", markup=False, highlight=False)
        if detailed:
            for key, value in verdict.facts.items():
                console.print(f"  {finding.component}.{key} = {value}", markup=False, highlight=False)
