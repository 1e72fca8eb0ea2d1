"""`python -m tests.prove.deploy` (`make prove-deploy`): what do deployments and broken machines cost the clients?"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.local.layout import layout
from tests.prove.backups.figures import Figures, show
from tests.prove.deploy import bare, failures, hosts, releases, rotations
from tests.prove.deploy.site import fleet
from tests.prove.deploy.variants import Variants

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.prove.deploy.site import Site

PARTS: dict[str, Callable[[Figures, Site, Variants], None]] = {
    "hosts": hosts.prove,
    "releases": releases.prove,
    "failures": failures.prove,
    "rotations": rotations.prove,
}
# What a gate has time for.
QUICK = ("hosts", "releases")


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"Only this part: {', '.join(PARTS)}.")] = None,
    home: Annotated[Path | None, typer.Option(help="A directory of its own: only the images in it stay.")] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer faults, shorter watches: some minutes.")] = False,
) -> None:
    """Boot a fleet of bare hosts, make an environment of it, deploy to it, break it, and count what clients lost.

    Needs root. Exit code 0: all of it holds; 1: something does not; 2: wrong options.

    Examples:
    make prove-deploy

    make prove-deploy ARGS="--quick"

    make prove-deploy ARGS="--only releases --json figures.json"
    """
    unknown = sorted(set(only or ()) - set(PARTS))
    if unknown:
        typer.echo(f"there is no part {unknown[0]}; there are {', '.join(PARTS)}", err=True)
        raise typer.Exit(2)
    figures, began = Figures(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="simplicity-prove-") as scratch,
        fleet(home or layout().home / "prove-deploy") as site,
    ):
        variants = Variants(site, Path(scratch), quick)
        if _one("bare", bare.prove, figures, site, variants):
            for name, part in PARTS.items():
                if name in (only or (QUICK if quick else PARTS)):
                    _one(name, part, figures, site, variants)
    show(figures.lines)
    good, seconds = sum(line.holds for line in figures.lines), time.monotonic() - began
    typer.echo(f"{good} of {len(figures.lines)} hold; {seconds:.0f} s")
    if output is not None:
        output.write_text(json.dumps({"figures": figures.as_dicts()}, indent=2) + "\n")
    raise typer.Exit(0 if figures.hold else 1)


def _one(
    name: str,
    part: Callable[[Figures, Site, Variants], None],
    figures: Figures,
    site: Site,
    variants: Variants,
) -> bool:
    typer.echo(f"{name}: begun", err=True)
    began = time.monotonic()
    try:
        part(figures, site, variants)
    except Exception as error:  # noqa: BLE001 - the other parts have figures of their own
        figures.add(name, f"broke off: {type(error).__name__}: {error}"[:1500], "no break", holds=False)
    else:
        return True
    finally:
        typer.echo(f"{name}: {time.monotonic() - began:.0f} s", err=True)
    return False


if __name__ == "__main__":
    typer.run(main)
