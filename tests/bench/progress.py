"""How far something is, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from types import TracebackType

EVERY = 5.0  # seconds between lines
CONSOLE = Console(stderr=True, highlight=False, markup=False)


class Progress:
    """Shows a task while a `with` lasts."""

    def __init__(self, what: str, total: float) -> None:
        self._what = what
        self._total = total
        self._said = time.monotonic()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=CONSOLE,
            transient=True,
            disable=not CONSOLE.is_terminal,
        )
        self._task = self._bar.add_task(what, total=total)

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        ended = "stopped" if kind else "done"
        CONSOLE.print(f"{self._what}: {ended} in {time.monotonic() - self._started:.1f} s", soft_wrap=True)

    def at(self, done: float) -> None:
        self._bar.update(self._task, completed=done)
        now = time.monotonic()
        if not CONSOLE.is_terminal and now - self._said >= EVERY:
            self._said = now
            CONSOLE.print(f"{self._what}: {100 * done / max(self._total, 1):.0f} %", soft_wrap=True)
