"""Where a run says how it goes: lines for a log, a line and a bar on a terminal."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import Progress

from audit.masking import masked_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import TaskID

    from runbooks.engine.model import Teller

PROGRESS_SECONDS = 5.0


def plain(text: str) -> str:
    """Return a text without secrets and what moves a terminal's cursor: what a component says is not ours."""
    text = masked_text(text)
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)


class Lines:
    """A teller that writes lines, progress no more than every few seconds."""

    def __init__(self, *, err: bool) -> None:
        self._err, self._next, self._over = err, 0.0, ""

    def say(self, text: str) -> None:
        """Write a line."""
        typer.echo(plain(text), err=self._err)

    def progress(self, done: float, total: float, what: str) -> None:
        """Write how far it is, if it is time; and its end, once."""
        is_over = done >= total
        if (is_over and what != self._over) or (not is_over and time.monotonic() >= self._next):
            self._next = time.monotonic() + PROGRESS_SECONDS
            self._over = what if is_over else ""
            self.say(f"  {what}: {100 * min(1.0, done / max(total, 1)):.0f} %")


class Terminal:
    """A teller with a bar below its lines."""

    def __init__(self, console: Console) -> None:
        self._console, self._bar = console, Progress(console=console, transient=True)
        self._task: TaskID | None = None

    def say(self, text: str) -> None:
        """Write a line; what was measured before it is over."""
        self.end()
        self._console.print(plain(text), markup=False, highlight=False, soft_wrap=True)

    def progress(self, done: float, total: float, what: str) -> None:
        """Move the bar."""
        if self._task is None:
            self._task = self._bar.add_task("")
            self._bar.start()
        # The name of what is measured is no markup.
        shown = plain(what).replace("[", "(").replace("]", ")")
        self._bar.update(self._task, completed=done, total=total, description=shown)

    def end(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None


@contextmanager
def telling(*, as_json: bool, is_terminal: bool) -> Iterator[Teller]:
    """Give the teller for how a command was called; with `as_json`, standard output belongs to the object."""
    if as_json or not is_terminal:
        yield Lines(err=as_json)
        return
    teller = Terminal(Console())
    try:
        yield teller
    finally:
        teller.end()
