"""What no input may take: more time or memory than its size justifies."""

from __future__ import annotations

import resource
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# CPU, not wall: a busy machine is no finding. Bytes of the worst kind that we know (a script of nothing but OP_0) take
# 0.5 s a megabyte, four times as much is slow.
SECONDS = 1.0
SECONDS_A_BYTE = 2e-6
# Beside what the process had. Four megabytes of the smallest transactions take 150 MB; a hostile count or length that
# is believed takes more than any of these.
MEMORY = 512 << 20


class TookTooLongError(BaseException):
    """An input ran out of time. No Exception, so that nothing that is fuzzed can catch it."""


@contextmanager
def time_for(data: bytes) -> Iterator[None]:
    """Raise TookTooLongError in code that takes more CPU time than these bytes justify."""
    limit = SECONDS + SECONDS_A_BYTE * len(data)

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLongError(f"over {limit:.2f} s of CPU for {len(data)} bytes")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def little_memory() -> Iterator[None]:
    """Make what asks for more than MEMORY bytes beyond what the process has now fail with MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
