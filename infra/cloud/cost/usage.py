"""What a month's use is taken to be, where no setting says it: each figure in one place, to be argued about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.cloud.settings import Settings

HOURS, DAYS = 730, 30.4  # of a month, as AWS' own calculator counts
SECONDS = HOURS * 3_600
ZONES = 3
GIGABYTE, MILLION = 1e9, 1e6
FULL_SHARE = 100


@dataclass(frozen=True, kw_only=True)
class Usage:
    """A month's use: of the public, of the database, of what is logged and watched."""

    asked: float  # requests a second, the month's mean, of a region whose share is 100
    answer_bytes: int = 4_000
    index_gb: float  # of the database, where it grows by itself (Aurora)
    rows_millions: float  # requests of Aurora to its storage, in millions
    changed_gb: float  # what changes in the index in a day: what a day of backups adds
    out_gb: float  # through the gateways: the node's peers, packages
    flow_gb: float  # flow logs in a day
    log_gb: float  # other logs in a month: the database's, the firewall's
    # One compressed line of the balancer's access log.
    line_bytes: int = 80
    # A copy of the index in the bucket, against its size.
    packed: float = 0.4
    series_each: int = 1_500  # time series of a host
    interval: int = 15  # seconds between two samples
    trail_gb: float = 1  # calls of AWS' own interface in a month, of an account that does little else
    editors: int = 2  # of Managed Grafana
    viewers: int = 3


# The chain of the public, and chains to test on, where clients are few and the index is small.
PUBLIC = Usage(asked=200, index_gb=300, rows_millions=500, changed_gb=5, out_gb=250, flow_gb=2, log_gb=20)
TESTING = Usage(asked=4, index_gb=20, rows_millions=20, changed_gb=0.5, out_gb=30, flow_gb=0.2, log_gb=2)


def usual(settings: Settings) -> Usage:
    """Return the use that a stack's chain has."""
    return PUBLIC if settings.chain == "main" else TESTING


def requests(settings: Settings, usage: Usage) -> float:
    """Return how many requests clients make in a month, by the region's share; one that stands by is asked nothing."""
    share = {"none": settings.names.share / FULL_SHARE, "primary": 1, "secondary": 0}
    return usage.asked * share[settings.names.failover] * SECONDS


def answers_gb(settings: Settings, usage: Usage) -> float:
    """Return how much goes to clients in a month."""
    return requests(settings, usage) * usage.answer_bytes / GIGABYTE
