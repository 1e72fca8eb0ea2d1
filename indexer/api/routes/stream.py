"""The stream of new blocks and reorgs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, HTTPException, Query, Request
from fastapi.responses import StreamingResponse

from indexer.api.components import STREAM
from indexer.api.events import place_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from indexer.api.events import Events, Place

router = APIRouter(prefix="/v1/indexer", tags=["Events"])

EventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=100, description="The `id` of the last event seen: browsers send it."),
]
EventIdToo = Annotated[str | None, Query(max_length=100, description="The same, for clients that cannot set a header.")]


class _Stream(StreamingResponse):
    """A stream that gives its room back, however it ends."""

    def __init__(self, source: Events, last: Place | None) -> None:
        # A drain ends the stream, and then its connection has to end too.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Connection": "close"}
        super().__init__(source.stream(last), media_type="text/event-stream", headers=headers)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until either side ends it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._source.open_streams -= 1


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"example": STREAM}}}},
)
async def events(request: Request, seen: EventId = None, last_event_id: EventIdToo = None) -> StreamingResponse:
    """Stream `tip` (where the chain stands, at the beginning), `block`, `reorg` and `reset` events.

    A `reorg` names the block that the chain went on from: what was above it is void. `reset` means that the last event
    seen is not known here: read anew. Reconnecting with the last id goes on without a gap, at any process.
    """
    source: Events = request.app.state.events
    named = seen or last_event_id
    last = None if named is None else place_of(named)
    if named is not None and last is None:
        raise HTTPException(422, "Last-Event-ID: is none that this API gave; begin without one")
    if not source.take_room():
        raise HTTPException(503, "as many event streams are open as may be; try again", {"Retry-After": "5"})
    return _Stream(source, last)
