"""One keep-alive HTTP connection to a node: no proxy, and every answer bounded in time and size.

`http.client` rather than httpx2: its answers cost a fifth of the CPU (0.6 ms against 3 ms for a block's 3 MB of
hexadecimal), and reading blocks is what the indexer does most.
"""

from __future__ import annotations

import ssl
import time
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection, IncompleteRead
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_SECONDS = 5.0
PATIENCE = 10  # a whole answer may take this many times as long as a silence may last
_CHUNK = 1 << 18
_KEPT = "%/?:@!$&'()*+,;=~[]"  # of a URL's path and query, as it was written


class TooLargeError(Exception):
    """The answer is larger than what was asked for can be."""


class Answer(NamedTuple):
    """An HTTP status and the body that came with it."""

    status: int
    body: bytes


class Connection:
    """A connection that is opened when it is needed, and once more where the node had closed it meanwhile.

    Not safe for use by several threads at once.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        self.root = not parts.path.strip("/") and not parts.query
        self.target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_KEPT)
        self._timeout = timeout
        host, connect = parts.hostname or "", min(timeout, CONNECT_SECONDS)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._http: HTTPConnection = HTTPSConnection(host, parts.port, timeout=connect, context=context)
        else:
            self._http = HTTPConnection(host, parts.port, timeout=connect)

    def exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], *, limit: int
    ) -> Answer:
        """Send a request that may be repeated, and return its answer of at most `limit` bytes.

        Raises TimeoutError, OSError, http.client.HTTPException and TooLargeError; the next request starts afresh.
        """
        try:
            response = self._send(method, target, body, headers)
            return Answer(response.status, self._read(response, limit))
        except BaseException:
            # What is left of the answer must not be taken for that to the next request.
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _send(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> HTTPResponse:
        if self._http.sock is not None:
            try:
                return self._ask(method, target, body, headers)
            except ConnectionError:
                self.close()  # by the node, when idle or at its restart
        self._http.connect()
        self._http.sock.settimeout(self._timeout)
        return self._ask(method, target, body, headers)

    def _ask(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> HTTPResponse:
        self._http.request(method, target, body, headers)
        return self._http.getresponse()

    def _read(self, response: HTTPResponse, limit: int) -> bytes:
        ends = time.monotonic() + self._timeout * PATIENCE
        parts, size = [], 0
        with response:
            if response.length is not None and response.length > limit:
                raise TooLargeError
            while part := response.read1(_CHUNK):
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise TooLargeError
                if time.monotonic() > ends:
                    raise TimeoutError("the answer trickles")
        if response.length:
            raise IncompleteRead(b"", response.length)
        return b"".join(parts)
