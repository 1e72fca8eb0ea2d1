"""`python -m tests.mutate` (`make mutate-alerts`): small faults of the alert rules, which tests have to notice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from tests.mutate import examine
from tests.mutate.bench import BenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.mutate.examine import Found


def main(
    only: Annotated[list[str] | None, typer.Option(help="Only the mutants of these alerts (repeatable).")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Mutate the alert rules: flip comparisons, scale thresholds, windows and waits, drop matchers, swap functions.

    Each mutant has to be killed by a case of its alert. Then a mutant of each alert is run without the alert's cases,
    and has to survive; no rule may read whether another alert fires, by which others' cases might notice it.

    Exit code 0: all were killed; 1: some survived, or an alert has too few mutants, or cases that nobody would miss, or
    reads of other alerts; 2: no such alert, or cases that fail without a mutant.

    Examples:
    make mutate-alerts

    make mutate-alerts ARGS="--only HighErrorRate"
    """
    names = examine.names()
    if unknown := [name for name in only or [] if name not in names]:
        raise typer.BadParameter(f"there is no alert {unknown[0]!r}", param_hint="--only")
    chosen = only or names
    try:
        found = examine.examine(chosen)
    except BenchError as error:
        typer.echo(f"mutate: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(_as_json(chosen, found) if as_json else _report(chosen, found))
    raise typer.Exit(0 if found.good else 1)


def _report(chosen: Sequence[str], found: Found) -> str:
    result = found.result
    killed, survived = examine.count(result.killed), examine.count(result.survivors)
    lines = [f"{'alert':32} {'mutants':>8} {'killed':>8}"]
    lines += [f"{name:32} {killed[name] + survived[name]:8} {killed[name]:8}" for name in chosen]
    lines += [f"too few mutants (fewer than {examine.FEWEST}): {name}" for name in found.few]
    lines += [
        f"without its cases its mutant would be killed all the same, or none is: {name}" for name in found.unmissed
    ]
    lines += [f"reads whether alerts fire: {name}" for name in found.readers]
    lines += [f"survived: {mutant.difference}" for mutant in result.survivors]
    total = len(result.killed) + len(result.survivors)
    lines.append(
        f"{len(chosen)} alerts, {total} mutants, {len(result.killed)} killed, {len(result.survivors)} survived"
    )
    return "\n".join(lines)


def _as_json(chosen: Sequence[str], found: Found) -> str:
    result = found.result
    killed, survived = examine.count(result.killed), examine.count(result.survivors)
    return json.dumps(
        {
            "alerts": {name: {"killed": killed[name], "survived": survived[name]} for name in chosen},
            "mutants": len(result.killed) + len(result.survivors),
            "killed": len(result.killed),
            "survivors": [mutant.difference for mutant in result.survivors],
            "too_few": found.few,
            "unmissed": found.unmissed,
            "readers": found.readers,
        },
        indent=2,
    )


if __name__ == "__main__":
    typer.run(main)
