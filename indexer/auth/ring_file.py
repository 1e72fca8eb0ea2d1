"""The ring's file: one JSON document that only its owner reads, there whole or not at all."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

from indexer import log
from indexer.auth.ring import Ring, decoded, encoded
from indexer.settings import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOOK_SECONDS = 1.0  # how often a process looks whether the file changed

_MOST_BYTES = 1_000_000  # a key has about 200
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP

_Stamp: TypeAlias = tuple[int, int, int] | None

logger = log.get(__name__)


class RingFile:
    """The ring as the file has it, for a process that goes on: a change is seen within LOOK_SECONDS of use.

    Raises ConfigurationError where there is no good ring to begin with. Later on a damaged one is logged, and the last
    good one stays.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._ring, self._stamp = _read(path)

    def current(self) -> Ring:
        """Return the ring: the same object as long as the file is the same."""
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._ring

    def _look(self) -> None:
        stamp = None
        with suppress(OSError):
            stamp = _stamp(os.stat(self._path))  # noqa: PTH116 - a third of the time of Path.stat
        if stamp == self._stamp:
            return
        self._stamp = stamp  # what is damaged is told once, not every second
        try:
            self._ring, self._stamp = _read(self._path)
        except ConfigurationError as error:
            logger.error("key ring refused: the last good one stays", reason=str(error))  # noqa: TRY400 - no fault here
        else:
            logger.info("key ring read", keys=[key.kid for key in self._ring.keys])


def load(path: Path) -> Ring:
    """Return the ring in a file. Raises ConfigurationError, one line, where it is damaged or others can read it."""
    return _read(path)[0]


def create(path: Path, ring: Ring) -> None:
    """Write a new file, mode 0600. Raises ConfigurationError where there is one already or none can be written."""
    with _locked(path) as directory:
        if path.exists():
            raise _wrong(path, "exists: `ring rotate` changes it, and nothing overwrites it")
        _replace(path, ring, directory, None)


def change(path: Path, altered: Callable[[Ring], Ring]) -> Ring:
    """Write what `altered` makes of the ring, for the file's owner and with its mode; return the new ring.

    Readers see the old file or the new one. Raises ConfigurationError; then the file is as it was.
    """
    target = path.resolve()  # a link stays a link
    with _locked(target) as directory:
        ring = altered(_read(target)[0])
        _replace(target, ring, directory, target.stat())
    return ring


def _read(path: Path) -> tuple[Ring, _Stamp]:
    try:
        if not path.is_file():
            raise _wrong(path, "no such file; make one with: simplicity auth ring create")
        with path.open("rb") as file:
            data, found = file.read(_MOST_BYTES), os.fstat(file.fileno())
    except OSError as error:
        raise _wrong(path, f"{error.strerror}; it must be owned by the user that serves the API") from None
    if found.st_mode & _TOO_OPEN:
        raise _wrong(path, f"others can read or change it; run: chmod 600 {path}")
    try:
        return decoded(data), _stamp(found)
    except ValueError as error:
        raise _wrong(path, f"{error}; put a good copy in its place") from None


def _stamp(found: os.stat_result) -> _Stamp:
    # The time of change, not of the content's change: a mode that was mended counts too.
    return found.st_ino, found.st_ctime_ns, found.st_size


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Let one process at a time change the file; gives the descriptor of its directory."""
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _wrong(path, f"{error.strerror}; choose another place") from None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield directory
    finally:
        os.close(directory)


def _replace(path: Path, ring: Ring, directory: int, owner: os.stat_result | None) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)  # of a process that was killed
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a path cannot be opened with a mode of its own
            if owner is not None:
                # Rotated by root, the file has to stay readable for the service.
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(owner.st_mode))
            file.write(encoded(ring))
            file.flush()
            os.fsync(descriptor)
        partial.replace(path)
        os.fsync(directory)
    except OSError as error:
        raise _wrong(path, f"cannot be written ({error.strerror}); run this as the file's owner") from None
    finally:
        with suppress(OSError):
            partial.unlink()


def _wrong(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(f"AUTH_KEY_RING={path}: {what}")
