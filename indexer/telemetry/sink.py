"""Log lines on their way to standard error: a request never waits for the disk or for who reads the pipe."""

from __future__ import annotations

import atexit
import os
import select
import threading
from collections import deque
from typing import ClassVar

PAUSE = 0.05  # seconds in which lines gather to one write
MOST_LINES = 20_000  # kept while nothing can be written: some megabytes
_BATCH = 1_000
_LAST = 2.0  # seconds that the last lines may take


class Sink:
    """A stream of lines, written by a thread of its own, in the order in which they came.

    Lines that cannot be written (full disk, closed pipe, a reader that stopped reading) are dropped and counted in
    `dropped`; nobody who logs sees an error. A process that is killed loses the lines of the last PAUSE seconds.
    """

    _stderr: ClassVar[Sink | None] = None

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._work = threading.Event()
        self._closing = threading.Event()
        self._torn = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @classmethod
    def on_stderr(cls) -> Sink:
        """Return the process's only sink on standard error, which is emptied when the process ends."""
        if cls._stderr is None:
            cls._stderr = cls(2)
            atexit.register(cls._stderr.close)
        return cls._stderr

    def put(self, line: bytes) -> None:
        """Take a whole line with its line feed; drop it where too many are waiting."""
        if len(self._lines) >= MOST_LINES:
            self.dropped += 1
            return
        self._lines.append(line)
        if not self._work.is_set():
            self._work.set()

    def write(self, text: str) -> int:
        """Take text as a stream does."""
        self.put(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes soon."""

    def close(self) -> None:
        """Write what is left, for at most a few seconds. More lines may come and be written by another `close`."""
        self._closing.set()
        self._work.set()
        self._thread.join(_LAST)
        if not self._thread.is_alive():
            self._drain()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._work.wait()
            self._closing.wait(PAUSE)
            self._work.clear()
            self._drain()

    def _drain(self) -> None:
        while self._lines:
            batch = [self._lines.popleft() for _ in range(min(len(self._lines), _BATCH))]
            if not self._all(b"".join(batch)):
                self.dropped += len(batch)

    def _all(self, data: bytes) -> bool:
        if self._torn:
            data = b"\n" + data  # the rest of a line is lost: what follows must not be taken for it
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._some(rest) :]
        except OSError:
            self._torn = self._torn or 0 < len(rest) < len(data)
            return False
        self._torn = False
        return True

    def _some(self, data: memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:  # whoever shares the terminal or pipe made it non-blocking
            if not select.select([], [self._descriptor], [], 1)[1]:
                raise
            return 0
