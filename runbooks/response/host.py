"""What this machine is at: who uses its processor, memory, files and disks, and what its clock says."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from infra.local.layout import layout
from runbooks.response.database import connected

if TYPE_CHECKING:
    from runbooks.engine.model import Context, Json

SHOWN = 12
CPU_SECONDS = 1.0
# A folder with very many files is measured as far as this time goes, each for itself: one alone may take an hour.
MEASURE_SECONDS = 3.0
ELSEWHERE = "seen on the machine itself only; the metrics name it by `instance`"


def busiest(context: Context) -> Json:
    """Return the processes that use most of the processor, in percent of one core, and of the memory, in bytes."""
    if context.environment.place != "local":
        return ELSEWHERE
    there = list(psutil.process_iter(["pid", "name", "username"]))
    for each in there:
        _cpu(each)
    time.sleep(CPU_SECONDS)
    rows = [row for each in there if (row := _row(each)) is not None]
    return {
        "load": list(os.getloadavg()),
        "cores": psutil.cpu_count(),
        "memory_percent": psutil.virtual_memory().percent,
        "swap_percent": psutil.swap_memory().percent,
        "by_cpu": sorted(rows, key=lambda row: -row["cpu"])[:SHOWN],
        "by_memory": sorted(rows, key=lambda row: -row["memory"])[:SHOWN],
        "by_files": sorted(rows, key=lambda row: -row["files"])[:SHOWN],
    }


def _cpu(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        return float(process.cpu_percent(None))
    return 0.0


def _row(process: psutil.Process) -> dict[str, Any] | None:
    """Return a process; None where it has ended meanwhile, or is nobody's business."""
    with suppress(psutil.Error):
        return {
            "pid": process.pid,
            "name": process.name(),
            "user": process.username(),
            "cpu": _cpu(process),
            "memory": process.memory_info().rss,
            "files": process.num_fds(),
        }
    return None


def disks(context: Context) -> Json:
    """Return how full each file system is, and what of ours takes most, in bytes; "at least" where time was over."""
    if context.environment.place != "local":
        return ELSEWHERE
    found = {}
    for part in psutil.disk_partitions():
        with suppress(OSError):
            usage = psutil.disk_usage(part.mountpoint)
            found[part.mountpoint] = {"percent": usage.percent, "free": usage.free, "total": usage.total}
    here = layout().home
    found[str(here)] = psutil.disk_usage(str(here))._asdict()
    # `local` by what is in it.
    folders = [
        each for each in (*here.glob("*"), *(here / "local").glob("*")) if each.is_dir() and each.name != "local"
    ]
    sizes = {str(each): measured(each, time.monotonic() + MEASURE_SECONDS) for each in folders}
    largest = sorted(sizes.items(), key=lambda item: -item[1][0])[:SHOWN]
    told = {name: bytes_ if whole else f"at least {bytes_}" for name, (bytes_, whole) in largest}
    return {"file_systems": found, "ours": told}


def measured(folder: Path, deadline: float) -> tuple[int, bool]:
    """Return the bytes on disk of what is in a folder, and whether all of it was seen before the deadline."""
    total = 0
    for directory, _, files in os.walk(folder):
        for name in files:
            if time.monotonic() > deadline:
                return total, False
            with suppress(OSError):
                total += (Path(directory) / name).lstat().st_blocks * 512
    return total, True


def clocks(context: Context) -> Json:
    """Return how far the database's clock is ahead of this machine's, in seconds."""
    before = time.time()
    with connected(context.environment, context.environment.endpoints.database.writer_role) as connection:
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    after = time.time()
    database = row[0] if row else 0.0
    return {
        "machine": datetime.fromtimestamp(after, UTC).isoformat(timespec="milliseconds"),
        "database_ahead": round(database - (before + after) / 2, 3),
    }
