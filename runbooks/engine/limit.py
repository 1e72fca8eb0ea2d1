"""Call something and be back in time, whatever it waits for."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

Result = TypeVar("Result")

# What cleans up after it was interrupted has so long before it is interrupted too.
GRACE_SECONDS = 5.0
# A timer of 0 seconds would be none.
AT_ONCE = 1e-6


class TimeUp(KeyboardInterrupt):
    """The time is over.

    An interruption like Ctrl-C: what catches every Exception lets it pass, psycopg cancels its query at the server, and
    subprocess.run ends its child.
    """


def limited(seconds: float, call: Callable[[], Result]) -> Result:
    """Return what `call` returns; raises TimeUp inside of it when it is not over within `seconds`.

    It may be nested, and a timer that somebody else had set (pytest-timeout) goes on with what is left of its time. Has
    to be called in the main thread: only there does a signal interrupt. Raises RuntimeError in another one.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a runbook's time-outs work in the main thread only: run it there")
    if 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= seconds:
        return call()  # the outer time is over first: it is the one that counts
    began, armed = time.monotonic(), True

    def ring(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
        if armed:
            raise TimeUp

    handler = signal.signal(signal.SIGALRM, ring)
    # Once more later: what swallows the first, or hangs while it cleans up, is interrupted again.
    outer, interval = signal.setitimer(signal.ITIMER_REAL, max(seconds, AT_ONCE), GRACE_SECONDS)
    try:
        try:
            return call()
        finally:
            armed = False
    finally:
        # Twice, as the alarm may have come between the call and the line above: then only this one is reached.
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if outer:
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - began), AT_ONCE), interval)
