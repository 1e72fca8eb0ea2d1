"""What Prometheus is told of the API, in a registry of its own."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily

from indexer.auth.principal import Reason
from indexer.settings import LIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.core import Metric

OTHER: Final = "other"
UNMATCHED: Final = "unmatched"
# A method is whatever a stranger sends: as a label it must not grow without bound.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MOST_ENDPOINTS: Final = 200  # far above the routes there are: reached only if raw paths came for templates
CACHE_RESULTS: Final = ("hit", "miss", "stale", "bypass")
BREAKER_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}

_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_QUERY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REMOTE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_WAIT_BUCKETS = (0.0001, 0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 5)


@dataclass(frozen=True, slots=True)
class Position:
    """How far the index and the node are; None where that is not known. `tip_time` is in seconds since 1970."""

    tip_height: int | None = None
    tip_time: float | None = None
    node_height: int | None = None


def lag_blocks(at: Position) -> float:
    """Return how many blocks the node has that the index lacks; NaN while either height is unknown."""
    if at.tip_height is None or at.node_height is None:
        return math.nan
    return max(0, at.node_height - at.tip_height)


def lag_seconds(at: Position, now: float) -> float:
    """Return the age of the indexed tip while the node has more blocks, 0 at the node's tip, NaN while unknown.

    So it tells how old the newest answer is that clients get although a newer one could be had. The moment a block is
    found it is about the time between two blocks; an alert on it has to hold for longer than indexing one takes.
    """
    if at.tip_time is None or math.isnan(behind := lag_blocks(at)):
        return math.nan
    return max(0.0, now - at.tip_time) if behind else 0.0  # a block's time may lie two hours ahead


class Metrics:
    """The API's metrics. What lives elsewhere is pulled when Prometheus asks: hand functions to `pull` and its kin."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._series: dict[tuple[str | None, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}
        self._endpoints = {OTHER, UNMATCHED}
        self._queries: dict[str, Callable[[float], None]] = {}

        self._requests = Counter(
            "http_requests_total", "Requests answered", ["endpoint", "method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time to answer a request",
            ["endpoint", "method"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self.requests_in_flight = self._gauge("http_requests_in_flight", "Requests that are being answered")
        self._make_database()
        self._make_access()
        self._make_cache_and_remotes()
        self._make_state()
        # This process's clock, beside the time at which Prometheus asks: a wrong one shows.
        self.pull(self._gauge("process_clock_seconds", "What this process's clock says, since 1970"), time.time)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def _make_database(self) -> None:
        self._query_seconds = Histogram(
            "database_query_duration_seconds",
            "Time of a query and its rows, without the wait for a connection",
            ["query"],
            buckets=_QUERY_BUCKETS,
            registry=self.registry,
        )
        self._pool_wait = Histogram(
            "database_pool_wait_seconds",
            "Time that a request waited for a connection",
            ["pool"],
            buckets=_WAIT_BUCKETS,
            registry=self.registry,
        )
        self._connections = (
            self._gauge("database_connections_active", "Pool connections in use", "pool"),
            self._gauge("database_connections_max", "Pool connections that there may be", "pool"),
            self._gauge("database_pool_queue", "Requests that wait for a connection", "pool"),
        )
        self.database_reachable = self._gauge(
            "database_reachable", "1 while the database answers; a replica, while it is also fit to be read", "database"
        )

    def _make_access(self) -> None:
        self.tokens_issued = self._counter("jwt_tokens_issued_total", "Tokens issued")
        self.authentication_failures = self._counter(
            "authentication_failures_total", "Keys and tokens refused", "reason"
        )
        self.rate_limited = self._counter("rate_limited_total", "Requests refused by a rate limit", "class")
        # There from the start, so that the first refusal is an increase.
        for reason in Reason:
            self.authentication_failures.labels(reason.value)
        for name in LIMITED:
            self.rate_limited.labels(name)
        self.limiter_degraded = self._gauge(
            "rate_limiter_degraded", "1 while limits are counted by process, since Redis does not answer"
        )
        self.security_events = self._counter("security_events_total", "Security events, logged or not", "event")

    def _make_cache_and_remotes(self) -> None:
        results = self._counter("cache_requests_total", "Requests by what the cache of answers had", "result")
        self._cache = {result: results.labels(result).inc for result in CACHE_RESULTS}
        self.cache_bytes = self._gauge("cache_bytes", "Size of the cached answers")
        self._remote_seconds = Histogram(
            "remote_call_duration_seconds",
            "Time of a call of another server, with its retries",
            ["remote", "outcome"],
            buckets=_REMOTE_BUCKETS,
            registry=self.registry,
        )
        self._breaker_state = self._gauge("breaker_state", "0 closed, 1 half open, 2 open: no calls are made", "remote")

    def _make_state(self) -> None:
        self._position = (
            self._gauge("simplicity_api_tip_height", "Height of the indexed tip that answers are of"),
            self._gauge("simplicity_api_node_height", "Height of the Bitcoin node's best block"),
            self._gauge("simplicity_api_lag_blocks", "Blocks that the node has and the index lacks"),
            self._gauge("simplicity_api_lag_seconds", "Age of the indexed tip while the node has more blocks, else 0"),
        )
        self.reorgs = self._counter("simplicity_api_reorgs_total", "Reorganisations seen")
        self.streams_open = self._gauge("event_streams_open", "Clients that listen to the event stream")
        self.maintenance_mode = self._gauge("maintenance_mode", "1 while the routes of a class are closed", "class")
        self.ready = self._gauge("api_ready", "1 while this process takes requests")

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def observe_request(self, endpoint: str | None, method: str, status: int, seconds: float) -> None:
        """Count an answered request. `endpoint` is the route's template, None where no route matched."""
        if method not in METHODS:
            method = OTHER
        try:
            increase, observe = self._series[endpoint, method, status]
        except KeyError:
            increase, observe = self._new_series(endpoint, method, status)
        increase()
        observe(seconds)

    def observe_query(self, query: str, seconds: float) -> None:
        """Note the time of a query by its name."""
        try:
            observe = self._queries[query]
        except KeyError:
            observe = self._queries[query] = self._query_seconds.labels(query).observe
        observe(seconds)

    def observe_wait(self, pool: str, seconds: float) -> None:
        """Note how long a request waited for a connection."""
        self._pool_wait.labels(pool).observe(seconds)

    def observe_remote(self, remote: str, outcome: str, seconds: float) -> None:
        """Note the time of a call of another server and how it went: ok, error, timeout, not_asked."""
        self._remote_seconds.labels(remote, outcome).observe(seconds)

    def observe_cache(self, result: str) -> None:
        """Count what the cache had for a request: one of CACHE_RESULTS."""
        self._cache[result]()

    def pull(self, gauge: Gauge, value: Callable[[], float], *labels: str) -> None:
        """Read a gauge from `value` whenever Prometheus asks; NaN where that raises: the rest must still be told."""

        def guarded() -> float:
            try:
                return float(value())
            except Exception:  # noqa: BLE001 - one broken value must not take all metrics away
                return math.nan

        (gauge.labels(*labels) if labels else gauge).set_function(guarded)

    def pull_each(self, gauge: Gauge, labels: Iterable[str], value: Callable[[str], float]) -> None:
        """Read a gauge with one label from `value`, for each of the label's values."""
        for label in labels:
            self.pull(gauge, partial(value, label), label)

    def pull_counter(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Tell a count that is kept elsewhere."""
        self.registry.register(_Count(name, text, value))

    def watch_pools(self, usage: Callable[[], Mapping[str, tuple[int, int, int]]]) -> None:
        """Tell of each pool what `usage` returns by its name: connections in use, at most, and requests that wait."""
        for number, gauge in enumerate(self._connections):
            for pool in usage():
                self.pull(gauge, partial(_figure, usage, pool, number), pool)

    def watch_breakers(self, states: Mapping[str, Callable[[], str]]) -> None:
        """Tell the state of each remote's breaker: one of BREAKER_STATES."""
        for remote, state in states.items():
            self.pull(self._breaker_state, partial(_breaker, state), remote)

    def watch_chain(self, position: Callable[[], Position]) -> None:
        """Tell how far index and node are."""
        tip, node, blocks, seconds = self._position
        self.pull(tip, lambda: _known(position().tip_height))
        self.pull(node, lambda: _known(position().node_height))
        self.pull(blocks, lambda: lag_blocks(position()))
        self.pull(seconds, lambda: lag_seconds(position(), time.time()))

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format (CONTENT_TYPE_LATEST)."""
        return generate_latest(self.registry)

    def _new_series(
        self, endpoint: str | None, method: str, status: int
    ) -> tuple[Callable[[], None], Callable[[float], None]]:
        name = UNMATCHED if endpoint is None else endpoint
        bounded = name in self._endpoints or len(self._endpoints) < MOST_ENDPOINTS
        label = name if bounded else OTHER
        self._endpoints.add(label)
        series = self._requests.labels(label, method, str(status)).inc, self._seconds.labels(label, method).observe
        if bounded:
            self._series[endpoint, method, status] = series
        return series


class _Count:
    """A counter whose value is kept elsewhere."""

    def __init__(self, name: str, text: str, value: Callable[[], float]) -> None:
        self._name, self._text, self._value = name, text, value

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(self._name, self._text, value=self._value())


def _figure(usage: Callable[[], Mapping[str, tuple[int, int, int]]], pool: str, number: int) -> float:
    return usage()[pool][number]


def _breaker(state: Callable[[], str]) -> float:
    return BREAKER_STATES[state()]


def _known(height: int | None) -> float:
    return math.nan if height is None else height
