"""Traces: one from a request to its queries and remote calls, by OTLP over HTTP to any collector.

Which requests are traced is decided here and not by the SDK, whose decision costs more than all else that an untraced
request has of this module. Spans are made by hand: what is not in their attributes cannot leak.
"""

from __future__ import annotations

import re
import secrets
import time
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from random import random
from typing import TYPE_CHECKING, Final, Protocol, Self

from indexer.telemetry.metrics import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from indexer.settings import Settings

# Any client may ask for its request to be traced; so many a second are, so that nobody can slow the service with it.
ASKED_A_SECOND: Final = 10
_LONGEST_PATH = 256

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")

NOTHING: Final = nullcontext()  # what an untraced request has for a span


@dataclass(frozen=True, slots=True)
class Parent:
    """What a traceparent header says; ids in hex."""

    trace_id: str
    span_id: str
    sampled: bool


def parse(traceparent: bytes) -> Parent | None:
    """Read a W3C traceparent, None where it is not one."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found and Parent(found[1].decode(), found[2].decode(), bool(int(found[3], 16) & 1))


class Request(Protocol):
    """The trace of a request that is traced."""

    trace_id: str

    def child(self, name: str, attributes: Mapping[str, str]) -> AbstractContextManager[object]:
        """Return a span for a part of the request's time: entered when it begins, left when it ends."""

    def end(self, route: str | None, status: int, request_id: str, error: BaseException | None = None) -> None:
        """Finish the request's span under its route's template. Of an error only the type is told."""


class Tracer(Protocol):
    """What makes spans and sends them."""

    def start(self, method: str, path: str, parent: Parent | None) -> Request:
        """Start a request's span, in the trace that came in or in a new one."""

    def close(self) -> None:
        """Send what is left, for at most a few seconds; blocks."""


@dataclass(frozen=True, slots=True)
class _Untraced:
    """A request of which only the trace id is known: it came in, or a client was told it with an error."""

    trace_id: str

    def child(self, _name: str, _attributes: Mapping[str, str]) -> AbstractContextManager[object]:
        return NOTHING


_current: ContextVar[Request | _Untraced | None] = ContextVar("trace", default=None)


def trace_id() -> str:
    """Return the id of the current request's trace (32 hex digits), made now where the request has none yet."""
    request = _current.get()
    if request is None:
        request = _Untraced(secrets.token_hex(16))
        _current.set(request)
    return request.trace_id


def sql(query: str, pool: str) -> AbstractContextManager[object]:
    """Return the span of a query by its name; statement and parameters are not told."""
    request = _current.get()
    if request is None:
        return NOTHING
    told = {"db.system.name": "postgresql", "db.system": "postgresql", "db.query.summary": query, "db.pool": pool}
    return request.child(f"SQL {query}", told)


def call(remote: str, operation: str) -> AbstractContextManager[object]:
    """Return the span of a call of another server, such as ("bitcoin_node", "getblockcount"), without arguments."""
    request = _current.get()
    if request is None:
        return NOTHING
    return request.child(f"{remote} {operation}", {"peer.service": remote, "rpc.method": operation})


class Traces:
    """Decides which requests are traced: a `share` of them, and few a second that clients ask for."""

    def __init__(
        self, tracer: Tracer | None = None, share: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tracer = tracer
        self._share = share
        self._clock = clock
        self._second = 0
        self._asked = 0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return what the settings ask for. Without OTEL_EXPORTER_OTLP_ENDPOINT the SDK is not even imported."""
        if settings.OTEL_EXPORTER_OTLP_ENDPOINT is None:
            return cls()
        from indexer.telemetry.otlp import OtlpTracer  # noqa: PLC0415 - imports the SDK

        return cls(OtlpTracer(settings.OTEL_EXPORTER_OTLP_ENDPOINT), settings.OTEL_TRACES_SAMPLER_ARG)

    def begin(self, method: str, path: str, traceparent: bytes | None) -> Request | None:
        """Start a request's trace. Returns None where there is nothing to `end`: the request is not traced.

        To be called for every request, in its own task: it forgets the trace of the request before. `path` is without
        the query. The trace that `traceparent` names is continued.
        """
        parent = None if traceparent is None else parse(traceparent)
        tracer = self._tracer
        if tracer is None or not (random() < self._share or self._wanted(parent)):  # noqa: S311 # nosec B311
            _current.set(None if parent is None else _Untraced(parent.trace_id))
            return None
        named = method if method in METHODS else "_OTHER"
        printable = path[:_LONGEST_PATH].encode("utf-8", "replace").decode()  # one lone surrogate would lose a batch
        request = tracer.start(named, printable, parent)
        _current.set(request)
        return request

    def close(self) -> None:
        """Send what is left, for at most a few seconds; blocks."""
        if self._tracer is not None:
            self._tracer.close()

    def _wanted(self, parent: Parent | None) -> bool:
        if parent is None or not parent.sampled:
            return False
        second = int(self._clock())
        if second != self._second:
            self._second, self._asked = second, 0
        self._asked += 1
        return self._asked <= ASKED_A_SECOND
