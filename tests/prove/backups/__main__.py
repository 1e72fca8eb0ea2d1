"""`python -m tests.prove.backups` (`make prove-backups`): do the runbook engine, the trail and the backups hold?"""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tests.prove.backups import damage, forgeries, kills, large, pages, points
from tests.prove.backups.figures import Figures, show
from tests.prove.backups.site import site
from tests.runbooks.engine.killing import kill_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK_POINTS, POINTS = 3, 10
QUICK_STEPS = ("take-place",)


def main(
    only: Annotated[
        list[str] | None, typer.Option(help="Only this part: pages, engine, forgeries, restores, kills or large.")
    ] = None,
    seed: Annotated[int, typer.Option(help="What is random follows from it; default: another one each time.")] = 0,
    output: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Three points, two kills of the restore, no large index: some minutes.")
    ] = False,
) -> None:
    """Kill runbooks, forge the trail, damage backups, lose databases and restore them, on real envelopes.

    Exit code 0: all of it holds; 1: something does not; 2: wrong options.

    Examples:
    make prove-backups

    make prove-backups ARGS="--quick"

    make prove-backups ARGS="--only large --json figures.json"
    """
    seed = seed or random.SystemRandom().randrange(1, 1 << 32)
    parts: dict[str, Callable[[Figures], None]] = {
        "pages": pages.prove,
        "engine": _engine,
        "forgeries": lambda figures: forgeries.prove(figures, random.Random(seed)),
        "restores": lambda figures: _restores(figures, random.Random(seed), QUICK_POINTS if quick else POINTS),
        "kills": lambda figures: _kills(figures, random.Random(seed), QUICK_STEPS if quick else kills.STEPS),
        "large": large.prove,
    }
    unknown = sorted(set(only or ()) - set(parts))
    if unknown:
        typer.echo(f"there is no part {unknown[0]}; there are {', '.join(parts)}", err=True)
        raise typer.Exit(2)
    typer.echo(f"seed {seed}", err=True)
    figures = Figures()
    began = time.monotonic()
    for name, part in parts.items():
        if name in (only or parts) and not (quick and name == "large" and not only):
            _one(name, part, figures)
    show(figures.lines)
    good, seconds = sum(line.holds for line in figures.lines), time.monotonic() - began
    typer.echo(f"{good} of {len(figures.lines)} hold; seed {seed}; {seconds:.0f} s")
    if output is not None:
        output.write_text(json.dumps({"seed": seed, "figures": figures.as_dicts()}, indent=2) + "\n")
    raise typer.Exit(0 if figures.hold else 1)


def _one(name: str, part: Callable[[Figures], None], figures: Figures) -> None:
    typer.echo(f"{name}: begun", err=True)
    began = time.monotonic()
    try:
        part(figures)
    except Exception as error:  # noqa: BLE001 - the other parts have figures of their own
        figures.add(name, f"broke off: {type(error).__name__}: {error}"[:1000], "no break", holds=False)
    typer.echo(f"{name}: {time.monotonic() - began:.0f} s", err=True)


def _engine(figures: Figures) -> None:
    with tempfile.TemporaryDirectory() as folder:
        counts = kill_matrix(Path(folder))
    good = counts.resumed + counts.rolled_back
    what = "runs killed -9 in every phase of every step, then resumed or rolled back"
    figures.count(what, good, good + len(counts.otherwise))
    figures.add("kills of them", counts.kills, "at least one a phase", holds=counts.kills > 0)
    figures.add("half done", counts.half_done, "0", holds=not counts.half_done)
    figures.add("entries missing in the trail", counts.not_in_trail, "0", holds=not counts.not_in_trail)


def _restores(figures: Figures, rng: random.Random, count: int) -> None:
    with site("--rate", "5") as here:
        points.prove(figures, here, rng, points=count)
        damage.prove(figures, here)


def _kills(figures: Figures, rng: random.Random, steps: tuple[str, ...]) -> None:
    with site("--rate", "2") as here:
        here.reaches(here.environment.start_height + 20, within=120)
        here.key("of-kills")
        here.done("backup", "create")
        kills.prove(figures, here, rng, steps=steps)


if __name__ == "__main__":
    typer.run(main)
