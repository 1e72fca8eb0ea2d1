"""`make bench-api`: how fast the API answers, at what cost, and what its clients see when something fails under it."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import psutil
import psycopg
import typer
from rich.console import Console

from tests.bench.api import faults, kept, report
from tests.bench.api.bench import Bench, Sizes
from tests.bench.api.data import Shape
from tests.bench.api.endpoints import ENDPOINTS
from tests.bench.api.site import Site, site
from tests.bench.chain import CACHE
from tests.bench.cluster import Monitor
from tests.bench.runner import StageError

if TYPE_CHECKING:
    from tests.bench.task import Figures

TERMINATED = 128 + signal.SIGTERM
WIDTH = 170  # of the tables where the output is no terminal


class Part(StrEnum):
    """What can be measured by itself: an endpoint, many kept connections, or what happens in a fault."""

    TICKER_INFO = "ticker-info"
    LIST = "list"
    HOLDERS = "holders"
    HISTORY = "history"
    ADDRESS_BALANCE = "address-balance"
    ADDRESS_HISTORY = "address-history"
    STATUS = "status"
    BLOCK_HISTORY = "block-history"
    CONNECTIONS = "connections"
    FAULTS = "faults"


def api(
    only: Annotated[list[Part] | None, typer.Option(help="Only these endpoints or parts (repeatable).")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE for the API (repeatable).")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file, too.")] = None,
    cache: Annotated[Path, typer.Option(help="Where the filled database is kept and the run's lies.")] = CACHE,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes: does all of it work? About a minute.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 where a target is missed.")] = False,
) -> None:
    """Measure the API beside its targets, and beside an endpoint of uvicorn that does nothing.

    Closed loop: each of 1, 50, 1000 connections asks again as soon as it was answered. Open loop: requests are due at
    a given rate, and their time counts from then. Addresses and API keys are drawn by popularity (Zipf). "warm": every
    address was asked before, caches as the settings have them; "cold": without caches, each address asked once.
    CPU is in microseconds a request; "others" is the share of the machine that went to processes that do not belong
    here: where it is high, believe the ratios and not the speeds.

    A whole run takes about a quarter of an hour, three minutes of it for the faults.

    Exit code 0: measured; 1: something did not work, or --check and a target was missed; 2: wrong options.

    Examples:
    make bench-api

    make bench-api ARGS=--quick

    make bench-api ARGS="--only ticker-info --only holders --json figures.json"

    make bench-api ARGS="--only faults"

    make bench-api ARGS="--only history --set API_CACHE_BYTES=500000000"
    """
    _writable(json_file)
    extra = dict(_pair(text) for text in setting or ())
    shape, sizes = (Shape().quick(), Sizes().quick()) if quick else (Shape(), Sizes())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that servers and folders are cleared away
    results: Figures = {"machine": _machine()}
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=cache))
    try:
        with site(cache, folder, shape, extra) as place:
            results["data"] = _data(place)
            _measure(place, sizes, set(only or Part), results)
    except (StageError, AssertionError) as error:
        typer.echo(f"bench-api: {error}", err=True)
        raise typer.Exit(1) from None
    finally:
        shutil.rmtree(folder)
    console = Console()
    report.show(results, console if console.is_terminal else Console(width=WIDTH))
    if json_file is not None:
        json_file.write_text(json.dumps(results, indent=2) + "\n")
    if check and report.missed(results):
        raise typer.Exit(1)


def _measure(place: Site, sizes: Sizes, parts: set[Part], results: Figures) -> None:
    endpoints = [endpoint for endpoint in ENDPOINTS if endpoint.name in parts]
    if endpoints or Part.CONNECTIONS in parts:
        with Bench(place, sizes, results) as bench:
            bench.ceiling()
            for endpoint in endpoints:
                bench.closed(endpoint)
                if sizes.with_open_loops:
                    bench.open(endpoint)
            if Part.CONNECTIONS in parts:
                bench.many()
            bench.queries()
            bench.bodies()
    if Part.FAULTS in parts:
        found = results["faults"] = {}
        for fault in faults.faults(place, sizes):
            found[fault.name] = faults.suffer(place, sizes, fault)


def _data(place: Site) -> Figures:
    monitor = Monitor(place.cluster.monitor(), kept.DATABASE)
    with psycopg.connect(place.database) as connection:
        counted = {
            name: connection.execute(query).fetchone()
            for name, query in (
                ("operations", "SELECT count(*) FROM index.operations"),
                ("balances", "SELECT count(*) FROM index.balances WHERE amount > 0"),
                ("tickers", "SELECT count(*) FROM index.deploys"),
                ("keys", "SELECT count(*) FROM ops.api_keys"),
            )
        }
    settings = monitor.settings()
    monitor.close()
    counts = {name: row[0] for name, row in counted.items() if row}
    return counts | {"settings": settings, "extra": place.extra}


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not re.fullmatch("[A-Z_]+", name):
        _refuse(f"--set {text}: must look like API_CACHE_BYTES=0")
    return name, value


def _writable(json_file: Path | None) -> None:
    """Refuse a file that could not be written after minutes of measuring."""
    if json_file is not None and not (json_file.parent.is_dir() and os.access(json_file.parent, os.W_OK)):
        _refuse(f"--json: {json_file.parent} is no folder that can be written to")


def _refuse(reason: str) -> NoReturn:
    typer.echo(f"bench-api: {reason}", err=True)
    raise typer.Exit(2)


def _machine() -> Figures:
    """Return what figures depend on."""
    return {
        "cores": os.cpu_count() or 0,
        "memory": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    typer.run(api)
