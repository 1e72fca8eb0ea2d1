from __future__ import annotations

import math
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from indexer.telemetry.metrics import CACHE_RESULTS, MOST_ENDPOINTS, Metrics, Position, lag_blocks, lag_seconds

DOCUMENTED = {
    "http_requests_total",
    "http_request_duration_seconds",
    "http_requests_in_flight",
    "database_query_duration_seconds",
    "database_connections_active",
    "database_connections_max",
    "database_pool_queue",
    "database_pool_wait_seconds",
    "database_reachable",
    "jwt_tokens_issued_total",
    "authentication_failures_total",
    "rate_limited_total",
    "rate_limiter_degraded",
    "cache_requests_total",
    "cache_bytes",
    "security_events_total",
    "remote_call_duration_seconds",
    "breaker_state",
    "simplicity_api_tip_height",
    "simplicity_api_node_height",
    "simplicity_api_lag_blocks",
    "simplicity_api_lag_seconds",
    "simplicity_api_reorgs_total",
    "event_streams_open",
    "maintenance_mode",
    "api_ready",
    "process_clock_seconds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "python_info",
    "python_gc_collections_total",
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_every_documented_name_is_told(metrics: Metrics) -> None:
    families = text_string_to_metric_families(metrics.exposition().decode())
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert names >= DOCUMENTED


def test_two_processes_in_one_do_not_share_counts(metrics: Metrics) -> None:
    metrics.observe_request("/", "GET", 200, 0.001)
    assert value(Metrics(), "http_requests_total", endpoint="/", method="GET", status="200") is None


def test_requests_are_counted_and_timed_by_route(metrics: Metrics) -> None:
    for status in (200, 200, 503):
        metrics.observe_request("/v1/{x}", "GET", status, 0.003)
    metrics.observe_request(None, "GET", 404, 0.001)
    assert value(metrics, "http_requests_total", endpoint="/v1/{x}", method="GET", status="200") == 2
    assert value(metrics, "http_requests_total", endpoint="/v1/{x}", method="GET", status="503") == 1
    assert value(metrics, "http_requests_total", endpoint="unmatched", method="GET", status="404") == 1
    assert value(metrics, "http_request_duration_seconds_count", endpoint="/v1/{x}", method="GET") == 3
    assert value(metrics, "http_request_duration_seconds_bucket", endpoint="/v1/{x}", method="GET", le="0.0025") == 0
    assert value(metrics, "http_request_duration_seconds_bucket", endpoint="/v1/{x}", method="GET", le="0.005") == 3


def test_neither_methods_nor_paths_of_strangers_make_series_or_fill_memory(metrics: Metrics) -> None:
    for number in range(1000):
        metrics.observe_request("/", f"M{number}", 200, 0.001)
        metrics.observe_request(f"/{number}", "GET", 200, 0.001)
    assert value(metrics, "http_requests_total", endpoint="/", method="other", status="200") == 1000
    others = value(metrics, "http_requests_total", endpoint="other", method="GET", status="200")
    assert others is not None
    assert others > 1000 - MOST_ENDPOINTS
    series = [line for line in metrics.exposition().splitlines() if line.startswith(b"http_requests_total{")]
    assert len(series) <= MOST_ENDPOINTS + 1
    assert len(metrics._series) <= MOST_ENDPOINTS + 1  # noqa: SLF001 - what must not grow


def test_a_known_route_is_told_even_after_many_unknown_ones(metrics: Metrics) -> None:
    metrics.observe_request("/known", "GET", 200, 0.001)
    for number in range(MOST_ENDPOINTS):
        metrics.observe_request(f"/{number}", "GET", 200, 0.001)
    metrics.observe_request("/known", "GET", 404, 0.001)
    assert value(metrics, "http_requests_total", endpoint="/known", method="GET", status="404") == 1


def test_what_can_be_refused_is_there_before_the_first_refusal(metrics: Metrics) -> None:
    assert value(metrics, "jwt_tokens_issued_total") == 0
    assert value(metrics, "authentication_failures_total", reason="signature") == 0
    assert value(metrics, "rate_limited_total", **{"class": "read"}) == 0
    assert value(metrics, "simplicity_api_reorgs_total") == 0
    assert all(value(metrics, "cache_requests_total", result=result) == 0 for result in CACHE_RESULTS)


def test_the_clock_is_that_of_the_moment_in_which_it_is_asked_for(metrics: Metrics) -> None:
    before = time.time()
    assert before <= (value(metrics, "process_clock_seconds") or 0) <= time.time()


def test_what_lives_elsewhere_is_read_when_it_is_asked_for(metrics: Metrics) -> None:
    usage = {"primary": (1, 5, 0), "bulk": (0, 2, 0)}
    states = {"redis": "closed"}
    tip = Position(100, 1000.0, 102)
    metrics.watch_pools(lambda: usage)
    metrics.watch_breakers({"redis": lambda: states["redis"]})
    metrics.watch_chain(lambda: tip)
    metrics.pull(metrics.ready, lambda: True)
    metrics.pull_each(metrics.maintenance_mode, ("read", "bulk"), lambda name: name == "bulk")
    usage["primary"] = (5, 5, 7)
    states["redis"] = "half_open"
    assert value(metrics, "database_connections_active", pool="primary") == 5
    assert value(metrics, "database_connections_max", pool="bulk") == 2
    assert value(metrics, "database_pool_queue", pool="primary") == 7
    assert value(metrics, "breaker_state", remote="redis") == 1
    assert value(metrics, "simplicity_api_tip_height") == 100
    assert value(metrics, "simplicity_api_node_height") == 102
    assert value(metrics, "simplicity_api_lag_blocks") == 2
    assert value(metrics, "api_ready") == 1
    assert value(metrics, "maintenance_mode", **{"class": "bulk"}) == 1
    assert value(metrics, "maintenance_mode", **{"class": "read"}) == 0


def test_one_broken_value_does_not_take_the_others_away(metrics: Metrics) -> None:
    def broken() -> float:
        raise RuntimeError

    metrics.pull(metrics.cache_bytes, broken)
    assert b"cache_bytes NaN" in metrics.exposition()
    assert b"process_open_fds" in metrics.exposition()


def test_a_count_kept_elsewhere_is_told_as_a_counter(metrics: Metrics) -> None:
    metrics.pull_counter("log_lines_dropped_total", "Log lines that could not be written", lambda: 3)
    assert b"# TYPE log_lines_dropped_total counter\nlog_lines_dropped_total 3.0\n" in metrics.exposition()


def test_queries_remote_calls_and_the_cache_are_told_by_name(metrics: Metrics) -> None:
    metrics.observe_query("ticker", 0.002)
    metrics.observe_query("ticker", 0.002)
    metrics.observe_wait("primary", 0.002)
    metrics.observe_remote("redis", "ok", 0.001)
    metrics.observe_cache("stale")
    assert value(metrics, "database_query_duration_seconds_count", query="ticker") == 2
    assert value(metrics, "database_pool_wait_seconds_count", pool="primary") == 1
    assert value(metrics, "remote_call_duration_seconds_count", remote="redis", outcome="ok") == 1
    assert value(metrics, "cache_requests_total", result="stale") == 1


@pytest.mark.parametrize(
    ("at", "blocks", "seconds"),
    [
        (Position(100, 1000.0, 100), 0, 0),
        (Position(100, 1000.0, 103), 3, 500),
        (Position(100, 1000.0, 99), 0, 0),  # the node went back, or was asked a moment earlier
        (Position(100, 9999.0, 101), 1, 0),  # a block's time may lie ahead of ours
        (Position(0, 0.0, 0), 0, 0),
        (Position(None, None, 103), math.nan, math.nan),
        (Position(100, 1000.0, None), math.nan, math.nan),
        (Position(), math.nan, math.nan),
    ],
)
def test_lag_counts_only_while_the_node_has_more(at: Position, blocks: float, seconds: float) -> None:
    assert lag_blocks(at) == pytest.approx(blocks, nan_ok=True)
    assert lag_seconds(at, 1500.0) == pytest.approx(seconds, nan_ok=True)
