"""HTTP/1.1 with bounds: on the size of a head, on the time to send one, and on a client that never reads.

uvicorn's own protocol has none of them. Here a request that arrives whole costs no timer and a few comparisons; what
arrives in pieces is counted and timed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from indexer.api.refusals import BODY_TOO_LARGE, HEAD_TIMEOUT, HEAD_TOO_LARGE, MALFORMED, URI_TOO_LONG, Refusal

if TYPE_CHECKING:
    import asyncio
    from asyncio import TimerHandle
    from collections.abc import Callable
    from typing import Any

    from uvicorn import Config
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
    from uvicorn.server import ServerState

    from indexer.api.refusals import Kind

_BETWEEN, _HEAD, _BODY = range(3)


class BoundedHttp(HttpToolsProtocol):
    """One connection. The bounds are class attributes; `bounded` makes a class that reports what it refuses."""

    longest_target = 8 << 10  # bytes
    largest_head = 16 << 10  # bytes
    largest_rest = 1 << 20  # bytes of a message after its head, whether anybody wants them or not
    head_seconds = 10.0  # from a head's first byte, and from the connection to its first byte
    body_seconds = 10.0
    send_seconds = 30.0  # in which a client has to take `slowest` bytes a second of what waits for it
    slowest = 1024
    linger_seconds = 1.0  # for which a refused client may go on sending: closing at once would take its answer away

    on_refused: Callable[[Kind, str | None], None] = staticmethod(lambda _kind, _client: None)

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._deaf = False  # whatever still comes is dropped
        self._refusal = MALFORMED  # for what the parser stops at
        self._phase = _BETWEEN  # where the last byte left us
        self._size = 0  # bytes of the unfinished head, or after the head of an unfinished message
        self._chunk = 0  # bytes that are being parsed
        self._whole = False  # whether a message has ended in them
        self._timer: TimerHandle | None = None
        self._timed = _BETWEEN  # the phase that the timer is for
        self._sending: TimerHandle | None = None
        self._unsent = 0  # bytes that waited for the client when it was last looked at

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Wait for the first byte, but not for long."""
        super().connection_made(transport)
        self._await(_BETWEEN)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        super().connection_lost(exc)
        self._stop_waiting()
        self._stop_watching()
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and look after what is unfinished then."""
        if self._deaf:
            return
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        self._chunk = len(data)
        self._whole = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal)
            return
        except httptools.HttpParserUpgrade:
            # The parser takes a body for the next request then, which is how requests are smuggled past a proxy.
            self._deaf = True
            self.cycle.keep_alive = False
        if self._phase:
            self._unfinished(data)
        elif not self._whole or self.cycle.response_complete:
            # Empty lines, or what was left of a body after its answer: neither may keep a connection open.
            self._await(_BETWEEN)
        elif self._timer is not None:
            self._stop_waiting()

    def pause_writing(self) -> None:
        """Watch whether the client reads at all."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Go on: it does."""
        super().resume_writing()
        self._stop_watching()

    # What the parser calls

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._phase = _HEAD
        self._size = 0
        HttpToolsProtocol.on_message_begin(self)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self.url += url
        if len(self.url) > self.longest_target:
            self._stop_parsing(URI_TOO_LONG)

    def on_headers_complete(self) -> None:
        """End a head and start the application."""
        if self._size + self._chunk > self.largest_head and self._parsed() > self.largest_head:
            self._stop_parsing(HEAD_TOO_LARGE)
        self._phase = _BODY
        self._size = 0
        HttpToolsProtocol.on_headers_complete(self)
        self.headers = []  # what comes after a body must not reach an application that has begun

    def on_message_complete(self) -> None:
        """End a message."""
        self._phase = _BETWEEN
        self._whole = True
        HttpToolsProtocol.on_message_complete(self)

    # What uvicorn calls

    def on_response_complete(self) -> None:
        """Go on with the next request, or see the response off."""
        HttpToolsProtocol.on_response_complete(self)
        if self.transport.is_closing():
            self._see_off()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for long."""
        super().timeout_keep_alive_handler()
        self._see_off()

    def shutdown(self) -> None:
        """Close when what is in flight is answered."""
        super().shutdown()
        if self.transport.is_closing():
            self._see_off()

    # Sizes

    def _parsed(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _unfinished(self, data: bytes) -> None:
        if self._phase == _BODY:
            self._size += len(data)
            if self._size > self.largest_rest:
                self._refuse(BODY_TOO_LARGE)
                return
        else:
            # Of the chunk in which a head begins, what stands before it may be whole requests.
            self._size += len(data) if self._size else self._parsed() + len(data) - (data.rfind(b"\n") + 1)
            if self._size > self.largest_head:
                self._refuse(HEAD_TOO_LARGE)
                return
        self._await(self._phase)

    # Time

    def _await(self, phase: int) -> None:
        """Bound the time until this phase ends; what trickles in prolongs nothing."""
        if self._timer is not None:
            if self._timed == phase:
                return
            self._timer.cancel()
        self._timed = phase
        self._timer = self.loop.call_later(self.body_seconds if phase == _BODY else self.head_seconds, self._late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return  # it waits for its client to read, which is timed as well
        if self._in_flight() is not None:
            self._await(self._timed)  # a response is on its way, and nothing may come in between
        elif self._timed == _HEAD:
            self._refuse(HEAD_TIMEOUT)
        else:
            self.transport.close()
            self._see_off()

    def _see_off(self) -> None:
        """Bound the time that a closed transport waits for its client to read: it would be for ever."""
        if self.transport.get_write_buffer_size():
            self._watch()

    def _watch(self) -> None:
        if self._sending is None:
            self._unsent = self.transport.get_write_buffer_size()
            self._sending = self.loop.call_later(self.send_seconds, self._look)

    def _stop_watching(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _look(self) -> None:
        self._sending = None
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            return
        if self._unsent - unsent < self.slowest * self.send_seconds:
            self._report("slow_reader")
            self.transport.abort()
        else:
            self._watch()

    # Refusals

    def _in_flight(self) -> RequestResponseCycle | None:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None until the first request
        return None if cycle is None or cycle.response_complete else cycle

    def _stop_parsing(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise ValueError(refusal.kind)  # through the parser, which gives up then

    def _refuse(self, refusal: Refusal) -> None:
        """Answer the client ourselves where no other response is in flight, and listen to it no more."""
        self._deaf = True
        self._report(refusal.kind)
        self._stop_waiting()
        cycle = self._in_flight()
        if cycle is not None:
            if self._phase != _BODY or self.pipeline or cycle.response_started:
                cycle.keep_alive = False  # what came before is answered, and then it is over
                return
            cycle.disconnected = True  # for the application, which is in the middle of this very request
            cycle.message_event.set()
        self.transport.write(refusal.response(self.server_state.default_headers))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._timer = self.loop.call_later(self.linger_seconds, self.transport.abort)
        else:
            self.transport.close()
            self._see_off()

    def _report(self, kind: Kind) -> None:
        self.on_refused(kind, self.client[0] if self.client else None)


def bounded(on_refused: Callable[[Kind, str | None], None]) -> type[BoundedHttp]:
    """Return the protocol for uvicorn's `http` that calls `on_refused(kind, peer's address)` at each refusal."""
    return type("Bounded", (BoundedHttp,), {"on_refused": staticmethod(on_refused)})
