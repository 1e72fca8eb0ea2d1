"""Each request counted, timed and logged, by route template: a raw path would make a series of every address."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from indexer import log

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from indexer.store.reader import Reader

logger = log.get(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CONVERTOR = re.compile(r":\w+}")
QUIET = frozenset({"/health", "/metrics"})  # asked every few seconds by machines: counted, not logged


class Telemetry:
    """The API's metrics, in a registry of their own."""

    def __init__(self, reader: Reader) -> None:
        self.registry = CollectorRegistry()
        labels = ["endpoint", "method", "status"]
        self.requests = Counter("http_requests_total", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "http_request_duration_seconds",
            "Time to answer a request",
            ["endpoint", "method"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        queries = Histogram(
            "database_query_duration_seconds",
            "Time of a query and its rows, without the wait for a connection",
            ["query"],
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        reader.observe = lambda name, seconds: queries.labels(name).observe(seconds)
        active = Gauge("database_connections_active", "Pool connections in use", registry=self.registry)
        active.set_function(lambda: reader.connections()[0])
        most = Gauge("database_connections_max", "Pool connections that there may be", registry=self.registry)
        most.set_function(lambda: reader.connections()[1])


class TelemetryMiddleware:
    """Pure ASGI: it neither buffers answers nor starts a task a request."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        endpoint = _CONVERTOR.sub("}", getattr(route, "path", "unmatched"))
        # A method is whatever a stranger sends: as a label it must not grow without bound.
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._telemetry.requests.labels(endpoint, method, str(status)).inc()
        self._telemetry.seconds.labels(endpoint, method).observe(seconds)
        if endpoint not in QUIET:
            logger.info(
                "request",
                endpoint=endpoint,
                method=scope["method"],
                status_code=status,
                duration_ms=round(seconds * 1000, 2),
            )
