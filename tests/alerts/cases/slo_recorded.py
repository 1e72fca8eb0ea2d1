"""What is recorded for the objectives, in layers: here from metrics the rates and moments; `slo_shares` goes on.

A layer's cases give it what the layer below would have recorded: months need no samples of each minute that way. Some
cases go the whole way from the metrics to the alert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Case, Firing
from tests.alerts.objectives import (
    AVAILABILITY,
    BACKUP,
    INDEXING,
    LATENCY,
    MINUTES,
    OF_REQUESTS,
    RAW,
    SQL,
    Objective,
    of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


# --- what is recorded, from metrics ----------------------------------------------------------------------------------
HOURS = 13
# Requests a minute, and the bad ones among them, for each age in minutes below the first number.
TRAFFIC = (
    (2, 600, 40), (5, 660, 120), (15, 720, 30), (30, 600, 90), (50, 780, 12), (60, 840, 42), (120, 900, 72),
    (180, 600, 6), (240, 960, 180), (360, 660, 18), (HOURS * 60, 1200, 300),
)  # fmt: skip


def by_minute() -> list[tuple[int, int]]:
    """Return the requests of each minute, and the bad ones among them."""
    ages = range(HOURS * 60 - 1, -1, -1)
    return [next((total, bad) for below, total, bad in TRAFFIC if age < below) for age in ages]


def counter(increments: Sequence[float]) -> str:
    """Return a counter in promtool's notation."""
    texts, value, start = ["0"], 0.0, 0
    for at in range(1, len(increments) + 1):
        if at == len(increments) or increments[at] != increments[start]:
            step, count = increments[start], at - start
            texts.append(f"{value + step:g}+{step:g}x{count - 1}")
            value += step * count
            start = at
    return " ".join(texts)


def metrics(objective: Objective, minutes: Sequence[tuple[int, int]], *, counted: bool = True) -> dict[str, str]:
    """Return the metrics of these minutes, of two instances, and those of what is not meant.

    `counted`: the series is there whose requests the objective picks: the bad ones of the balancer, the fast others.
    """
    total = counter([all_ / 2 for all_, _ in minutes])
    bad = counter([bad / 2 for _, bad in minutes])
    good = counter([(all_ - bad) / 2 for all_, bad in minutes])
    decoy = counter([7.0 for _ in minutes])
    found: dict[str, str] = {}
    for instance in ("one", "two"):
        if objective == AVAILABILITY:
            name = f'haproxy_frontend_http_responses_total{{cluster="main", instance="{instance}"'
            found[f'{name}, proxy="public", code="2xx"}}'] = good if counted else total
            found |= {f'{name}, proxy="public", code="5xx"}}': bad} if counted else {}
            found[f'{name}, proxy="stats", code="5xx"}}'] = decoy
        else:
            metric, label, meant, others = _HISTOGRAMS[objective]
            name = f'_count{{cluster="main", instance="{instance}", {label}'
            fast = f'_bucket{{cluster="main", instance="{instance}", {label}'
            le = "0.02" if objective == LATENCY else "0.1"
            found[f'{metric}{name}="{meant}"}}'] = total
            found |= {f'{metric}{fast}="{meant}", le="{le}"}}': good} if counted else {}
            found[f'{metric}{fast}="{meant}", le="1"}}'] = total
            for other in others:
                found[f'{metric}{name}="{other}"}}'] = decoy
                found |= {f'{metric}{fast}="{other}", le="{le}"}}': decoy} if counted else {}
    return found


_HISTOGRAMS = {
    LATENCY: ("http_request_duration_seconds", "endpoint", "/v1/tokens", ("/v1/events", "/v1/tokens/all")),
    SQL: ("database_query_duration_seconds", "query", "balances", ("balances_all",)),
}


def recorded_rates(objective: Objective) -> Case:
    """Return the case of what is recorded of requests, over each window that is read from samples."""
    minutes = by_minute()
    expected = {}
    for window in RAW:
        within = minutes[-MINUTES[window] :]
        total, bad = sum(each[0] for each in within), sum(each[1] for each in within)
        expected[of(objective, f"slo:total:rate{window}")] = total / len(within) / 60
        expected[of(objective, f"slo:bad:rate{window}")] = bad / len(within) / 60
        expected[of(objective, f"slo:bad:ratio_rate{window}")] = bad / total
    return Case(
        title=f"{objective.alert}: rates are of the requests in each window, of all instances",
        alert=objective.alert,
        series=metrics(objective, minutes),
        at=f"{HOURS}h",
        every=f"{HOURS}h",
        recorded=expected,
    )


def never_counted(objective: Objective) -> Case:
    """Return the case in which the series that an objective picks does not exist: no request was bad, or none good."""
    minutes = [(600, 0)] * (HOURS * 60)
    share = 0.0 if objective == AVAILABILITY else 1.0
    others = [each for each in OF_REQUESTS if each != objective]
    return Case(
        title=f"{objective.alert}: a series that does not exist yet counts as none",
        alert=objective.alert,
        series=metrics(objective, minutes, counted=False)
        | {of(other, f"slo:total:rate{window}"): "3x780" for other in others for window in RAW},
        at=f"{HOURS}h",
        every=f"{HOURS}h",
        recorded={of(objective, f"slo:bad:rate{window}"): 10 * share for window in RAW}
        | {of(objective, f"slo:bad:ratio_rate{window}"): share for window in RAW},
    )


def unknown(samples: int) -> str:
    """Return so many samples that are no number."""
    return " ".join(["NaN"] * samples)


def moments() -> Iterator[Case]:
    """Yield the cases of what a bad moment is, at its limit and just above it."""
    lag = 'simplicity_api_lag_blocks{{cluster="{0}", instance="{1}"}}'
    yield Case(
        title="IndexingFreshnessBurn: a moment is bad where every process that knows is more than a block behind",
        alert="IndexingFreshnessBurn",
        series={
            lag.format("main", "one"): "2x5",
            lag.format("main", "two"): "5x5",
            lag.format("main", "three"): unknown(6),
            lag.format("second", "one"): "1x5",
            lag.format("second", "two"): "5x5",
        },
        at="1m",
        recorded={of(INDEXING, "slo:bad:moment"): 1, of(INDEXING, "slo:bad:moment", "second"): 0},
    )
    yield Case(
        title="IndexingFreshnessBurn: while the node's height is unknown there is no moment, good or bad",
        alert="IndexingFreshnessBurn",
        series={lag.format("main", "one"): f"{unknown(21)} 2x20"},
        at="40m",
        recorded={of(INDEXING, "slo:bad:ratio_rate1h"): 1},
    )
    made = 'simplicity_backup_last_timestamp_seconds{{cluster="{0}", instance="{1}"}}'
    yield Case(
        title="BackupFreshnessBurn: a moment is bad where the newest backup is older than 26 hours",
        alert="BackupFreshnessBurn",
        series={
            made.format("main", "one"): "-1x26",
            made.format("main", "two"): "-90000x26",
            made.format("main", "three"): unknown(27),
            made.format("second", "one"): "0x26",
            made.format("second", "two"): "-90000x26",
        },
        at="26h",
        interval="1h",
        recorded={of(BACKUP, "slo:bad:moment"): 1, of(BACKUP, "slo:bad:moment", "second"): 0},
    )
    yield Case(
        title="BackupFreshnessBurn: until the repository was read there is no moment, good or bad",
        alert="BackupFreshnessBurn",
        series={made.format("main", "one"): f"{unknown(21)} -100000x20"},
        at="40m",
        recorded={of(BACKUP, "slo:bad:ratio_rate1h"): 1},
    )


# --- the whole way ---------------------------------------------------------------------------------------------------
def whole_way() -> Iterator[Case]:
    """Yield the cases from metrics to alerts: an hour of health, then a fault, and the nearest that is harmless."""
    healthy = [(600, 0)] * 60
    # From the 61st minute on 600 of 36 000 requests in an hour are bad: 1.67 %, more than 14.4 times 0.1 %.
    # Of the budget nothing has been counted yet: what the newest half hour was like is recorded at its end.
    left = "100% of the budget of 30d is left and ends in 14h 24m 0s at this rate"
    speed = "API availability: over 1h its error budget burns 50 times as fast as it may"
    yield Case(
        title="ApiAvailabilityBurn: no request is answered for three minutes",
        alert="ApiAvailabilityBurn",
        series=metrics(AVAILABILITY, [*healthy, *[(600, 600)] * 3]),
        at="63m",
        firing=(Firing(summary=f"{speed}: {left}", labels={"cluster": "main", "tier": "1"}),),
    )
    yield Case(
        title="ApiAvailabilityBurn: one minute in which 80 % fail is less than 14.4 times too fast",
        alert="ApiAvailabilityBurn",
        series=metrics(AVAILABILITY, [*healthy, (600, 480), *[(600, 0)] * 9]),
        at="70m",
    )
    # After 26 slow minutes of 86, 30 % of the requests of six hours are slow; tier 2 holds for a quarter of an hour.
    spent = "the budget of 30d is spent"
    for objective in (LATENCY, SQL):
        speed = f"{objective.title}: over 6h its error budget burns 8.119 times as fast as it may"
        yield Case(
            title=f"{objective.alert}: everything is slow for 41 minutes",
            alert=objective.alert,
            series=metrics(objective, [*healthy, *[(600, 600)] * 41]),
            at="101m",
            firing=(Firing(summary=f"{speed}: {spent}", labels={"cluster": "main", "tier": "2"}),),
        )
        yield Case(
            title=f"{objective.alert}: one request in 30 is slow, which the objective allows",
            alert=objective.alert,
            series=metrics(objective, [(600, 20)] * 240),
            at="4h",
        )
    yield from _whole_way_of_moments()


def _whole_way_of_moments() -> Iterator[Case]:
    lag = 'simplicity_api_lag_blocks{cluster="main", instance="one"}'
    speed = "Indexing freshness: over 1h its error budget burns 49.18 times as fast as it may"
    yield Case(
        title="IndexingFreshnessBurn: the index is two blocks behind for three minutes",
        alert="IndexingFreshnessBurn",
        series={lag: "0x59 2x10"},
        at="62m",
        firing=(Firing(summary=f"{speed}: the budget of 30d is spent", labels={"cluster": "main", "tier": "1"}),),
    )
    yield Case(
        title="IndexingFreshnessBurn: the index is one block behind, as at each block",
        alert="IndexingFreshnessBurn",
        series={lag: "0 1x300"},
        at="4h",
    )
    yield Case(
        title="IndexingFreshnessBurn: the index is built since the first start, less than an hour ago",
        alert="IndexingFreshnessBurn",
        series={lag: "900000x70"},
        at="61m",
    )
    made = 'simplicity_backup_last_timestamp_seconds{cluster="main", instance="one"}'
    speed = "Backup freshness: over 1h its error budget burns 18.03 times as fast as it may"
    left = "100% of the budget of 30d is left and ends in 1d 15h 55m 38s at this rate"
    yield Case(
        title="BackupFreshnessBurn: the backup of the day is not made",
        alert="BackupFreshnessBurn",
        series={made: "-90000x80"},
        at="71m",
        firing=(Firing(summary=f"{speed}: {left}", labels={"cluster": "main", "tier": "1"}),),
    )
    yield Case(
        title="BackupFreshnessBurn: the backup of the day is 26 hours old",
        alert="BackupFreshnessBurn",
        series={made: "-90000x60"},
        at="1h",
    )
    yield Case(
        title="BackupFreshnessBurn: no backup was made since the first start, less than an hour ago",
        alert="BackupFreshnessBurn",
        series={made: "-100000x70"},
        at="61m",
    )
    speed = "Backup freshness: over 1h its error budget burns 100 times as fast as it may"
    yield Case(
        title="BackupFreshnessBurn: no backup was made since the first start, an hour ago",
        alert="BackupFreshnessBurn",
        series={made: "-100000x70"},
        at="62m",
        firing=(Firing(summary=f"{speed}: the budget of 30d is spent", labels={"cluster": "main", "tier": "1"}),),
    )


CASES = (
    *(recorded_rates(objective) for objective in OF_REQUESTS),
    *(never_counted(objective) for objective in OF_REQUESTS),
    *moments(),
    *whole_way(),
)
