"""Objects as files in a directory."""

from __future__ import annotations

import fcntl
import io
import os
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from audit.objects import MissingObjectError, ObjectExistsError, ObjectStoreError, checked, checked_prefix, is_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import ReadableBuffer, WriteableBuffer

_PARTIAL = ".partial"
_ABANDONED = 60  # seconds: between a partial file's creation and its lock lie microseconds


class _File(io.FileIO):
    """A file whose own errors are told apart from those of whoever copies to or from it."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise ObjectStoreError(f"{self.name}: {error.strerror}") from None

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise ObjectStoreError(f"{self.name}: {error.strerror}") from None


class DirectoryStore:
    """Files of mode 0600, or 0400 `is_locked`, in directories of mode 0700.

    A directory is no lock: whoever may write to it can delete what is in it. It helps against mistakes only.
    """

    def __init__(self, root: Path, *, is_locked: bool = False, write_once: bool = False) -> None:
        self._root = root
        self._mode = 0o400 if is_locked else 0o600
        self._write_once = write_once

    @property
    def url(self) -> str:
        """Where it is."""
        return self._root.as_uri()

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        """Write an object whole and durably; raises ObjectExistsError where it is there, unless it may be replaced."""
        if replace and self._write_once:
            raise ObjectStoreError(f"{self._shown(name)}: is write-once, it cannot be replaced")
        with self._fresh(name, replace=replace) as file:
            file.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Open a new object to write it as a stream: whole at the end of the `with`, or not at all if that fails."""
        with self._fresh(name, replace=False) as file:
            yield file

    def get(self, name: str) -> bytes:
        """Return an object; raises MissingObjectError."""
        with self.reading(name) as file:
            return file.read()

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """Open an object to read it as a stream; raises MissingObjectError."""
        path = self._path(name)
        with self._errors(name):
            file = io.BufferedReader(_File(path))
        with file:
            yield file

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all whole objects that begin with `prefix`, in order; none where no directory is."""
        folder = self._root.joinpath(*checked_prefix(prefix).split("/")[:-1])
        return sorted(name for name in self._below(folder) if name.startswith(prefix) and is_name(name))

    def size(self, name: str) -> int:
        """Return an object's bytes; raises MissingObjectError."""
        return self._stat(name).st_size

    def modified(self, name: str) -> float:
        """Return when an object was written, in seconds since the epoch; raises MissingObjectError."""
        return self._stat(name).st_mtime

    def delete(self, name: str) -> None:
        """Take an object away, durably; one that is gone already is no error."""
        path = self._path(name)
        with suppress(MissingObjectError), self._errors(name):
            path.unlink()
            _sweep(path.parent, older=0.0)  # what was never finished goes with what is taken away beside it
            _sync(path.parent)

    @contextmanager
    def _fresh(self, name: str, *, replace: bool) -> Iterator[IO[bytes]]:
        """Give a file that takes its name only when it is whole and on the disk."""
        path = self._path(name)
        partial = path.with_name(f".{secrets.token_hex(8)}{_PARTIAL}")
        with self._errors(name):
            if not replace and path.exists():
                raise FileExistsError
            _make(path.parent)
            _sweep(path.parent, older=_ABANDONED)
            raw = _File(partial, "xb", opener=_private)
        try:
            with io.BufferedWriter(raw) as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed: says that its writer lives
                yield file
                file.flush()
                with self._errors(name):
                    os.fchmod(file.fileno(), self._mode)
                    os.fsync(file.fileno())
                    self._name(partial, path, replace=replace)
        finally:
            with suppress(OSError):
                partial.unlink()

    @staticmethod
    def _name(partial: Path, path: Path, *, replace: bool) -> None:
        if replace:
            partial.replace(path)
        else:
            path.hardlink_to(partial)  # unlike a rename, it fails where the name is taken
            partial.unlink()
        _sync(path.parent)

    def _path(self, name: str) -> Path:
        return self._root / checked(name)

    def _shown(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _stat(self, name: str) -> os.stat_result:
        path = self._path(name)
        with self._errors(name):
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise IsADirectoryError
        return found

    def _below(self, folder: Path) -> Iterator[str]:
        def refused(error: OSError) -> None:
            # A folder that is not there holds nothing; one that cannot be read may hold anything.
            if not isinstance(error, FileNotFoundError):
                raise ObjectStoreError(f"{self.url}: {error.strerror} ({error.filename})")

        for directory, folders, files in os.walk(folder, onerror=refused):
            folders[:] = [each for each in folders if not each.startswith(".")]
            within = os.path.relpath(directory, self._root)
            yield from (each if within == "." else f"{within}/{each}" for each in files if not each.startswith("."))

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError):
            raise MissingObjectError(f"{self._shown(name)}: no such object") from None
        except FileExistsError:
            raise ObjectExistsError(f"{self._shown(name)}: is there already") from None
        except OSError as error:
            raise ObjectStoreError(f"{self._shown(name)}: {error.strerror}") from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make(folder: Path) -> None:
    """Make a folder and those above it, so that they outlast a power cut."""
    if folder.is_dir():
        return
    _make(folder.parent)
    with suppress(FileExistsError):  # another writer was quicker
        folder.mkdir(mode=0o700)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: Path, *, older: float) -> None:
    """Remove what a writer that was killed left in a folder so many seconds ago: nobody holds its lock any more."""
    with os.scandir(folder) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(".") and entry.name.endswith(_PARTIAL)]
    for path in left:
        # Not there any more, or locked by a writer that lives: both are well.
        with suppress(OSError), open(path, "rb") as file:  # noqa: PTH123 - as scandir gives it
            if os.fstat(file.fileno()).st_mtime <= time.time() - older:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)  # noqa: PTH108 - as above
