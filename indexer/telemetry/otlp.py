"""The side of traces that needs the OpenTelemetry SDK: imported only where something is traced."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, set_span_in_context

from indexer import log
from indexer.telemetry.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry import trace

    from indexer.telemetry.traces import Parent

TIMEOUT: Final = 5.0  # seconds in which a batch is delivered, retries included
LAST: Final = 2.0  # seconds that the last batch may take when the process ends
QUIET: Final = 60.0  # seconds between two lines about a collector that fails
_MOMENT = 0.5
_SERVER_ERROR = 500

logger = log.get(__name__)


class Complaints(logging.Handler):
    """Lets one line through a minute of what the SDK has to say about a collector that is down."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._next = clock()
        self._withheld = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record or count it."""
        now = self._clock()
        if now < self._next:
            self._withheld += 1
            return
        withheld, self._withheld, self._next = self._withheld, 0, now + QUIET
        logger.warning("traces are not delivered", reason=clean(record.getMessage()), withheld=withheld)


class OtlpTracer:
    """Sends spans to an OTLP/HTTP collector in the background.

    `endpoint` is the collector's base URL, `delay` the seconds in which spans gather (OTEL_BSP_SCHEDULE_DELAY, 5 s,
    where it is None). While the collector does not answer, spans beyond a bounded queue are dropped.
    """

    def __init__(self, endpoint: str, delay: float | None = None) -> None:
        self._exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT)
        resource = Resource.create({"service.name": "simplicity-api", "service.version": version("simplicity")})
        # What is not to be traced is not started.
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(self._exporter, schedule_delay_millis=None if delay is None else delay * 1000)
        )
        self._tracer = self._provider.get_tracer("simplicity")
        self._complaints = Complaints()
        logging.getLogger("opentelemetry").addHandler(self._complaints)
        logging.getLogger("opentelemetry").propagate = False

    def start(self, method: str, path: str, parent: Parent | None) -> TracedRequest:
        """Start a request's span, in the trace that came in or in a new one."""
        told = {"http.request.method": method, "url.scheme": "http", "url.path": path}
        span = self._tracer.start_span(method, _context_of(parent), SpanKind.SERVER, told)
        return TracedRequest(self._tracer, span, method)

    def close(self) -> None:
        """Send what is left, for at most LAST seconds and a little; blocks."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(LAST)
        if ending.is_alive():
            self._complaints.setLevel(logging.CRITICAL + 1)  # of each batch left it would say that it is too late
            self._exporter.shutdown()  # type: ignore[no-untyped-call] # ends the wait for another try
            ending.join(_MOMENT)
        if ending.is_alive():
            return  # nothing waits for it, and what it still has to say stays unheard
        logging.getLogger("opentelemetry").removeHandler(self._complaints)
        logging.getLogger("opentelemetry").propagate = True


class TracedRequest:
    """The span of a request, and what it has below it."""

    __slots__ = ("_method", "_span", "_tracer", "_under", "trace_id")

    def __init__(self, tracer: trace.Tracer, span: trace.Span, method: str) -> None:
        self.trace_id = f"{span.get_span_context().trace_id:032x}"
        self._tracer = tracer
        self._span = span
        self._method = method
        self._under = set_span_in_context(span, Context())

    @contextmanager
    def child(self, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
        """Return a span for a part of the request's time: entered when it begins, left when it ends."""
        span = self._tracer.start_span(name, self._under, SpanKind.CLIENT, attributes)
        try:
            yield
        except BaseException as error:
            _failed(span, type(error).__qualname__)
            raise
        finally:
            span.end()

    def end(self, route: str | None, status: int, request_id: str, error: BaseException | None = None) -> None:
        """Finish the request's span under its route's template. Of an error only the type is told."""
        name = "HTTP" if self._method == "_OTHER" else self._method
        told: dict[str, str | int] = {"http.response.status_code": status, "simplicity.request_id": request_id}
        if route is not None:
            name, told["http.route"] = f"{name} {route}", route
        self._span.update_name(name)
        self._span.set_attributes(told)
        if status >= _SERVER_ERROR or error is not None:
            _failed(self._span, str(status) if error is None else type(error).__qualname__)
        self._span.end()


def _failed(span: trace.Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _context_of(parent: Parent | None) -> Context:
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED)
    context = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(context), Context())
