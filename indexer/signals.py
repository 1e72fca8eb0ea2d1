"""Signals that ask a process to end, or to read something again."""

from __future__ import annotations

import _thread
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def at_signals(numbers: tuple[signal.Signals, ...], act: Callable[[], object]) -> None:
    """Have `act` called, in a thread of its own, at each of these signals; called in the main thread.

    Never in the handler: what that interrupts may hold the very lock that `act` needs, as `Event.wait` does that of the
    event, and the process would hang. `Thread.start` takes a lock of the same kind.
    """
    for number in numbers:
        signal.signal(number, lambda *_: _thread.start_new_thread(act, ()))


def at_the_end(act: Callable[[], object]) -> None:
    """Have `act` called when somebody asks this process to end: SIGTERM or Ctrl-C."""
    at_signals((signal.SIGTERM, signal.SIGINT), act)
