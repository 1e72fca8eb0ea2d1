"""The journal of a run: what was begun and what became of it, a line each, on disk before anything else happens.

A process may be killed at any instruction: the last line may be torn, which is as if it was never written. What follows
a line (an act, an entry of the audit trail) only happens once it is whole.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from infra.local.layout import private_directory
from runbooks.engine.state import Event, Kind, Run, fold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runbooks.engine.model import Json

JOURNAL, FILES = "journal.ndjson", "files"


class JournalError(Exception):
    """A journal that cannot be read or written: one line that says which, why and what to do."""


def new_run_id(runbook: str) -> str:
    """Return an id that sorts by time, like 20261130T051200Z-restart-service-3f9a."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{runbook}-{secrets.token_hex(2)}"


def event(kind: Kind, step: str = "", **data: Json) -> Event:
    """Return an event of now with an id of its own."""
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    return Event(id=str(uuid4()), at=at, kind=kind, step=step, data=data)


def read_events(path: Path) -> list[Event]:
    """Return the events of a journal without a torn last line. Raises JournalError for any other damage."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path}: cannot be read ({error.strerror}); put it right, then repeat") from None
    lines = text.split(b"\n")[:-1]  # what follows the last line's end is torn
    try:
        return [_event_of(line) for line in lines]
    except (ValueError, KeyError, TypeError):
        raise JournalError(f"{path}: is damaged; put its last good copy back, or move its directory away") from None


def _event_of(line: bytes) -> Event:
    found = json.loads(line)
    fixed = {name: found.pop(name) for name in ("id", "at", "kind", "step")}
    return Event(id=fixed["id"], at=fixed["at"], kind=Kind(fixed["kind"]), step=fixed["step"], data=found)


def line_of(event: Event) -> bytes:
    """Return an event as its line; raises TypeError or ValueError for data that is no JSON."""
    fixed = {"id": event.id, "at": event.at, "kind": event.kind, "step": event.step}
    return json.dumps(fixed | dict(event.data), allow_nan=False, ensure_ascii=False).encode() + b"\n"


@dataclass
class Journal:
    """A run's journal, open at its end; the state it comes to is `run`. Its files lie in `folder`."""

    directory: Path
    events: list[Event]
    _file: int = field(repr=False)

    @classmethod
    def create(cls, runs: Path, run_id: str) -> Self:
        """Make the directory of a run, 0700, with an empty journal. Raises JournalError or EnvelopeError."""
        directory = runs / run_id
        private_directory(runs)
        try:
            directory.mkdir(mode=0o700)
            (directory / FILES).mkdir(mode=0o700)
            descriptor = _opened(directory / JOURNAL)
            for made in (directory, runs):
                _sync_directory(made)
        except OSError as error:
            raise JournalError(f"{directory}: cannot be made ({error.strerror}); make room, then repeat") from None
        return cls(directory, [], descriptor)

    @classmethod
    def open(cls, runs: Path, run_id: str) -> Self:
        """Open a run's journal and cut a torn line off. Raises JournalError where it cannot be used."""
        path = runs / run_id / JOURNAL
        events = read_events(path)
        try:
            descriptor = _opened(path)
            os.ftruncate(descriptor, path.read_bytes().rfind(b"\n") + 1)
        except OSError as error:
            raise JournalError(f"{path}: cannot be written ({error.strerror}); put it right, then repeat") from None
        return cls(path.parent, events, descriptor)

    @property
    def folder(self) -> Path:
        """The run's own directory for files."""
        return self.directory / FILES

    @property
    def run(self) -> Run:
        """The state that the events come to."""
        return fold(self.directory.name, self.events)

    def append(self, event: Event) -> None:
        """Write an event so that it outlasts a kill and a power cut. Raises JournalError, TypeError or ValueError."""
        line = line_of(event)
        try:
            written = os.write(self._file, line)
            os.fsync(self._file)
        except OSError as error:
            raise JournalError(self._unwritten(error.strerror)) from None
        if written < len(line):
            raise JournalError(self._unwritten("the disk is full"))
        self.events.append(event)

    def _unwritten(self, reason: str | None) -> str:
        return (
            f"{self.directory / JOURNAL}: cannot be written ({reason}), so the run stops; "
            f"make room, then: simplicity runbook resume {self.directory.name}"
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def all_runs(runs: Path) -> Iterator[Run]:
    """Yield the state of every run, oldest first; one without a whole line never began. Raises JournalError."""
    there = ((path.parent.name, read_events(path)) for path in runs.glob(f"*/{JOURNAL}"))
    # By the moment they began: ids of the same second do not tell.
    yield from sorted((fold(name, events) for name, events in there if events), key=lambda run: (run.began, run.id))
