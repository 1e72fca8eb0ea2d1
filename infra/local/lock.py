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


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the envelope's lock while `what` runs; raises EnvelopeError at once when somebody else holds it.

    The kernel drops the lock with its holder, so a killed `up` never blocks the next one.
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
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "another command"
            raise EnvelopeError(f"{holder} is at work on this envelope; wait until it has finished") from None
        file.seek(0)
        file.truncate()
        file.write(f"`simplicity {what}` (pid {os.getpid()})")
        file.flush()
        yield
