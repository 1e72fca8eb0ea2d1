"""How far a long command is: a bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from indexer import log

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG_SECONDS = 10.0  # often enough to see that it moves

Advance = Callable[[int], None]  # takes how much is done by now
Progress = Callable[[str, int], AbstractContextManager[Advance]]  # takes what is being done, and how much of it

logger = log.get(__name__)


@contextmanager
def quiet(_what: str, _total: int) -> Iterator[Advance]:
    """Say nothing."""
    yield lambda _done: None


@contextmanager
def shown(what: str, total: int) -> Iterator[Advance]:
    """Show on standard error how far something is."""
    from rich import progress  # noqa: PLC0415 - not needed for --help
    from rich.console import Console  # noqa: PLC0415 - as above

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _logged(what, total)
        return
    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn())
    with progress.Progress(*columns, progress.TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def _logged(what: str, total: int) -> Advance:
    last = time.monotonic()

    def advance(done: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_SECONDS:
            last = time.monotonic()
            logger.info(what, done=done, total=total)

    return advance
