"""The trail's copy in a second place: what the trail was, for whoever has to believe it later."""

from __future__ import annotations

import re
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from audit import trail
from audit.chain import GENESIS, ChainError, Link, line, parsed, unbroken
from audit.objects import ObjectExistsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit.objects import ObjectStore

_SEGMENT = 10_000  # entries an object at most
_NAME = re.compile(r"(\d{12,})-(\d{12,})-([0-9a-f]{64})\.ndjson")
_TRAIL = re.compile(r"[A-Za-z0-9_-]{1,64}")


class AnchorMismatchError(Exception):
    """The trail is not the one that was anchored: one line that names where, and what to do."""


@dataclass(frozen=True, slots=True)
class Head:
    """Up to which entry a trail is anchored."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True, order=True)
class _Segment:
    """An object with the entries `first` to `last`, all of them bodies too, so that it can say what they were."""

    first: int
    last: int
    hash: str
    name: str


class Anchor:
    """The entries of one trail in an object store: `audit/{trail}/{first}-{last}-{hash of the last}.ndjson`.

    Objects are written once. The store ought to be one that reads what was written first (open_store's `write_once`),
    under other credentials than the database's, and locked. `trail` is the id of the database's cluster. Every method
    raises ObjectStoreError where the store does not answer, and ChainError where what it holds is no chain.
    """

    def __init__(self, store: ObjectStore, trail: str) -> None:
        if not _TRAIL.fullmatch(trail):
            raise ValueError(f"trail {trail!r}: must be the id of a database cluster, like 7412345678901234567")
        self._store = store
        self._folder = f"audit/{trail}/"

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        return f"{self._store.url}/{self._folder}".rstrip("/")

    def head(self) -> Head | None:
        """Return up to where the trail is anchored; None where nothing is."""
        segments = self._segments()
        if not segments:
            return None
        last = max(segments, key=lambda segment: segment.last)
        return Head(last.last, bytes.fromhex(last.hash))

    def extend(self, connection: trail.Connection) -> int:
        """Copy the entries that are not there yet; return how many.

        Raises AnchorMismatchError, and copies nothing, where the trail has another entry in the place of the anchored
        head, or none: it was forged, or restored from a backup, which then has to adopt the entries that it lacks.
        """
        head = self.head()
        if head is not None:
            self._require(connection, head)
        copied = 0
        with closing(trail.links(connection, head.seq if head else 0)) as fresh:
            chain = self._following(fresh, head or Head(0, GENESIS))
            while batch := list(islice(chain, _SEGMENT)):
                name = f"{self._folder}{batch[0].seq:012}-{batch[-1].seq:012}-{batch[-1].hash.hex()}.ndjson"
                # The name says the content: if another process wrote it this moment, it wrote the same.
                with suppress(ObjectExistsError):
                    self._store.put(name, b"".join(map(line, batch)))
                copied += len(batch)
        return copied

    def links(self) -> Iterator[Link]:
        """Give the anchored entries from the first on, a segment at a time. Raises ChainError where they break off."""
        segments = self._segments()
        ends: dict[int, str | None] = dict.fromkeys(segment.last for segment in segments)
        seq, prev = 0, GENESIS
        for segment in segments:
            # Two processes may have anchored the same entries at the same time.
            if segment.last <= seq:
                if ends[segment.last] != segment.hash:
                    raise self._broken(segment, segment.last, seq)
                continue
            for each in self._read(segment):
                if each.seq <= seq:
                    continue
                if not each.follows(seq, prev):
                    raise self._broken(segment, each.seq, seq)
                yield each
                seq, prev = each.seq, each.hash
                if seq in ends:
                    ends[seq] = prev.hex()

    def _broken(self, segment: _Segment, seq: int, after: int) -> ChainError:
        return ChainError(
            f"{self._store.url}/{segment.name}: entry {seq} does not go with the entries up to {after}; the anchor is"
            " damaged, or somebody else wrote there: compare it with an export of the trail"
        )

    @staticmethod
    def _following(links: Iterable[Link], head: Head) -> Iterator[Link]:
        try:
            yield from unbroken(links, head.seq, head.hash)
        except ChainError as error:
            raise AnchorMismatchError(f"{error}; nothing from there on was anchored") from None

    def _read(self, segment: _Segment) -> Iterable[Link]:
        data = self._store.get(segment.name)
        try:
            links = [parsed(each) for each in data.splitlines()]
        except ValueError:
            links = []
        if not links or (links[0].seq, links[-1].seq, links[-1].hash.hex()) != (
            segment.first,
            segment.last,
            segment.hash,
        ):
            raise ChainError(f"{self._store.url}/{segment.name}: is not what its name says; the anchor is damaged")
        return links

    def _segments(self) -> list[_Segment]:
        found = []
        for name in self._store.names(self._folder):
            match = _NAME.fullmatch(name.removeprefix(self._folder))
            if match:
                found.append(_Segment(int(match[1]), int(match[2]), match[3], name))
        return sorted(found)

    @staticmethod
    def _require(connection: trail.Connection, head: Head) -> None:
        there = trail.at(connection, head.seq)
        if there is not None and there.hash == head.hash:
            return
        last = trail.head(connection)
        what = "is another one there" if there else f"is missing there: it ends at entry {last.seq if last else 0}"
        raise AnchorMismatchError(
            f"entry {head.seq} of the trail is anchored with hash {head.hash.hex()[:16]}..., and {what};"
            " nothing was copied; see simplicity audit verify"
        )
