"""Refusals that no application has a part in, and the bounds on a request's body."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

import orjson

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

Kind = Literal[
    "malformed", "uri_too_long", "head_too_large", "head_timeout", "body_too_large", "body_timeout", "slow_reader"
]

BODY = 16 << 10  # bytes of a body
BODY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that the application has no part in."""

    kind: Kind
    status: int
    detail: str

    def response(self, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the whole response; nothing is read after it."""
        phrase = HTTPStatus(self.status).phrase
        text = orjson.dumps({"type": "about:blank", "title": phrase, "status": self.status, "detail": self.detail})
        lines = [name + b": " + value for name, value in default_headers]
        lines += [b"content-type: application/problem+json", b"content-length: %d" % len(text), b"connection: close"]
        return b"HTTP/1.1 %d %s\r\n" % (self.status, phrase.encode()) + b"\r\n".join(lines) + b"\r\n\r\n" + text


MALFORMED = Refusal("malformed", 400, "this is no valid HTTP/1.1 request")
URI_TOO_LONG = Refusal("uri_too_long", 414, "the request's target is longer than 8 KiB")
HEAD_TOO_LARGE = Refusal("head_too_large", 431, "the request's head is larger than 16 KiB")
HEAD_TIMEOUT = Refusal("head_timeout", 408, "the request's head did not arrive in time")
BODY_TOO_LARGE = Refusal("body_too_large", 413, "the request's body is larger than 16 KiB")
BODY_TIMEOUT = Refusal("body_timeout", 408, "the request's body did not arrive in time")


class BodyRefusedError(Exception):
    """A body that is not taken; says how to answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.kind = refusal.kind
        self.status = refusal.status


async def whole_body(scope: Scope, receive: Receive, limit: int = BODY, seconds: float = BODY_SECONDS) -> Receive:
    """Read a request's body and return a `receive` that hands it to the application in one piece.

    Raises BodyRefusedError: for a declared body of over `limit` bytes at once, before the client is told to go on. The
    answer needs no `Connection: close`: the protocol reads what is left of the body, as far as it is worth it.
    """
    if any(name == b"content-length" and int(value) > limit for name, value in scope["headers"]):
        raise BodyRefusedError(BODY_TOO_LARGE)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return receive  # the client is gone, which it goes on to say
                body += message.get("body", b"")
                if len(body) > limit:
                    raise BodyRefusedError(BODY_TOO_LARGE)
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise BodyRefusedError(BODY_TIMEOUT) from None
    whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replay() -> Message:
        return whole.pop() if whole else await receive()

    return replay
