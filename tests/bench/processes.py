"""What a process and those that it started cost."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process and its children, of those that have ended as well."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children():
        with suppress(psutil.NoSuchProcess):  # its time is among that of the ended ones at the next look
            times = child.cpu_times()
            total += times.user + times.system
    return float(total)


def peak_memory(pid: int) -> int:
    """Return a process's largest resident size so far in bytes, 0 where it has ended.

    Not ru_maxrss: a process inherits that from the one that started it.
    """
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


class PeakMemory:
    """The largest resident sizes of a process and of the children that were seen, summed up in bytes.

    No less than what they took at any one moment; pages that they share count for each of them.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._peaks: dict[int, int] = {}

    def look(self) -> int:
        for process in (self._process, *self._process.children()):
            self._peaks[process.pid] = max(peak_memory(process.pid), self._peaks.get(process.pid, 0))
        return sum(self._peaks.values())
