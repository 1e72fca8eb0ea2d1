"""Event streams of an API in this process, read as a client reads them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.support.api import SOON, answer_of, scope_of, until

if TYPE_CHECKING:
    from starlette.types import Message, Scope

    from tests.support.api import Answer, App


@dataclass(frozen=True)
class Event:
    """A server-sent event; a comment has the name ``."""

    name: str
    id: str = ""
    data: Any = None

    @classmethod
    def of(cls, text: str) -> Self:
        fields = dict(line.partition(": ")[::2] for line in text.split("\n"))
        return cls(
            fields.get("event", ""), fields.get("id", ""), json.loads(fields["data"]) if "data" in fields else None
        )


class Stream:
    """An event stream that is open; a client that does not read is one whose `reads` is cleared."""

    def __init__(self, app: App, last: str | None = None, *, method: str = "GET") -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.start: Message | None = None
        self._begun = False
        self._left = asyncio.Event()
        self._text = ""
        self._parts: asyncio.Queue[str | None] = asyncio.Queue()
        headers = () if last is None else (("last-event-id", last),)
        self._task = asyncio.create_task(self._run(app, scope_of("/v1/indexer/events", method, headers)))

    async def _run(self, app: App, scope: Scope) -> None:
        try:
            await app.api(scope, self._receive, self._send)
        finally:
            self._parts.put_nowait(None)

    async def _receive(self) -> Message:
        if self._begun:
            await self._left.wait()
            return {"type": "http.disconnect"}
        self._begun = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        await self.reads.wait()
        self._parts.put_nowait(message.get("body", b"").decode())

    async def head(self) -> Answer:
        """The answer's head; its body as well where it is no stream."""
        await until(lambda: self.start is not None, what="a head")
        assert self.start is not None
        return answer_of([self.start])

    async def next(self, *, within: float = SOON, comments: bool = False) -> Event | None:
        """The next event, None at the stream's end."""
        async with asyncio.timeout(within):
            while True:
                text, found, rest = self._text.partition("\n\n")
                if found:
                    self._text = rest
                    event = Event.of(text)
                    if event.name or comments:
                        return event
                    continue
                part = await self._parts.get()
                if part is None:
                    assert not self._text, "half an event"
                    return None
                self._text += part

    async def take(self, count: int, *, within: float = SOON) -> list[Event]:
        """So many events."""
        found = [await self.next(within=within) for _ in range(count)]
        return [event for event in found if event is not None]

    async def leave(self) -> None:
        """Go away, and wait until the API has noticed."""
        self._left.set()
        self.reads.set()
        async with asyncio.timeout(SOON):
            await asyncio.wait([self._task])
