"""PostgreSQL's positions in its write-ahead log, and the names of the files that hold it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEGMENT = re.compile(r"[0-9A-F]{24}")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")
# What PostgreSQL hands to archive_command: segments, timelines, marks of backups, and segments cut off by a promotion.
_ARCHIVED = re.compile(r"[0-9A-F]{24}(\.partial|\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history")


class Lsn(int):
    """A position in bytes; written as two hexadecimal numbers."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the position written as `16/B374D848`."""
        high, _, low = text.partition("/")
        return cls(int(high, 16) << 32 | int(low, 16))

    def segment(self, size: int) -> int:
        """Return the number of the segment that holds this position."""
        return self // size

    def __str__(self) -> str:
        return f"{self >> 32:X}/{self & 0xFFFFFFFF:X}"


class Segment(NamedTuple):
    """A WAL segment: its timeline, and its number on it."""

    timeline: int
    number: int

    @classmethod
    def parse(cls, name: str, size: int) -> Self | None:
        """Return the segment of this name, None where it is the name of something else."""
        if not _SEGMENT.fullmatch(name):
            return None
        per_file = (1 << 32) // size
        return cls(int(name[:8], 16), int(name[8:16], 16) * per_file + int(name[16:], 16))

    def name(self, size: int) -> str:
        """Return the name of the file."""
        per_file = (1 << 32) // size
        return f"{self.timeline:08X}{self.number // per_file:08X}{self.number % per_file:08X}"


def is_archived_name(name: str) -> bool:
    """Tell whether PostgreSQL may ask for a file of this name to be archived or fetched."""
    return _ARCHIVED.fullmatch(name) is not None


def is_segment_name(name: str) -> bool:
    """Tell whether a file of this name is a whole WAL segment."""
    return _SEGMENT.fullmatch(name) is not None


def history_of(name: str) -> int | None:
    """Return the timeline whose history a file of this name holds."""
    return int(name[:8], 16) if _HISTORY.fullmatch(name) else None


class Switch(NamedTuple):
    """A timeline ended at this position, and another went on from there."""

    timeline: int
    at: Lsn


def switches(history: str) -> list[Switch]:
    """Return what a history file says, oldest first."""
    lines = (line.split() for line in history.splitlines())
    return [Switch(int(words[0]), Lsn.parse(words[1])) for words in lines if len(words) > 1 and words[0].isdecimal()]


def path_of(start: Segment, last: int, ancestry: list[Switch], timeline: int, size: int) -> Iterator[Segment]:
    """Yield the segments that lead from one to the number `last` on a timeline, over those it descends from."""
    number = start.number
    for switch in [each for each in ancestry if each.timeline >= start.timeline]:
        end = switch.at.segment(size)
        # A timeline's last segment, which the next one has begun anew, is needed from the next one only.
        while number < end and number <= last:
            yield Segment(switch.timeline, number)
            number += 1
    while number <= last:
        yield Segment(timeline, number)
        number += 1
