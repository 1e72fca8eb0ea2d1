"""Requests' heads read once, and answers on their way out with the headers that every answer has."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Message, Send

    from indexer.api.call import Call

Headers = list[tuple[bytes, bytes]]

# What is not meant for browsers is not given to them in a form that they could run.
ALWAYS: Headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]

_TOLD = (
    "Age",
    "Cache-Status",
    "ETag",
    "Link",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Simplicity-Block-Hash",
    "Simplicity-Height",
    "Simplicity-State-Hash",
    "Warning",
    "X-Release",
    "X-Request-ID",
)
# For pages of any origin: there are no cookies, so a page can do no more than its visitor without it.
CROSS_ORIGIN: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", ", ".join(_TOLD).encode()),
]
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", b"Authorization, If-None-Match, Last-Event-ID, X-API-Key"),
    (b"access-control-max-age", b"86400"),
]


def always(*, cross: bool, release: str | None) -> Headers:
    """Return what every answer of a process has: may pages of other origins read it, which release gave it."""
    own = [] if release is None else [(b"x-release", release.encode())]
    return [*ALWAYS, *own, *(CROSS_ORIGIN if cross else ())]


@dataclass(slots=True)
class Head:
    """The headers that the front looks at; one that was sent twice counts as it was sent last, lists are joined."""

    forwarded: list[bytes] = field(default_factory=list)
    request_id: bytes | None = None
    authorization: bytes | None = None
    api_key: bytes | None = None
    if_none_match: bytes | None = None
    traceparent: bytes | None = None
    origin: bytes | None = None


_SLOTS = {
    b"x-request-id": "request_id",
    b"authorization": "authorization",
    b"x-api-key": "api_key",
    b"traceparent": "traceparent",
    b"origin": "origin",
}


def head_of(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """Read a request's headers, whose names are in lower case."""
    head = Head()
    for name, value in headers:
        slot = _SLOTS.get(name)
        if slot is not None:
            setattr(head, slot, value)
        elif name == b"x-forwarded-for":
            head.forwarded.append(value)
        elif name == b"if-none-match":
            head.if_none_match = value if head.if_none_match is None else head.if_none_match + b"," + value
    return head


def text_of(header: bytes | None) -> str | None:
    """Return a header's text: every byte is a letter of Latin-1."""
    return None if header is None else header.decode("latin-1")


class HeadSentError(OSError):
    """All that HEAD asks for is out: a route that goes on for long need not."""


class Sender:
    """Sends an answer, once; `started` says whether its status is out. A drain also ends the connection."""

    __slots__ = ("_always", "_bare", "_call", "_closing", "_send", "client_left", "is_done", "started", "started_at")

    def __init__(self, send: Send, call: Call, *, bare: bool, closing: bool, always: Headers) -> None:
        self._send = send
        self._call = call
        self._bare = bare  # HEAD: the headers of the answer alone
        self._closing = closing
        self._always = always
        self.started = False
        self.started_at = 0.0  # by perf_counter
        self.client_left = False
        self.is_done = False  # nothing more is wanted

    async def __call__(self, message: Message) -> None:
        """Pass a message of a route on."""
        if message["type"] == "http.response.start":
            self.started, self.started_at = True, time.perf_counter()
            self._call.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._own()]
        elif self._bare:
            await self._out({"type": "http.response.body", "body": b""})
            self.is_done = True
            raise HeadSentError
        await self._out(message)

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send an answer that is there in full; `headers` hold its length."""
        self.started = True
        self._call.status = status
        await self._out({"type": "http.response.start", "status": status, "headers": [*headers, *self._own()]})
        await self._out({"type": "http.response.body", "body": b"" if self._bare else body})

    async def _out(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # as servers say that nobody is there any more
            self.client_left = True
            raise

    def _own(self) -> Headers:
        call = self._call
        own = [(b"x-request-id", call.request_id.encode()), *self._always, *call.headers]
        if self._closing:
            own.append((b"connection", b"close"))
        return own


class Recorder:
    """Takes an answer of a route instead of a client."""

    __slots__ = ("body", "headers", "status")

    def __init__(self) -> None:
        self.status = 500
        self.headers: Headers = []
        self.body = b""

    async def __call__(self, message: Message) -> None:
        """Keep a message of the answer."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")
