"""A tar stream that is handed on while one of its members is kept: the list of files that stands at its end."""

from __future__ import annotations

import tarfile
from typing import IO, TYPE_CHECKING

from runbooks.backup.errors import BackupError

if TYPE_CHECKING:
    from indexer.progress import Advance


class TarWatch:
    """Reads a plain ustar stream as PostgreSQL writes it; `found` is the wanted member's content once it has passed."""

    def __init__(self, source: IO[bytes], wanted: str, tell: Advance) -> None:
        self.found: bytes | None = None
        self._source = source
        self._wanted = wanted
        self._tell = tell
        self._head = b""
        self._kept: bytearray | None = None
        self._content = self._padding = 0
        self._size = 0

    def read(self, most: int) -> bytes:
        """Read the next bytes, fewer than asked for only at the end."""
        data = self._source.read(most)
        self._size += len(data)
        self._tell(self._size)
        at = 0
        while at < len(data):
            at = self._body(data, at) if self._content or self._padding else self._header(data, at)
        return data

    def _body(self, data: bytes, at: int) -> int:
        content = data[at : at + self._content]
        self._content -= len(content)
        if self._kept is not None:
            self._kept += content
            if not self._content:
                self.found, self._kept = bytes(self._kept), None
        at += len(content)
        skipped = min(self._padding, len(data) - at) if not self._content else 0
        self._padding -= skipped
        return at + skipped

    def _header(self, data: bytes, at: int) -> int:
        more = data[at : at + tarfile.BLOCKSIZE - len(self._head)]
        self._head += more
        if len(self._head) == tarfile.BLOCKSIZE:
            if any(self._head):  # blocks of zeros end the stream
                self._begin()
            self._head = b""
        return at + len(more)

    def _begin(self) -> None:
        try:
            member = tarfile.TarInfo.frombuf(self._head, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise BackupError(f"the server's copy is no tar stream ({error})") from None
        self._content = member.size
        self._padding = -member.size % tarfile.BLOCKSIZE
        if member.name == self._wanted:
            self._kept = bytearray()
            if not member.size:
                self.found, self._kept = b"", None
