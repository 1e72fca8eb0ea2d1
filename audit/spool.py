"""Entries that wait for a database: what changes while it is down, a restore say, is recorded too."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import IO, TYPE_CHECKING, TypeAlias
from uuid import NAMESPACE_URL, uuid5

from audit import trail
from audit.entry import Entry, canonical, entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    Connect: TypeAlias = Callable[[], AbstractContextManager[trail.Connection]]

PATIENCE = 3.0  # seconds that a record waits for the database at most

_AGAIN = 0.1  # seconds that it waits while an earlier record still waits
_BATCH = 200  # entries a transaction
_LOOK = 0.02  # seconds between two tries for a lock that another process holds
_BOUNDS = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '10s'"


class SpoolError(Exception):
    """An entry cannot be kept: one line that says why and what to do."""


class Recorder:
    """Writes entries to a file first and to the trail then, in their order, whoever else uses the same file.

    `spool` is JSON lines of mode 0600, which beside it has two lock files; `connect` opens a connection to the
    database, which is closed with its `with`. A process that is killed at any moment loses no entry that `record` took,
    and none is in the trail twice.
    """

    def __init__(self, spool: Path, connect: Connect) -> None:
        self._spool = spool
        self._connect = connect
        self._flushing: threading.Thread | None = None

    def record(self, entry: Entry) -> bool:
        """Keep an entry; say whether it is in the trail now, else a later record or flush takes it there.

        A database that is down, hangs or lacks the trail costs PATIENCE and raises nothing. Raises SpoolError where
        the file cannot be written: then the entry is lost.
        """
        try:
            with self._locked("lock"), self._open() as file:
                file.seek(0, os.SEEK_END)
                file.write(canonical(entry.as_dict()).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SpoolError(
                f"{self._spool}: the audit entry {entry.action} ({entry.target}) cannot be kept ({error.strerror});"
                " make room or give this user the right to write there"
            ) from None
        self._flush_for_a_while()
        return not self._waits(entry.id)

    def flush(self) -> int:
        """Take what waits to the trail, in order; return how many entries went.

        Raises psycopg.Error, or what `connect` raises, where the database does not take them; they wait on then. While
        another process does the same nothing is done, after PATIENCE.
        """
        if not self._spool.exists():
            return 0
        moved = 0
        with self._locked("flush", within=PATIENCE) as is_mine:
            while is_mine and (batch := self._batch()):
                with self._connect() as connection, connection.transaction():
                    connection.execute(_BOUNDS)
                    for each in batch:
                        trail.append(connection, each)
                # Killed here, the next one appends them again, which their ids turn into nothing.
                self._remove(len(batch))
                moved += len(batch)
        return moved

    def _flush_for_a_while(self) -> None:
        # A server that hangs keeps its sockets open: no time-out of the driver's covers all of that, a thread does.
        if self._flushing is not None and self._flushing.is_alive():
            self._flushing.join(_AGAIN)  # hung, and waited for already
            if self._flushing.is_alive():
                return
        self._flushing = threading.Thread(target=self._try, name="audit-flush", daemon=True)
        self._flushing.start()
        self._flushing.join(PATIENCE)

    def _try(self) -> None:
        # Whatever `connect` raises says only that the trail cannot be reached now: the entry is safe.
        with suppress(Exception):
            self.flush()

    def _batch(self) -> list[Entry]:
        with self._locked("lock"), self._open() as file:
            lines = [line for _, line in zip(range(_BATCH), file, strict=False)]
        return [_entry(line) for line in lines]

    def _remove(self, count: int) -> None:
        """Take the first lines out of the file, in one step."""
        fresh = self._spool.with_name(f".{self._spool.name}.fresh")
        with self._locked("lock"), self._open() as file:
            for _ in range(count):
                file.readline()
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as target:  # noqa: PTH123 - a path cannot be opened with a mode of its own
                target.writelines(file)
                target.flush()
                os.fsync(descriptor)
            fresh.replace(self._spool)

    def _waits(self, id_: str) -> bool:
        try:
            with self._locked("lock"), self._open() as file:
                return any(_entry(line).id == id_ for line in file)
        except OSError:
            return True

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """Open the file at its beginning, without the part of a line that a killed process left at its end."""
        descriptor = os.open(self._spool, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open(descriptor, "r+b") as file:  # noqa: PTH123 - as above
            _mend(file)
            file.seek(0)
            yield file

    @contextmanager
    def _locked(self, what: str, *, within: float | None = None) -> Iterator[bool]:
        """Hold one of the locks; with `within` give up after so many seconds and give False."""
        self._spool.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._spool.with_name(f".{self._spool.name}.{what}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _taken(descriptor, within)
        finally:
            os.close(descriptor)


def _taken(descriptor: int, within: float | None) -> bool:
    if within is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for a few file operations only
        return True
    deadline = time.monotonic() + within
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK)
        else:
            return True


def _mend(file: IO[bytes]) -> None:
    """Make the last line whole: a part of an entry goes, an entry that lacks only its end of line gets it."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    begin = file.read().rfind(b"\n") + 1
    file.seek(begin)
    try:
        json.loads(file.read())
    except ValueError:
        file.truncate(begin)
    else:
        file.write(b"\n")
    file.flush()
    os.fsync(file.fileno())


def _entry(line: bytes) -> Entry:
    """Return the entry in a line; a line that is none is recorded as such, and holds up none that follow it."""
    try:
        return Entry.of(json.loads(line))
    except (ValueError, RecursionError):
        digest = sha256(line).hexdigest()
        return entry(
            "audit.spool.damaged",
            "a line of the spool that is no entry",
            id=str(uuid5(NAMESPACE_URL, digest)),
            after={"sha256": digest, "bytes": len(line), "begin": line[:500].decode("utf-8", "replace")},
        )
