"""The machine: its processors and its memory, each bounded in time."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.prove.observability.faults.processes import Fault
    from tests.prove.observability.stage import Stage

HOG_SECONDS = 240  # what hogs the machine ends by itself, whatever becomes of us
MEMORY = 2 << 30


def _hog(program: str, count: int) -> Fault:
    @contextmanager
    def fault(_: Stage) -> Iterator[None]:
        command = [sys.executable, "-c", f"import time; ends = time.monotonic() + {HOG_SECONDS}\n{program}"]
        with ExitStack() as running:
            processes = [running.enter_context(subprocess.Popen(command)) for _ in range(count)]
            try:
                yield
            finally:
                for process in processes:
                    process.kill()

    return fault


cpu_hog = _hog("while time.monotonic() < ends: pass", psutil.cpu_count() or 1)
memory_hog = _hog(f"kept = bytearray(b'x') * {MEMORY}\ntime.sleep({HOG_SECONDS})", 1)
