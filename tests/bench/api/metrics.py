"""What the API tells Prometheus, read as an operator would."""

from __future__ import annotations

import http.client
from collections import defaultdict
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Labels = frozenset[tuple[str, str]]
Series = dict[tuple[str, Labels], float]

QUERIES = "database_query_duration_seconds"
CACHE = "cache_requests_total"
WAIT_SECONDS = 10


def get(port: int, path: str) -> tuple[int, str]:
    """Ask once, on a connection of its own. Raises OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def scrape(port: int) -> Series:
    return parse(get(port, "/metrics")[1])


def parse(text: str) -> Series:
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    """Return a series' value, 0 where there is none yet."""
    return series.get((name, frozenset(labels.items())), 0.0)


def hits(before: Series, after: Series) -> float:
    """Return the share of reads between two looks that were answered from the cache."""
    results = {result: _grown(before, after, CACHE, result=result) for result in ("hit", "miss", "stale")}
    return results["hit"] / (sum(results.values()) or 1.0)


def query_seconds(several: Iterable[Series], quantile: float) -> dict[str, tuple[int, float]]:
    """Return, by query, how many there were in all processes and the seconds within which this part of them ended."""
    buckets: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for series in several:
        for (name, labels), count in series.items():
            if name == f"{QUERIES}_bucket":
                of = dict(labels)
                buckets[of["query"]][float(of["le"])] += count
    return {query: (int(max(counts.values())), within(counts, quantile)) for query, counts in sorted(buckets.items())}


def within(buckets: Mapping[float, float], quantile: float) -> float:
    """Return a quantile of cumulative counts by upper bound, as Prometheus' histogram_quantile does."""
    bounds = sorted(buckets)
    rank = quantile * buckets[bounds[-1]]
    lower = counted = 0.0
    for bound in bounds:
        if buckets[bound] >= rank and buckets[bound] > counted:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (rank - counted) / (buckets[bound] - counted)
        lower, counted = bound, buckets[bound]
    return 0.0


def _grown(before: Series, after: Series, name: str, **labels: str) -> float:
    return value(after, name, **labels) - value(before, name, **labels)
