"""What was recorded of each block outside of the database: the measure of every restore, and the way to a height.

A checkpoint names a block's hashes, the state after it, the transaction that committed it and a position in the WAL by
which that transaction was committed. They lie in the repository as signed objects of up to 1000 lines, the last of
which grows until it is full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from indexer.bitcoin.block import display
from runbooks.backup.errors import RefusedError
from runbooks.backup.sealed import sign, signed_body
from runbooks.backup.source import timeline_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from indexer.store.connection import Connection
    from runbooks.backup.keys import Sealing
    from runbooks.backup.repository import Repository

LINES = 1_000  # of an object
BATCH = 5_000  # blocks read at a time
REMEMBERED = 1_000  # of the last ones: further back no reorg goes


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One block as it was seen: hashes as displayed, `seen_at` in seconds since the epoch, `xid` of 32 bits."""

    height: int
    block_hash: str
    state_hash: str
    state_digest: str
    xid: int
    timeline: int
    lsn: str
    seen_at: float


# The insert position: the commit of what this statement sees is before it, though it may not be on disk yet.
_SINCE = """
    SELECT height, hash, state_hash, state_digest, xmin::text::bigint, pg_walfile_name(lsn), lsn::text,
        extract(epoch FROM clock_timestamp())::float8
    FROM index.blocks, (SELECT pg_current_wal_insert_lsn()) AS here (lsn)
    WHERE height > %(height)s ORDER BY height LIMIT %(most)s"""
_HASHES = "SELECT height, hash FROM index.blocks WHERE height = ANY(%(heights)s)"


def since(connection: Connection, known: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Return the checkpoints of blocks that came after those known, a reorg's included; BATCH of them at most."""
    rows = connection.execute(_SINCE, {"height": _agreed(connection, known), "most": BATCH}).fetchall()
    return [
        Checkpoint(height, display(block), bytes(state).hex(), bytes(digest).hex(), xid, int(file[:8], 16), lsn, seen)
        for height, block, state, digest, xid, file, lsn, seen in rows
    ]


def _agreed(connection: Connection, known: Sequence[Checkpoint]) -> int:
    """Return the height up to which the database holds the blocks that were recorded, -1 for none.

    On a new timeline what is known is recorded again: its way may lead there from backups that the old one has not.
    """
    timeline = timeline_of(connection)
    if known and known[-1].timeline != timeline:
        return min(each.height for each in known) - 1
    # A later one of the same height wins; one of another timeline says nothing of the way on this one.
    recorded = {each.height: each.block_hash for each in known if each.timeline == timeline}
    rows = connection.execute(_HASHES, {"heights": list(recorded)}).fetchall()
    return max((height for height, block in rows if recorded[height] == display(block)), default=-1)


class Log:
    """The checkpoints of one cluster in its repository: read at the beginning, written on by one process."""

    def __init__(self, repository: Repository, sealing: Sealing) -> None:
        self._repository = repository
        self._sealing = sealing
        names = _names(repository)
        # A restore to before may have taken blocks back that are recorded: what is last recorded is what counts.
        self.last = list(_read(repository, names[-2:], sealing.trusted))[-REMEMBERED:]
        self._lines = _lines(repository, names[-1], sealing.trusted) if names else []
        self._first = _first(names[-1]) if names else 0

    def add(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Write more of them; once this returns they are in the repository."""
        for checkpoint in checkpoints:
            if len(self._lines) >= LINES:
                self._write()
                self._first += len(self._lines)
                self._lines = []
            self._lines.append(msgspec.json.encode(checkpoint))
            self.last = [*self.last[-REMEMBERED + 1 :], checkpoint]
        self._write()

    def objects(self) -> list[str]:
        """Return the names of the repository's objects that have checkpoints, the oldest first."""
        return _names(self._repository)

    def of(self, name: str) -> list[Checkpoint]:
        """Return what an object has. Raises RefusedError, MissingObjectError where it was taken away."""
        return list(_read(self._repository, [name], self._sealing.trusted))

    def _write(self) -> None:
        if self._lines:
            data = sign(b"\n".join(self._lines) + b"\n", self._sealing.signer)
            self._repository.store.put(_name(self._repository, self._first), data, replace=True)


def read(repository: Repository, trusted: Collection[bytes]) -> Iterator[Checkpoint]:
    """Yield all checkpoints in the order in which they were recorded. Raises RefusedError."""
    yield from _read(repository, _names(repository), trusted)


def find(checkpoints: Iterable[Checkpoint], *, height: int | None = None, block_hash: str = "") -> Checkpoint | None:
    """Return what was last recorded of a height, or of a block."""
    found = None
    for each in checkpoints:
        if each.block_hash == block_hash or each.height == height:
            found = each
    return found


def _name(repository: Repository, first: int) -> str:
    return repository.name("checkpoints", f"{first:012}.ndjson")


def _first(name: str) -> int:
    return int(name.rpartition("/")[2].partition(".")[0])


def _names(repository: Repository) -> list[str]:
    return repository.store.names(repository.name("checkpoints", ""))


def _lines(repository: Repository, name: str, trusted: Collection[bytes]) -> list[bytes]:
    return signed_body(repository.store.get(name), trusted, name=name).splitlines()


def _read(repository: Repository, names: Iterable[str], trusted: Collection[bytes]) -> Iterator[Checkpoint]:
    for name in names:
        for line in _lines(repository, name, trusted):
            try:
                yield msgspec.json.decode(line, type=Checkpoint)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise RefusedError(f"{name} cannot be read by this release; use the release that made it") from None
