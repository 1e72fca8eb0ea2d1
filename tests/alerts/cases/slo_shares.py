"""Shares of bad requests and moments, from what is recorded of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Case
from tests.alerts.objectives import AVAILABILITY, INDEXING, MINUTES, RAW, RECORDED, of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def runs(values: Sequence[float]) -> str:
    """Return values in promtool's notation."""
    texts: list[str] = []
    start = 0
    for at in range(1, len(values) + 1):
        if at == len(values) or values[at] != values[start]:
            texts.append(f"{values[start]!r}x{at - start - 1}" if at - start > 1 else f"{values[start]!r}")
            start = at
    return " ".join(texts)


def shares_of_requests() -> Case:
    """Return the case of the windows of days: each half of each window has a share of its own, and its own traffic."""
    tiles = 70 * 48
    ages = [(tiles - at) / 48 for at in range(tiles + 1)]
    total = [10.0 if age <= 0.5 else 20.0 if age <= 1.2 else 30.0 if age <= 2 else 40.0 for age in ages]
    bad = [
        1.0
        if age <= 0.5
        else 3.0
        if age <= 1.2
        else 2.0
        if age <= 4
        else 5.0
        if age <= 20
        else 1.0
        if age <= 31
        else 8.0
        for age in ages
    ]
    return Case(
        title="ApiAvailabilityBurn: shares of requests over days are of all that was recorded in them",
        alert="ApiAvailabilityBurn",
        series={
            of(AVAILABILITY, "slo:bad:rate30m"): runs(bad),
            of(AVAILABILITY, "slo:total:rate30m"): runs(total),
        },
        at="70d",
        interval="30m",
        every="70d",
        # A window has the tiles at both of its ends.
        recorded={
            of(AVAILABILITY, f"slo:bad:ratio_rate{window}"): sum(bad[-count:]) / sum(total[-count:])
            for window, count in ((each, MINUTES[each] // 30 + 1) for each in RECORDED)
        },
    )


def shares_of_moments() -> Iterator[Case]:
    """Yield the cases of the shares of moments: of windows of hours, and of windows of days."""
    minutes = 13 * 60
    worst = ((2, 5), (20, 30), (31, 40), (100, 130), (300, 400), (500, 700))
    bad = [int(any(low <= minutes - at < high for low, high in worst)) for at in range(minutes + 1)]
    yield Case(
        title="IndexingFreshnessBurn: shares of moments are of the minutes in each window",
        alert="IndexingFreshnessBurn",
        series={of(INDEXING, "slo:bad:moment"): runs(bad)},
        at="13h",
        every="13h",
        recorded={of(INDEXING, "slo:bad:moments30m"): sum(bad[-31:]) / 31}
        | {
            of(INDEXING, f"slo:bad:ratio_rate{window}"): sum(bad[-count:]) / count
            for window, count in ((each, MINUTES[each] + 1) for each in RAW)
        },
    )
    ages = [70 - at / 48 for at in range(70 * 48 + 1)]
    tiles = [next(value for below, value in _TILES if age <= below) for age in ages]
    yield Case(
        title="IndexingFreshnessBurn: shares of moments over days are of all that was recorded in them",
        alert="IndexingFreshnessBurn",
        series={of(INDEXING, "slo:bad:moments30m"): runs(tiles)},
        at="70d",
        interval="30m",
        every="70d",
        recorded={
            of(INDEXING, f"slo:bad:ratio_rate{window}"): sum(tiles[-count:]) / count
            for window, count in ((each, MINUTES[each] // 30 + 1) for each in RECORDED)
        },
    )


# The share of bad minutes in tiles that are at most so many days old.
_TILES = ((0.5, 0.1), (1.2, 0.3), (4, 0.2), (20, 0.6), (31, 0.05), (70, 0.8))


CASES = (shares_of_requests(), *shares_of_moments())
