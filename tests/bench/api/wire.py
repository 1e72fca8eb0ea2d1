"""HTTP as far as a load needs it: one request at a time on a connection, answers with a Content-Length."""

from __future__ import annotations

import re

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_AGE = re.compile(rb"\r\nage: (\d+)")
_STALE = (b"\r\nwarning: 110", b"; stale", b"is stale")
HEAD_MAX = 65_536


class UnreadableError(Exception):
    """The answer is not of the form that this client reads."""


def request(path: str, host: str, key: str | None) -> bytes:
    """Return a request as it goes over the wire."""
    secret = f"X-API-Key: {key}\r\n" if key else ""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{secret}\r\n".encode("ascii")


class Splitter:
    """Finds the end of an answer in what arrives. `parts` holds its body where `keep` is set."""

    __slots__ = ("_early", "_missing", "head", "keep", "parts", "size", "status")

    def __init__(self) -> None:
        self.keep = False
        self.parts: list[bytes] = []
        self.head = b""
        self.status = self.size = 0
        self._missing = 0
        self._early = b""

    def feed(self, data: bytes) -> bool:
        """Take what arrived; return whether the answer is whole. Raises UnreadableError."""
        if self._missing:
            have = len(data)
            if self.keep:
                self.parts.append(data)
        else:
            data = self._early + data
            end = data.find(_HEAD_END)
            if end < 0:
                self._wait(data)
                return False
            self._early = b""
            self._read(data[:end].lower())
            have = len(data) - end - len(_HEAD_END)
            if self.keep:
                self.parts = [data[-have:]] if have else []
        self._missing -= have
        if self._missing < 0:
            raise UnreadableError("more than was asked for")
        return not self._missing

    def is_stale(self) -> bool:
        return any(mark in self.head for mark in _STALE)

    def age(self) -> int:
        """Return the seconds of the header Age, 0 where there is none."""
        found = _AGE.search(self.head)
        return int(found[1]) if found else 0

    def has_retry_after(self) -> bool:
        return b"\r\nretry-after: " in self.head

    def _wait(self, data: bytes) -> None:
        if len(data) > HEAD_MAX:
            raise UnreadableError("a head without an end")
        self._early = data

    def _read(self, head: bytes) -> None:
        self.head = head
        try:
            self.status = int(head[9:12])
            at = head.index(_LENGTH) + len(_LENGTH)
            stop = head.find(b"\r", at)
            self.size = self._missing = int(head[at:] if stop < 0 else head[at:stop])
        except ValueError:
            raise UnreadableError("a head without status or Content-Length") from None
