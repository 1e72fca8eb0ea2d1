"""Cases of the API's alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Firing
from tests.alerts.series import CLUSTER, fires, fires_when_due, labels, series, silent, up, vanishes

if TYPE_CHECKING:
    from tests.alerts.case import Case

ONE = labels("api", "api-1")
RESPONSES = "haproxy_frontend_http_responses_total"
# In a cluster where all is well another service has no process.
SECOND = (("api", 2), ("other", 0))
INFO = "/v1/indexer/brc20/{ticker}/info"


# --- processes -------------------------------------------------------------------------------------------------------
def _down() -> tuple[Case, ...]:
    given = {up("api", "api-1"): "1x2 0x10", up("api", "api-2"): "1x20", up("sync", "sync-1"): "0x20"}
    summary = "api-1 of the API in main does not answer (up is 0)"
    gone = {up("api", "api-1"): "1x2 stale", up("sync", "sync-1"): "1x20"}
    return (
        *fires_when_due(
            "ApiDown",
            "one of two does not answer",
            given,
            Firing(summary=summary, labels=ONE),
            due="150s",
            interval="30s",
        ),
        *vanishes("ApiDown", 'up{job="api"}', gone, due="150s", interval="30s", job="api"),
    )


def _none_ready() -> tuple[Case, ...]:
    name, servers = "NoApiInstance", "haproxy_backend_active_servers"

    def given(first: str, second: str) -> dict[str, str]:
        return {
            series(servers, "haproxy", "haproxy-1", proxy="api"): first,
            series(servers, "haproxy", "haproxy-2", proxy="api"): second,
            series(servers, "haproxy", "haproxy-1", proxy="other"): "1x20",
            **{f'{servers}{{cluster="second", proxy="{proxy}"}}': f"{count}x20" for proxy, count in SECOND},
        }

    text = "The balancers of main have 0 processes of the API that are ready"
    firing = Firing(summary=text, labels={"cluster": CLUSTER})
    return (
        *fires_when_due(name, "for both balancers", given("2x1 0x10", "0x20"), firing, due="1m", interval="15s"),
        *silent(name, "for one of two balancers", given("0x20", "1x20"), at="5m", interval="15s"),
    )


def _not_ready() -> tuple[Case, ...]:
    given = {series("api_ready", "api", "api-1"): "1x2 0x10", series("api_ready", "api", "api-2"): "1x20"}
    firing = Firing(summary="api-1 of the API in main runs but takes no requests", labels=ONE)
    return fires_when_due("ApiNotReady", "one of two is not ready", given, firing, due="8m")


def _balancer_down() -> tuple[Case, ...]:
    given = {up("haproxy", "haproxy-1"): "1x2 0x10", up("haproxy", "haproxy-2"): "1x20", up("api", "api-1"): "0x20"}
    summary = "haproxy-1 before the API in main does not answer (up is 0)"
    firing = Firing(summary=summary, labels=labels("haproxy", "haproxy-1"))
    gone = {up("haproxy", "haproxy-1"): "1x2 stale", up("api", "api-1"): "1x20"}
    return (
        *fires_when_due("BalancerDown", "one of two does not answer", given, firing, due="150s", interval="30s"),
        *vanishes("BalancerDown", 'up{job="haproxy"}', gone, due="150s", interval="30s", job="haproxy"),
    )


# --- answers ---------------------------------------------------------------------------------------------------------
def _responses(good: str, bad: str, *, own_good: str = "0x30", own_bad: str = "0x30") -> dict[str, str]:
    """Return the counters of two balancers alike, and those of the scrapes of one of them."""
    public = {
        series(RESPONSES, "haproxy", name, proxy="public", code=code): values
        for name in ("haproxy-1", "haproxy-2")
        for code, values in (("2xx", good), ("5xx", bad))
    }
    return public | {
        series(RESPONSES, "haproxy", "haproxy-1", proxy="metrics", code="2xx"): own_good,
        series(RESPONSES, "haproxy", "haproxy-1", proxy="metrics", code="5xx"): own_bad,
    }


def _errors(share: str) -> Firing:
    return Firing(summary=f"{share} of the requests in main end in a server's error", labels={"cluster": CLUSTER})


def _error_rate() -> tuple[Case, ...]:
    name = "HighErrorRate"
    just_above = _responses("0+474x10", "0+26x10", own_good="0+90000x10")
    their_own = _responses("0+96x10", "0+4x10", own_bad="0+900x10")
    burst = _responses("0+100x30", "0x5 100x24")
    flood = _responses("0+1000x6 6010+10x30", "0+5x36")
    rush = _responses("0+100x6 600x9", "0+100x6 600x9")
    lull = _responses("0+900x4 3600x20", "0x4 0+6x20")
    return (
        *fires_when_due(name, "5.2 % of many", just_above, _errors("5.2%"), due="3m"),
        *silent(name, "5 % are borne", _responses("0+1140x10", "0+60x10"), at="10m"),
        *silent(name, "errors of scrapes", their_own, at="10m"),
        *fires(name, "all of a few fail", _responses("0x10", "0+6.5x10"), _errors("100%"), at="10m"),
        *silent(name, "all of very few fail", _responses("0x10", "0+6x10", own_good="0+90x10"), at="10m"),
        *fires(name, "many failed four minutes ago", burst, _errors("16.67%"), at="10m"),
        *silent(name, "many failed six minutes ago", burst, at="12m"),
        *silent(name, "all that fail now are few among those of three minutes ago", flood, at="10m"),
        *fires(name, "a third fails since six minutes", flood, _errors("33.33%"), at="13m"),
        *fires(name, "half of them failed until three minutes ago", rush, _errors("50%"), at="9m"),
        *silent(name, "very few fail now, many were answered eight minutes ago", lull, at="12m"),
    )


BUCKETS = ("0.5", "1", "2.5", "+Inf")


def _times(endpoint: str, counts: tuple[str, ...], instance: str = "api-1") -> dict[str, str]:
    """Return a histogram of answers: how many took up to 0.5, 1, 2.5 seconds, and all."""
    name, where = "http_request_duration_seconds", {"endpoint": endpoint, "method": "GET"}
    buckets = {
        series(f"{name}_bucket", "api", instance, le=le, **where): values
        for le, values in zip(BUCKETS, counts, strict=True)
    }
    return buckets | {series(f"{name}_count", "api", instance, **where): counts[-1]}


def _steady(*rates: int) -> tuple[str, ...]:
    """Return counters that grow by so many a minute."""
    return tuple(f"0+{rate}x30" for rate in rates)


def _then(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[str, ...]:
    """Return counters that grow in one way for six minutes, and in another one then."""
    return tuple(f"0+{first}x6 {6 * first + second}+{second}x20" for first, second in zip(before, after, strict=True))


ALL_SLOW, ALL_FAST = (0, 0, 1000, 1000), (1000, 1000, 1000, 1000)
# What must not count, as it is plenty and fast, or slow by design.
FAST = _times("/health/ready", _steady(*ALL_FAST)) | _times("/metrics", _steady(*ALL_FAST))
LASTING = _times("/v1/indexer/events", _steady(*ALL_SLOW)) | _times("/v1/indexer/brc20/list/all", _steady(*ALL_SLOW))


def _slow(value: str) -> Firing:
    return Firing(summary=f"The 95th percentile of answers in main is {value}", labels={"cluster": CLUSTER})


def _above(counts: tuple[int, ...]) -> dict[str, str]:
    """Return histograms of two processes that are slow together and not each for itself."""
    fast = _times(INFO, _steady(500, 500, 500, 500))
    return fast | _times(INFO, _steady(*(max(0, count - 500) for count in counts)), instance="api-2") | FAST


def _few(rate: int, rest: str) -> dict[str, str]:
    """Return histograms of two processes with slow answers alone: so many a minute, and `rest` of the other one."""
    first, second = ("0x30", "0x30", f"0+{rate}x30"), ("0x30", "0x30", rest)
    return _times(INFO, (*first, first[-1])) | _times(INFO, (*second, second[-1]), instance="api-2")


def _response_times(name: str, above: dict[str, str], value: str, limit: tuple[int, ...], due: str) -> tuple[Case, ...]:
    """Return what holds at both limits: `above` is just above it, `limit` is at it, in answers a minute."""
    waning = _times(INFO, _then(ALL_SLOW, (10, 10, 10, 10)))
    over = _times(INFO, _then(ALL_SLOW, (100, 100, 100, 100)))
    lull = _times(INFO, _then(ALL_SLOW, (0, 0, 10, 10)))
    return (
        *fires_when_due(name, "just above the limit", above, _slow(value), due=due),
        *silent(name, "at the limit", _times(INFO, _steady(*limit)) | LASTING, at="20m"),
        *fires(name, "a few answers, and slow ones", _few(6, "0+7x30"), _slow("2.425s"), at="20m"),
        *silent(name, "very few answers, and slow ones", _few(6, "0+6x30") | LASTING | FAST, at="20m"),
        *fires(name, "slow until three minutes ago", waning, _slow("2.424s"), at="9m"),
        *silent(name, "slow until seven minutes ago", over, at="13m"),
        *silent(name, "very few slow answers, and many until seven minutes ago", lull, at="13m"),
    )


def _slow_answers() -> tuple[Case, ...]:
    very, rather = _above((500, 840, 1000, 1000)), _above((500, 948, 1000, 1000))
    return (
        *_response_times("HighResponseTime", very, "2.031s", (0, 5100, 6000, 6000), "3m"),
        *_response_times("SlowResponses", rather, "1.058s", (0, 5700, 6000, 6000), "6m"),
    )


def _calls(remote: str, counts: tuple[str, ...], *, outcome: str = "ok", instance: str = "api-1") -> dict[str, str]:
    """Return a histogram of calls: how many took up to 0.05, 0.1, 0.25 seconds, and all."""
    name, where = "remote_call_duration_seconds", {"outcome": outcome, "remote": remote}
    buckets = {
        series(f"{name}_bucket", "api", instance, le=le, **where): values
        for le, values in zip(("0.05", "0.1", "0.25", "+Inf"), counts, strict=True)
    }
    return buckets | {series(f"{name}_count", "api", instance, **where): counts[-1]}


def _remote_calls() -> tuple[Case, ...]:
    name, where = "RemoteCallsSlow", {"cluster": CLUSTER, "remote": "redis"}
    refused = _calls("redis", _steady(90000, 90000, 90000, 90000), outcome="not_asked")
    two = _calls("redis", _steady(500, 500, 500, 500)) | _calls(
        "redis", _steady(0, 448, 500, 500), outcome="error", instance="api-2"
    )
    given = two | refused | _calls("bitcoin_node", _steady(0, 0, 0, 0))
    over = _calls("redis", _then(ALL_SLOW, (100, 100, 100, 100)))
    waning = _calls("redis", _then(ALL_SLOW, (5, 5, 5, 5)))
    lull = _calls("redis", _then(ALL_SLOW, (0, 0, 3, 3)))

    def few(rate: float) -> dict[str, str]:
        first, second = (("0x30", "0x30", f"0+{each}x30", f"0+{each}x30") for each in (3, rate))
        return _calls("redis", first) | _calls("redis", second, outcome="error", instance="api-2")

    text = "The 95th percentile of calls of redis in main is "
    return (
        *fires_when_due(name, "of one remote", given, Firing(summary=text + "105.8ms", labels=where), due="6m"),
        *silent(name, "100 ms at the most", _calls("redis", _steady(0, 5700, 6000, 6000)), at="20m"),
        *fires(name, "slow until three minutes ago", over, Firing(summary=text + "241.4ms", labels=where), at="9m"),
        *silent(name, "slow until seven minutes ago", over, at="13m"),
        *fires(name, "a few calls, and slow ones", few(3.3), Firing(summary=text + "242.5ms", labels=where), at="20m"),
        *silent(name, "very few calls, and slow ones", few(3) | refused, at="20m"),
        *fires(name, "many until three minutes ago", waning, Firing(summary=text + "242.4ms", labels=where), at="9m"),
        *silent(name, "very few slow calls, and many until seven minutes ago", lull, at="13m"),
    )


# --- limits ----------------------------------------------------------------------------------------------------------
def _refusals(reads: str, *, others: str = "0x40") -> dict[str, str]:
    """Return the counters of two processes alike, and of another class."""
    return {
        series("rate_limited_total", "api", "api-1", class_="read"): reads,
        series("rate_limited_total", "api", "api-2", class_="read"): reads,
        series("rate_limited_total", "api", "api-2", class_="bulk"): others,
    }


def _storm() -> tuple[Case, ...]:
    name, text = "RateLimitStorm", "requests a second of class read in main are over their limit"
    where = {"cluster": CLUSTER, "class": "read"}
    burst = _refusals("0x9 2250x20")
    given = _refusals("0x1 0+315x20", others="0+60x20")
    return (
        *fires_when_due(name, "just above ten a second", given, Firing(summary=f"10.5 {text}", labels=where), due="9m"),
        *silent(name, "ten a second", _refusals("0+300x20"), at="20m"),
        *fires(name, "in a burst", burst, Firing(summary=f"15 {text}", labels=where), at="14m"),
        *silent(name, "the burst is over", burst, at="16m"),
    )


def _by_itself() -> tuple[Case, ...]:
    given = {
        series("rate_limiter_degraded", "api", "api-1"): "0x2 1x10",
        series("rate_limiter_degraded", "api", "api-2"): "0x20",
    }
    firing = Firing(summary="api-1 of the API in main counts its rate limits by itself", labels=ONE)
    return fires_when_due("RateLimiterDegraded", "one of two processes", given, firing, due="8m")


CASES: tuple[Case, ...] = (
    *_down(),
    *_none_ready(),
    *_not_ready(),
    *_balancer_down(),
    *_error_rate(),
    *_slow_answers(),
    *_remote_calls(),
    *_storm(),
    *_by_itself(),
)
