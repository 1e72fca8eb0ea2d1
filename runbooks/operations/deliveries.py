"""What Alertmanager delivered: checked, kept in a file that outlives the process, read back newest first."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alerts.matcher import WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

# Alertmanager cuts a group off nowhere by itself: a thousand alerts with their texts are about this much.
LARGEST_BYTES = 1 << 20
# Two files of this size are kept: at a delivery of 2 kB each, the last four thousand at least.
FILE_BYTES = 8 << 20
# Files are read from their end in pieces of this size: the newest hundred deliveries are in one or two.
BLOCK_BYTES = 256 << 10

Labels = dict[str, str]


class MalformedError(Exception):
    """What was posted is no delivery of Alertmanager's: one line."""


class DeliveredAlert(BaseModel):
    """One alert of a delivery; `endsAt` is the year 1 while it fires."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Literal["firing", "resolved"]
    labels: Labels
    annotations: Labels = Field(default_factory=dict)
    startsAt: datetime  # noqa: N815 - Alertmanager's name
    endsAt: datetime  # noqa: N815 - as above
    fingerprint: str = ""

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels.get("alertname", "")


class Notification(BaseModel):
    """The body of Alertmanager's webhook, version 4; what a later one adds is kept with the payload and not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal["4"]
    groupKey: str  # noqa: N815 - Alertmanager's name
    status: Literal["firing", "resolved"]
    receiver: str
    alerts: tuple[DeliveredAlert, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery: when it came, and what it was; `payload` is all of it, as it was sent."""

    at: datetime
    notification: Notification
    payload: dict[str, Any]

    @property
    def is_heartbeat(self) -> bool:
        """Whether the alert that always fires is in it."""
        return any(alert.name == WATCHDOG and alert.status == "firing" for alert in self.notification.alerts)

    def record(self) -> dict[str, Any]:
        """Return it as it is kept and shown to machines."""
        return {"at": self.at.isoformat(timespec="milliseconds"), "payload": self.payload}


def parsed(body: bytes, at: datetime) -> Delivery:
    """Check a webhook's body. Raises MalformedError with one line."""
    try:
        payload: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedError("the body is no JSON; post what Alertmanager's webhook sends") from None
    return _delivery(at, payload)


def _delivery(at: datetime, payload: Any) -> Delivery:  # noqa: ANN401 - it is what somebody sent
    try:
        return Delivery(at, Notification.model_validate(payload), payload)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the body"
        raise MalformedError(f"{where[:100]}: {problem['msg'].lower()}") from None


@dataclass(slots=True)
class Deliveries:
    """The deliveries in a directory of the caller's (0700); of one process, from any of its threads.

    Lines are on disk before a delivery is answered. When a file is full it becomes the older one, and the one before
    is dropped: `FILE_BYTES` twice is the most that is kept.
    """

    directory: Path
    file_bytes: int = FILE_BYTES
    _lock: Lock = field(default_factory=Lock)
    _last: Delivery | None = None

    @property
    def file(self) -> Path:
        """Where deliveries are appended."""
        return self.directory / "deliveries.jsonl"

    @property
    def older(self) -> Path:
        """The file that was full before."""
        return self.directory / "deliveries.older.jsonl"

    @property
    def refuses(self) -> bool:
        """Whether a file `refuse` says that deliveries are to be refused: a receiver that is away, for a proof."""
        return (self.directory / "refuse").exists()

    @property
    def last(self) -> Delivery | None:
        """The last delivery that this object knows of, without reading any file."""
        with self._lock:
            return self._last

    def append(self, delivery: Delivery) -> None:
        """Keep a delivery. Raises OSError."""
        line = json.dumps(delivery.record(), separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self.file.exists() and self.file.stat().st_size + len(line) > self.file_bytes:
                self.file.replace(self.older)
            descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                file.write(_separator(file) + line)
                file.flush()
                os.fsync(file.fileno())
            _sync_directory(self.directory)
            self._last = delivery

    def newest(self, count: int) -> list[Delivery]:
        """Return at most so many deliveries, the newest first; a line that a crash cut off is left out.

        Raises OSError.
        """
        with closing(self._backwards()) as found:
            return list(islice(found, count))

    def recall(self) -> datetime | None:
        """Know the last delivery again, and return when the alert that always fires was last delivered; None: never.

        Raises OSError.
        """
        newest = self.newest(1)
        with self._lock:
            self._last = self._last or (newest[0] if newest else None)
        with closing(self._backwards()) as found:
            return next((delivery.at for delivery in found if delivery.is_heartbeat), None)

    def _backwards(self) -> Generator[Delivery, None, None]:
        with ExitStack() as opened:
            for file, size in self._opened(opened):
                for line in _lines_backwards(file, size):
                    delivery = _of_line(line)
                    if delivery is not None:
                        yield delivery

    def _opened(self, stack: ExitStack) -> list[tuple[BinaryIO, int]]:
        """Open both files as they are at one moment: between two moments the one might become the other."""
        found: list[tuple[BinaryIO, int]] = []
        with self._lock:
            for path in (self.file, self.older):
                try:
                    file = stack.enter_context(path.open("rb"))
                except FileNotFoundError:
                    continue
                found.append((file, os.fstat(file.fileno()).st_size))
        return found


def _lines_backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    """Return the lines before a file's byte `end`, the last one first."""
    begun = b""
    while end > 0:
        start = max(0, end - BLOCK_BYTES)
        file.seek(start)
        begun, *lines = (file.read(end - start) + begun).split(b"\n")
        yield from reversed(lines)
        end = start
    yield begun


def _separator(file: Any) -> bytes:  # noqa: ANN401 - a binary file that is read and written has no simple name
    """Return what ends a line that a crash cut off, so that it takes no other one with it."""
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _of_line(line: bytes) -> Delivery | None:
    try:
        value = json.loads(line)
        return _delivery(datetime.fromisoformat(value["at"]).astimezone(UTC), value["payload"])
    except (ValueError, KeyError, TypeError, MalformedError):
        return None
