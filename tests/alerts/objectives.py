"""The objectives, written a second time: what the cases take for right."""

from __future__ import annotations

from dataclasses import dataclass

MINUTES = {"5m": 5, "30m": 30, "1h": 60, "2h": 120, "6h": 360, "1d": 1440, "3d": 4320, "30d": 43200}
RAW = ("5m", "30m", "1h", "2h", "6h")
RECORDED = ("1d", "3d", "30d")


@dataclass(frozen=True, slots=True)
class Objective:
    """An objective, and the metric that it is of."""

    name: str
    alert: str
    title: str
    budget: float
    of_requests: bool = True


AVAILABILITY = Objective("api-availability", "ApiAvailabilityBurn", "API availability", 0.001)
LATENCY = Objective("api-latency", "ApiLatencyBurn", "API latency", 0.05)
SQL = Objective("sql-latency", "SqlLatencyBurn", "Query latency", 0.05)
INDEXING = Objective("indexing-freshness", "IndexingFreshnessBurn", "Indexing freshness", 0.001, of_requests=False)
BACKUP = Objective("backup-freshness", "BackupFreshnessBurn", "Backup freshness", 0.01, of_requests=False)
ALL = (AVAILABILITY, LATENCY, SQL, INDEXING, BACKUP)
OF_REQUESTS = (AVAILABILITY, LATENCY, SQL)


def of(objective: Objective, record: str, cluster: str = "main", **labels: str) -> str:
    """Return a recorded series of an objective."""
    more = "".join(f', {key}="{value}"' for key, value in labels.items())
    return f'{record}{{slo="{objective.name}", cluster="{cluster}"{more}}}'
