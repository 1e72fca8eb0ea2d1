"""The file itself: written whole or not at all, read in bounded pieces, every byte accounted for."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from contextlib import contextmanager
from hashlib import sha256
from typing import IO, TYPE_CHECKING

from indexer.progress import quiet
from indexer.settings import ConfigurationError
from indexer.snapshot.errors import SnapshotError
from indexer.snapshot.header import PREAMBLE, Header, Section, unpack
from indexer.snapshot.keys import key_id

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from indexer.progress import Advance, Progress

PIECE = 1 << 18  # bytes in hand at a time

_LEVEL = 3
_MOST_WINDOW = 21  # log2: what this level needs; a hostile frame could ask for gigabytes
_PARTIAL = ".snapshot.partial"


class Content:
    """Counts and hashes the lines of a table while they pass, and hands them on in pieces."""

    def __init__(self, put: Callable[[bytes], None] | None = None) -> None:
        self.rows = self.size = 0
        self._hash = sha256()
        self._put = put

    @property
    def sha256(self) -> str:
        """The hash of all lines so far."""
        return self._hash.hexdigest()

    def watch(self, lines: Iterable[bytes], advance: Advance) -> Iterator[bytes]:
        """Yield the same lines and tell how many have passed."""
        batch: list[bytes] = []
        size = 0
        for line in lines:
            batch.append(line)
            size += len(line)
            if size >= PIECE:
                self._take(batch)
                advance(self.rows)
                batch, size = [], 0
            yield line
        self._take(batch)

    def is_of(self, section: Section) -> bool:
        """Tell whether the lines were those of a section."""
        return (self.rows, self.size, self.sha256) == (section.rows, section.content_size, section.content_sha256)

    def _take(self, batch: list[bytes]) -> None:
        data = b"".join(batch)
        self.rows += len(batch)
        self.size += len(data)
        self._hash.update(data)
        if self._put is not None:
            self._put(data)


class Packer:
    """Writes one section: a single zstd frame."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._compressor = zstd.ZstdCompressor(_LEVEL)
        self._hash = sha256()
        self._size = 0
        self.content = Content(lambda data: self._write(self._compressor.compress(data)))

    def finish(self, name: str) -> Section:
        """End the section and return what the header says of it."""
        self._write(self._compressor.flush())
        content = self.content
        return Section(name, content.rows, self._size, self._hash.hexdigest(), content.size, content.sha256)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)


@contextmanager
def whole_file(target: Path, least: int) -> Iterator[IO[bytes]]:
    """Write a new file that is there whole or not at all; refused where less than `least` bytes are free.

    Raises ConfigurationError for a place that cannot be written, is full, or is being written to by another process.
    """
    directory = target.parent
    try:
        if target.exists():
            raise ConfigurationError(f"--output {target}: exists already; remove it or choose another name")
        if shutil.disk_usage(directory).free < least:
            raise ConfigurationError(f"--output {directory}: the snapshot needs at least {least} bytes of free disk")
        with _partial(directory / _PARTIAL) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            (directory / _PARTIAL).rename(target)
        _sync_directory(directory)
    except OSError as error:
        raise ConfigurationError(f"--output {target}: {error.strerror}; choose another place") from None


@contextmanager
def _partial(path: Path) -> Iterator[IO[bytes]]:
    # The name is always the same, so that what a killed process left is used again and does not pile up. The lock is
    # on the file that was opened: it may have become somebody's finished snapshot meanwhile, and is then left alone.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with open(descriptor, "r+b") as file:  # noqa: PTH123 - a path cannot be opened with these flags
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(descriptor), path.lstat())
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        if not is_ours:
            raise ConfigurationError(f"--output {path.parent}: another snapshot is being written there; wait for it")
        try:
            file.truncate()
            yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Snapshot:
    """A snapshot opened for reading. `is_signed` says that the key in the header signed it, not whose key that is."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.header, self.is_signed = unpack(file.read(PREAMBLE))
        self.size = os.fstat(file.fileno()).st_size

    def require_trusted(self, trusted: Collection[bytes]) -> None:
        """Raise SnapshotError where none of the raw public keys signed the header."""
        if not self.is_signed:
            raise SnapshotError("the signature does not fit the header: damaged or forged; take another copy")
        if self.header.signer not in trusted:
            raise SnapshotError(
                f"is signed by the key {key_id(self.header.signer)}, which is not trusted; "
                "make sure whose it is, then give --trust KEY.pub"
            )

    def require_whole(self) -> None:
        """Raise SnapshotError where the file is shorter or longer than its header says."""
        if self.size != self.header.file_size:
            raise SnapshotError(
                f"has {self.size} bytes, by its header {self.header.file_size}: cut off or damaged; take another copy"
            )

    def check(self, progress: Progress = quiet) -> None:
        """Read every section to its end. Raises SnapshotError for the first that is damaged."""
        for section in self.header.tables:
            for _ in self.contents(section, f"checking {section.name}", progress):
                pass

    def problems(self, trusted: Collection[bytes], *, check: bool, progress: Progress = quiet) -> list[str]:
        """Return everything that speaks against the file, the sections included where they are to be checked."""
        found = []
        steps: list[Callable[[], None]] = [lambda: self.require_trusted(trusted), self.require_whole]
        if check:
            steps.append(lambda: self.check(progress))
        for step in steps:
            try:
                step()
            except SnapshotError as error:
                found.append(str(error))
        return found

    def contents(self, section: Section, what: str, progress: Progress = quiet) -> Iterator[bytes]:
        """Yield the COPY text of a section in pieces.

        Raises SnapshotError where it differs from what the header says, at the latest after the last piece: nothing
        that was made of the pieces may be kept then.
        """
        self._file.seek(_start(self.header, section))
        with progress(what, section.content_size) as advance:
            yield from self._unpack(section, advance)

    def _unpack(self, section: Section, advance: Advance) -> Iterator[bytes]:
        rows = size = 0
        stored, content = sha256(), sha256()
        unpacker = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _MOST_WINDOW})
        left = section.size
        while not unpacker.eof:
            piece = b""
            if unpacker.needs_input:
                piece = self._file.read(min(PIECE, left))
                if not piece:
                    break
                left -= len(piece)
                stored.update(piece)
            try:
                data = unpacker.decompress(piece, PIECE)
            except zstd.ZstdError:
                raise _damaged(section) from None
            rows += data.count(b"\n")
            size += len(data)
            if size > section.content_size:
                raise _damaged(section)
            content.update(data)
            yield data
            advance(size)
        found = (rows, section.size - left, stored.hexdigest(), size, content.hexdigest())
        wanted = (section.rows, section.size, section.sha256, section.content_size, section.content_sha256)
        if found != wanted or unpacker.unused_data or not unpacker.eof:
            raise _damaged(section)


@contextmanager
def opened(path: Path) -> Iterator[Snapshot]:
    """Open a snapshot for reading; every SnapshotError raised meanwhile begins with its name."""
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file")
    try:
        with path.open("rb") as file:
            yield Snapshot(file)
    except SnapshotError as error:
        raise SnapshotError(f"{path}: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None


def _start(header: Header, wanted: Section) -> int:
    before = header.tables[: header.tables.index(wanted)]
    return PREAMBLE + sum(section.size for section in before)


def _damaged(section: Section) -> SnapshotError:
    return SnapshotError(f"section {section.name} is damaged: its checksum does not fit; take another copy")
