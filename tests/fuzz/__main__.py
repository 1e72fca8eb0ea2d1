"""`python -m tests.fuzz` (`make fuzz`): bytes from outside, bent in every way, against all that reads them."""

from __future__ import annotations

import faulthandler
import json
import secrets
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexer import log
from tests.bench.progress import Progress
from tests.fuzz import report
from tests.fuzz.bounds import little_memory
from tests.fuzz.case import read
from tests.fuzz.engine import TARGETS, Outcome, fuzz

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parents[2] / ".simplicity" / "fuzz"
TargetName = StrEnum("TargetName", {name: name for name in TARGETS})  # type: ignore[misc]  # as many as there are


def main(
    minutes: Annotated[float, typer.Option(min=0.001, help="How long.")] = 10.0,
    seed: Annotated[int | None, typer.Option(help="What the inputs follow from; default: new each time.")] = None,
    only: Annotated[list[TargetName] | None, typer.Option(help="Only these targets (repeatable).")] = None,
    findings: Annotated[Path, typer.Option(help="Where findings are written.")] = FOLDER,
    replay: Annotated[
        Path | None, typer.Option(help="Run the input of a finding's file again, and nothing else.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Fuzz everything that reads what strangers wrote: decoders, parser, rules, hashing, rows, a node's answers.

    Each input follows from the seed, its target and its number. What is accepted is compared with a second reading.

    Exit code 0: nothing found; 1: a finding, or a target whose inputs never came deep enough; 2: wrong options.

    Examples:
    make fuzz

    make fuzz ARGS="--minutes 1 --only payload --only script"

    make fuzz ARGS="--replay .simplicity/fuzz/payload-5-77.json"
    """
    faulthandler.enable()
    log.configure("CRITICAL")  # what the indexer says of nodes that lie is expected here
    if replay is not None:
        _replay(replay)
        return
    seed = secrets.randbits(32) if seed is None else seed
    started = time.monotonic()
    outcome = _run(seed, minutes * 60, [str(each) for each in only] if only else None)
    seconds = time.monotonic() - started
    if as_json:
        typer.echo(json.dumps(report.figures(outcome, seed, seconds), indent=2))
    else:
        report.show(outcome, seed, seconds)
    for each in outcome.findings.values():
        typer.echo(f"fuzz: {each.target}: {each.error}\n  again: --replay {each.write(findings)}", err=True)
    for name in report.shallow(outcome):
        typer.echo(f"fuzz: no input of {name} came to its end, so nothing is shown; let it run longer", err=True)
    if outcome.findings or report.shallow(outcome):
        raise typer.Exit(1)


def _run(seed: int, seconds: float, names: list[str] | None) -> Outcome:
    with Progress(f"fuzzing, seed {seed}", seconds) as progress:
        return fuzz(seed, names=names, is_over=_clock(progress, seconds))


def _clock(progress: Progress, seconds: float) -> Callable[[int], bool]:
    started = time.monotonic()

    def is_over(done: int) -> bool:
        gone = time.monotonic() - started
        if done % 50 == 0:
            progress.at(min(gone, seconds))
        return gone >= seconds

    return is_over


def _replay(path: Path) -> None:
    """Run one input; what it raises is shown as it is."""
    try:
        name, case = read(path)
        target = TARGETS[name]
    except (ValueError, KeyError) as error:
        typer.echo(f"fuzz: --replay: {error}", err=True)
        raise typer.Exit(2) from None
    with little_memory():
        reached = target.run(case)
    typer.echo(f"{path.name}: nothing breaks any more ({reached.depth.name.lower()})")


if __name__ == "__main__":
    typer.run(main)
