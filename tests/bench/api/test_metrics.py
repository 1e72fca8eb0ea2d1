from __future__ import annotations

import math

import pytest

from tests.bench.api import metrics

TEXT = """# TYPE cache_requests_total counter
cache_requests_total{result="hit"} 90
cache_requests_total{result="miss"} 10
# TYPE database_query_duration_seconds histogram
database_query_duration_seconds_bucket{query="ticker",le="0.01"} 90
database_query_duration_seconds_bucket{query="ticker",le="0.02"} 100
database_query_duration_seconds_bucket{query="ticker",le="+Inf"} 100
"""


def test_a_quantile_lies_within_its_bucket_as_far_in_as_its_rank() -> None:
    buckets = {0.01: 90.0, 0.02: 100.0, math.inf: 100.0}
    assert metrics.within(buckets, 0.95) == pytest.approx(0.015)
    assert metrics.within(buckets, 0.45) == pytest.approx(0.005)


def test_beyond_the_last_bound_a_quantile_is_that_bound() -> None:
    assert metrics.within({0.01: 1.0, math.inf: 10.0}, 0.95) == 0.01


def test_nothing_measured_has_no_quantile() -> None:
    assert metrics.within({0.01: 0.0, math.inf: 0.0}, 0.95) == 0.0


def test_queries_of_several_processes_are_taken_together() -> None:
    series = metrics.parse(TEXT)
    ((query, (count, seconds)),) = metrics.query_seconds([series, series], 0.95).items()
    assert (query, count) == ("ticker", 200)
    assert seconds == pytest.approx(0.015)


def test_hits_are_those_between_two_looks() -> None:
    before = metrics.parse(TEXT)
    after = metrics.parse(TEXT.replace('"hit"} 90', '"hit"} 120').replace('"miss"} 10', '"miss"} 20'))
    assert metrics.hits(before, after) == pytest.approx(0.75)
    assert metrics.hits(before, before) == 0.0
