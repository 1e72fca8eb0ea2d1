"""`python -m tests.leak` (`make check-leaks`): does memory grow with the blocks that were followed?"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from indexer import log
from indexer.store.schema import migrate
from tests.bench.progress import Progress
from tests.leak import report
from tests.leak.check import SMALLEST, Plant, watch
from tests.support.postgres import Cluster


def main(
    blocks: Annotated[int, typer.Option(min=SMALLEST, help="Half are caught up with, half come one by one.")] = 20_000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that prepare blocks.")] = 1,
    plant: Annotated[list[Plant] | None, typer.Option(help="Plant a leak, to see that it is caught.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Follow a chain of small blocks into a real database and check that no process holds more and more.

    New tickers and addresses come with each block; now and then the chain forks and the node fails.

    Exit code 0: memory is flat; 1: it grows; 2: wrong options.

    Examples:
    make check-leaks

    make check-leaks ARGS="--blocks 2000 --plant worker"
    """
    log.configure("ERROR")  # the forks and failures are wanted
    with Cluster.create() as cluster:
        url = cluster.new_database()
        migrate(url)
        with Progress(f"following {blocks} blocks", blocks) as progress:
            watched = watch(url, blocks, workers=workers, plants=plant or (), told=progress.at)
    found = report.series(watched)
    if as_json:
        typer.echo(json.dumps(report.figures(watched, found)))
    else:
        report.show(watched, found)
    growing = [each for each in found if each.grows]
    for each in growing:
        typer.echo(
            f"leak: {each.process} process, {each.leg}: {each.quantity} grow by {each.slope:.1f} a block"
            f" (bound {each.bound:.1f})",
            err=True,
        )
    if growing:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
