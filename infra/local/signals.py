"""Signals that ask a process to end."""

from __future__ import annotations

import _thread
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading


def set_at_the_end(stop: threading.Event) -> None:
    """Have the event set when somebody asks this process to end: SIGTERM or Ctrl-C; called in the main thread.

    Not by the handler itself: it may interrupt the main thread while that holds the event's lock, and hang for ever.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _thread.start_new_thread(stop.set, ()))
