"""The stream of new blocks and reorgs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, HTTPException, Query, Request
from fastapi.responses import StreamingResponse

from indexer.api.components import STREAM
from indexer.api.events import place_of

if TYPE_CHECKING:
    from indexer.api.events import Events

router = APIRouter(prefix="/v1/indexer", tags=["Events"])

EventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=100, description="The `id` of the last event seen: browsers send it."),
]
EventIdToo = Annotated[str | None, Query(max_length=100, description="The same, for clients that cannot set a header.")]


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
    if not source.has_room:
        raise HTTPException(503, "as many event streams are open as may be; try again", {"Retry-After": "5"})
    return StreamingResponse(
        source.stream(last),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
