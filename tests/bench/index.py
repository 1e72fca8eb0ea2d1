"""`make bench-index`: how fast the indexer is, at what cost, and whether that stays so as history grows."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sys
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, NoReturn

import psutil
import typer
from rich.console import Console

from indexer.settings import Settings
from tests.bench import profile, report
from tests.bench.bench import Bench, Sizes
from tests.bench.chain import CACHE
from tests.bench.laboratory import laboratory
from tests.bench.live import blocks_needed
from tests.bench.runner import StageError

if TYPE_CHECKING:
    from tests.bench.task import Figures

TERMINATED = 128 + signal.SIGTERM
WIDTH = 150  # of the table where the output is no terminal


class Stage(StrEnum):
    """What can be measured by itself."""

    DECODE = "decode"
    APPLY = "apply"
    FILES = "files"
    RPC = "rpc"
    MAINNET = "mainnet"
    TIP = "tip"
    UNDO = "undo"


def index(  # noqa: PLR0917 - one parameter an option
    blocks: Annotated[int, typer.Option(min=20, help="Blocks of 200 transactions and 50 operations.")] = 5_000,
    rpc_blocks: Annotated[int, typer.Option(min=20, help="As many of them by JSON-RPC and REST.")] = 600,
    mainnet_blocks: Annotated[int, typer.Option(min=2, help="Blocks of 1.5 MB and 3 000 transactions.")] = 150,
    tip_blocks: Annotated[int, typer.Option(min=2, help="Blocks of 4 000 transactions at the tip.")] = 40,
    workers: Annotated[int, typer.Option(min=-1, help="Processes that prepare blocks; default: as sync.")] = -1,
    only: Annotated[list[Stage] | None, typer.Option(help="Only these stages (repeatable).")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file, too.")] = None,
    cache: Annotated[Path, typer.Option(help="Where chains are kept and the database lies.")] = CACHE,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes: does all of it work? Under a minute.")] = False,
    with_profile: Annotated[bool, typer.Option("--profile", help="Profile the pipeline from files, too.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 where a target is missed.")] = False,
) -> None:
    """Measure the indexer on deterministic synthetic chains, beside its targets.

    The database is a throw-away PostgreSQL with default durability, the node validates with Bitcoin Core's code.

    Exit code 0: measured; 1: a stage failed, or --check and a target was missed; 2: wrong options.

    Examples:
    make bench-index

    make bench-index ARGS="--quick"

    make bench-index ARGS="--only files --blocks 20000 --profile --json figures.json"
    """
    _writable(json_file)
    sizes = Sizes(blocks, rpc_blocks, mainnet_blocks, tip_blocks)
    sizes, stages = sizes.quick() if quick else sizes, only or list(Stage)
    _long_enough(sizes, stages)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that servers and folders are cleared away
    results: Figures = {"machine": _machine(), "chains": {}}
    profiles = _profiles(cache) if with_profile else None
    try:
        with laboratory(cache) as lab:
            bench = Bench(lab, sizes, _workers(workers), profiles, results)
            for stage in stages:
                getattr(bench, stage)()
    except (StageError, AssertionError) as error:
        typer.echo(f"bench-index: {error}", err=True)
        raise typer.Exit(1) from None
    _tell(results, profiles, json_file)
    if check and report.missed(results):
        raise typer.Exit(1)


def _profiles(cache: Path) -> Path:
    """Return the folder for profiles, emptied of those of an earlier run."""
    folder = cache / "profile"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _tell(results: Figures, profiles: Path | None, json_file: Path | None) -> None:
    console = Console()
    report.show(results, console if console.is_terminal else Console(width=WIDTH))
    for path in sorted(profiles.glob("*.pstats")) if profiles else ():
        typer.echo(f"\n{path}\n{profile.top(path)}")
    if json_file is not None:
        json_file.write_text(json.dumps(results, indent=2) + "\n")


def _writable(json_file: Path | None) -> None:
    """Refuse a file that could not be written after minutes of measuring."""
    if json_file is not None and not (json_file.parent.is_dir() and os.access(json_file.parent, os.W_OK)):
        _refuse(f"--json: {json_file.parent} is no folder that can be written to")


def _long_enough(sizes: Sizes, stages: list[Stage]) -> None:
    needed = blocks_needed(sizes.undo_depth, sizes.rounds)
    if Stage.UNDO in stages and sizes.blocks < needed:
        _refuse(f"--blocks: reorgs of {sizes.undo_depth} blocks need a chain of {needed} or more")


def _refuse(reason: str) -> NoReturn:
    typer.echo(f"bench-index: {reason}", err=True)
    raise typer.Exit(2)


def _workers(asked: int) -> int:
    default = Settings.model_fields["SYNC_WORKERS"].get_default(call_default_factory=True, validated_data={})
    return int(default) if asked < 0 else asked


def _machine() -> Figures:
    """Return what figures depend on."""
    return {
        "cores": os.cpu_count() or 0,
        "memory": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    typer.run(index)
