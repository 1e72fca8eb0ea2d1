"""One `up`, `down` or `reset` at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from infra.local.layout import EnvelopeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class HeldError(Exception):
    """Somebody else holds a lock; says who, or nothing where they did not say."""


@contextmanager
def held(path: Path, holder: str, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock file, alone or with others that share it; raises HeldError at once when somebody else holds it.

    The kernel drops the lock with its holder, so one that was killed never blocks the next one. Raises EnvelopeError
    for a file that cannot be opened.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EnvelopeError(
            f"cannot open {path} ({error.strerror}); set SIMPLICITY_HOME to a directory you can write to"
        ) from None
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldError(file.read().strip()) from None
        file.seek(0)
        file.truncate()
        # Those that share a lock would write over each other.
        file.write("" if shared else holder)
        file.flush()
        yield


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the envelope's lock while `what` runs; raises EnvelopeError at once when somebody else holds it."""
    try:
        with held(path, f"`simplicity {what}` (pid {os.getpid()})"):
            yield
    except HeldError as error:
        holder = str(error) or "another command"
        raise EnvelopeError(f"{holder} is at work on this envelope; wait until it has finished") from None
