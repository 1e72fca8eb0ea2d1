"""WAL in the repository: what PostgreSQL archives, what a recovery fetches, and whether anything is missing."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import msgspec

from audit.objects import MissingObjectError, ObjectExistsError
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.lsn import Segment, history_of, is_archived_name, is_segment_name, path_of, switches
from runbooks.backup.manifest import Part
from runbooks.backup.sealed import damaged, seal, sign, signed_body, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from runbooks.backup.keys import Opening, Sealing
    from runbooks.backup.lsn import Lsn, Switch
    from runbooks.backup.manifest import Manifest
    from runbooks.backup.repository import Repository

SHOWN = 3  # missing segments that a message names
# The first page of a segment: magic, info, timeline, address, length of what goes on, padding, system identifier.
_PAGE = struct.Struct("=HHIQIIQ")
_CONTROL = struct.Struct("=Q")


class Archived(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in front of an archived file: which one it is, of which cluster, and its sums."""

    cluster: str
    file: str
    part: Part


def cluster_of(data_directory: Path) -> str:
    """Return the system identifier of the cluster in a data directory. Raises BackupError."""
    try:
        with (data_directory / "global" / "pg_control").open("rb") as file:
            (number,) = _CONTROL.unpack(file.read(_CONTROL.size))
    except (OSError, struct.error):
        raise BackupError(f"{data_directory} is no data directory of PostgreSQL") from None
    return str(number)


def archive(repository: Repository, path: Path, keys: Callable[[], Sealing], mark: Path) -> bool:
    """Store a file that PostgreSQL wants archived; False where it is stored already, or no backup needs it yet.

    `mark` is a file on this host that says that WAL was stored before: a repository that shows none then is not empty
    but out of sight. Raises BackupError for that, where another file of this name is stored, or the file is of another
    cluster.
    """
    if not is_archived_name(path.name):
        raise BackupError(f"{path.name} is no file that PostgreSQL archives")
    if not repository.is_begun:
        if mark.exists():
            raise BackupError(f"{repository.store.url} shows no backups, but had some: is it mounted? ({mark} says so)")
        return False
    if path.name.endswith(".partial"):
        return False  # the timeline that goes on from here begins with the same bytes
    data, sealing = path.read_bytes(), keys()
    if is_segment_name(path.name) and _written_by(data) != repository.cluster:
        raise BackupError(f"{path.name} was written by cluster {_written_by(data)}, not by {repository.cluster}")
    target = io.BytesIO()
    sums = seal(io.BytesIO(data), target, sealing.recipient)
    front = msgspec.json.encode(Archived(repository.cluster, path.name, Part.of("wal", sums)))
    name = repository.name("wal", path.name)
    try:
        repository.store.put(name, sign(front + b"\n" + target.getvalue(), sealing.signer))
    except ObjectExistsError:
        # The server was killed between our success and its noting it, and asks again.
        there, _ = _opened(repository, path.name, sealing.trusted)
        if there.part.content_sha256 != sums.content_sha256:
            raise BackupError(
                f"{path.name} is archived already with other content: two servers write to this repository"
            ) from None
        return False
    finally:
        with suppress(OSError):  # a read-only directory of keys: then only the mark is missing
            mark.touch()
    return True


def _written_by(data: bytes) -> str:
    return str(_PAGE.unpack_from(data)[6]) if len(data) >= _PAGE.size else "unknown"


def fetch(repository: Repository, name: str, target: Path, opening: Opening) -> bool:
    """Write an archived file to `target`; False where it is not there. Raises RefusedError for one that is damaged."""
    if not is_archived_name(name):
        raise BackupError(f"{name} is no file that PostgreSQL archives")
    try:
        found, sealed = _opened(repository, name, opening.trusted)
    except MissingObjectError:
        return False
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("wb") as file:
        unseal(io.BytesIO(sealed), _Sparse(file), found.part.sums, opening.identity, name=f"WAL file {name}")
        file.truncate(found.part.content_size)
    partial.replace(target)
    return True


class _Sparse:
    """Leaves out what is zero: a segment that was archived before it was full takes no more disk than it holds."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: bytes) -> None:
        if data.count(0) == len(data):
            self._file.seek(len(data), io.SEEK_CUR)
        else:
            self._file.write(data)


def check(repository: Repository, name: str, trusted: Collection[bytes], opening: Opening | None) -> int:
    """Read an archived file to its end, by its signature alone without `opening`; return the size that it unpacks to.

    Raises RefusedError.
    """
    try:
        found, sealed = _opened(repository, name, trusted)
    except MissingObjectError:
        raise RefusedError(f"WAL file {name} is missing") from None
    if opening is not None:
        unseal(io.BytesIO(sealed), None, found.part.sums, opening.identity, name=f"WAL file {name}")
    return found.part.content_size


def _opened(repository: Repository, name: str, trusted: Collection[bytes]) -> tuple[Archived, bytes]:
    told = f"WAL file {name}"
    body = signed_body(repository.store.get(repository.name("wal", name)), trusted, name=told)
    front, _, sealed = body.partition(b"\n")
    try:
        found = msgspec.json.decode(front, type=Archived)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise damaged(told) from None
    if (found.cluster, found.file) != (repository.cluster, name):
        raise RefusedError(f"{told} was replaced by {found.file} of cluster {found.cluster}; use another backup")
    return found, sealed


def names(repository: Repository) -> list[str]:
    """Return the names of all archived files."""
    prefix = repository.name("wal", "")
    return [name.removeprefix(prefix) for name in repository.store.names(prefix)]


def histories(repository: Repository, archived: Iterable[str], opening: Opening) -> dict[int, list[Switch]]:
    """Return the ancestry of every timeline but the first, oldest switch first."""
    found = {}
    for name in archived:
        timeline = history_of(name)
        if timeline is not None:
            front, sealed = _opened(repository, name, opening.trusted)
            text = io.BytesIO()
            unseal(io.BytesIO(sealed), text, front.part.sums, opening.identity, name=f"WAL file {name}")
            found[timeline] = switches(text.getvalue().decode("ascii", "replace"))
    return found


@dataclass(frozen=True, slots=True)
class Way:
    """The WAL that leads on from a backup, in order: names of files that are there, and of those that are missing."""

    timeline: int
    there: list[str]
    lost: list[str]


def way(
    archived: Collection[str],
    backup: Manifest,
    ancestry: Mapping[int, list[Switch]],
    *,
    timeline: int | None = None,
    until: Lsn | None = None,
) -> Way:
    """Look along a timeline, by default the backup's own, to a position or the last file there is.

    What the backup needs to be consistent counts as missing though nothing later be there.
    """
    size = backup.segment_size
    found = {segment for name in archived if (segment := Segment.parse(name, size)) is not None}
    timeline = backup.timeline if timeline is None else timeline
    highest = max((segment.number for segment in found if segment.timeline == timeline), default=0)
    # What an agent noted late lies beyond what is archived, though the block may be in it: PostgreSQL tells then.
    last = max(highest if until is None else min(highest, until.segment(size)), backup.last_segment)
    start, before = Segment(backup.timeline, backup.first_segment), ancestry.get(timeline, [])
    segments = list(path_of(start, last, before, timeline, size))
    there = [segment.name(size) for segment in segments if segment in found]
    return Way(timeline, there, [segment.name(size) for segment in segments if segment not in found])


def require_unbroken(lost: Collection[str], backup: Manifest) -> None:
    """Raise RefusedError where WAL is missing that leads on from a backup."""
    if lost:
        named = ", ".join(list(lost)[:SHOWN]) + (" ..." if len(lost) > SHOWN else "")
        raise RefusedError(
            f"WAL after backup {backup.id} is missing: {named}; restore to a moment before it, or from a later backup"
        )
