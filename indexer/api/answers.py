"""Answers as bytes: whole ones that may be kept, and long ones that are written while they are read."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import orjson
from fastapi import HTTPException, Response

from indexer.api.cache import snapshot_headers
from indexer.api.call import call_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from fastapi import Request
    from starlette.types import Receive, Scope, Send

    from indexer.api.shapes import Row
    from indexer.store.reader import Answer, Page, Snapshot, Whole

JSON = "application/json"
SETTLED_AGE = 86_400  # seconds that a block out of any reorg's reach may be kept


def found(request: Request, answer: Answer, missing: str = "") -> Row:
    """Return the only row; raises 404 with `missing` where there is none, as of that snapshot."""
    call_of(request).at = answer.at
    if answer.first is None:
        raise HTTPException(404, missing)
    return answer.first


def whole(request: Request, at: Snapshot, value: object) -> Response:
    """Return an answer of a snapshot."""
    call_of(request).at = at
    return Response(orjson.dumps(value), media_type=JSON)


def rows(
    request: Request,
    answer: Answer,
    page: Page,
    shape: Callable[[Row], Row],
    link: Callable[[Row], tuple[bytes, bytes]],
) -> Response:
    """Return a page as a list; a full one says where the next begins."""
    response = whole(request, answer.at, [shape(row) for row in answer.rows])
    if len(answer.rows) == page.limit:
        response.raw_headers.append(link(answer.rows[-1]))
    return response


def settled(request: Request, height: int) -> None:
    """Let an answer about a block be kept long where no reorg that is followed can reach it."""
    call = call_of(request)
    if call.at is not None and height <= call.at.height - request.app.state.reorg_depth:
        call.max_age = SETTLED_AGE


class Everything(Response):
    """GetAll, written batch by batch, so that no process holds it whole; the reading ends with it, however it ends."""

    media_type = JSON

    def __init__(
        self, reading: AbstractAsyncContextManager[Whole], source: Whole, limit: int, shape: Callable[[Row], Row]
    ) -> None:
        super().__init__()
        self._reading, self._source, self._limit, self._shape = reading, source, limit, shape
        kept = [header for header in self.raw_headers if header[0] != b"content-length"]
        self.raw_headers = [*kept, *snapshot_headers(source.at), (b"cache-control", b"no-store")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Write the answer, for as long as somebody is there to read it."""
        async with AsyncExitStack() as stack:
            stack.push_async_exit(self._reading)
            gone = asyncio.create_task(_left(receive))
            stack.callback(gone.cancel)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for part in self._parts():
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def _parts(self) -> AsyncIterator[bytes]:
        found = self._source.found
        counts = {"total_count": found, "returned_count": min(found, self._limit), "has_more": found > self._limit}
        yield orjson.dumps(counts)[:-1] + b',"data":['
        separator = b""
        async for batch in self._source.rows:
            yield separator + b",".join(orjson.dumps(self._shape(row)) for row in batch)
            separator = b","
        yield b"]}"


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def everything(
    request: Request,
    reading: AbstractAsyncContextManager[Whole],
    limit: int,
    shape: Callable[[Row], Row],
) -> Response:
    """Return GetAll. Entered here, so that what fails at once is an honest status and not a broken body."""
    source = await reading.__aenter__()
    call_of(request).at = source.at
    if source.exists:
        return Everything(reading, source, limit, shape)
    await reading.__aexit__(None, None, None)
    raise HTTPException(404, "no such ticker")
