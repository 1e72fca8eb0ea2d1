"""Cases of the cache's alert."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Firing
from tests.alerts.series import fires_when_due, labels, series, up, vanishes

if TYPE_CHECKING:
    from tests.alerts.case import Case


def _down() -> tuple[Case, ...]:
    given = {
        series("redis_up", "valkey", "valkey-1"): "1x2 0x10",
        series("redis_up", "valkey", "valkey-2"): "1x20",
        up("valkey", "valkey-1"): "1x20",
    }
    firing = Firing(
        summary="The cache behind valkey-1 in main does not answer (up is 0)", labels=labels("valkey", "valkey-1")
    )
    gone = {up("valkey", "valkey-1"): "1x2 stale", up("api", "api-1"): "1x20"}
    return (
        *fires_when_due("CacheDown", "one of two does not answer", given, firing, due="150s", interval="30s"),
        *vanishes("CacheDown", 'up{job="valkey"}', gone, due="150s", interval="30s", job="valkey"),
    )


CASES: tuple[Case, ...] = _down()
