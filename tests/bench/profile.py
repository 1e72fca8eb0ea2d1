"""Where the time goes: profiles of the process that applies blocks and of those that prepare them."""

from __future__ import annotations

import cProfile
import io
import pstats
from contextlib import contextmanager
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOP = 25


@contextmanager
def into(path: Path) -> Iterator[None]:
    """Profile this thread while a `with` lasts."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(path)


def for_life(path: Path) -> None:
    """Profile this thread of a multiprocessing worker until the worker ends."""
    profile = cProfile.Profile()
    Finalize(None, profile.dump_stats, (path,), exitpriority=1)
    profile.enable()


def top(path: Path) -> str:
    """Return the functions that took most time by themselves."""
    text = io.StringIO()
    pstats.Stats(str(path), stream=text).strip_dirs().sort_stats("tottime").print_stats(TOP)
    return text.getvalue()
