"""Is the new colour as good as the SLO wants? Counted from the moment that it got its first requests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbooks.deploy import asking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.environment import Environment

# Probes are no users, event streams and bulk lists are meant to last: as alerts/slo.yaml counts.
_USERS = 'endpoint!~"/health.*|/metrics|.*/(events|all)"'
# Among fewer requests than these a share of a few percent is chance.
ENOUGH_FOR_TIMES = 500
# So many errors are borne among few requests: a single one would be a large share.
FEW_ERRORS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What Prometheus has counted of a colour: all grow, but for `processes`, which changes when one is replaced."""

    requests: float
    slow: float
    errors: float
    processes: float

    def fact(self) -> dict[str, float]:
        """Return it as a run keeps it."""
        return {
            "requests": self.requests,
            "slow": self.slow,
            "errors": self.errors,
            "processes": self.processes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a colour has to keep: at least so many requests, of which so large a share may be slow, and may fail."""

    requests: int
    slow_share: float
    error_share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`bad` says why the colour must lose its traffic, `waiting` what is not known yet; both "" for a good one."""

    bad: str
    waiting: str
    words: str


def judge(before: Counters, now: Counters, limits: Limits, *, least: int = 0) -> Verdict:
    """Say how a colour does since `before`; with `least` it has to have answered so many requests."""
    requests, slow, errors = (
        max(0.0, getattr(now, name) - getattr(before, name)) for name in ("requests", "slow", "errors")
    )
    words = f"{requests:.0f} requests, {slow:.0f} over {limits.seconds * 1000:.0f} ms, {errors:.0f} failed"
    if not math.isclose(before.processes, now.processes, abs_tol=1.0):
        return Verdict(f"a process was replaced meanwhile ({words})", "", words)
    if errors > max(FEW_ERRORS, requests * limits.error_share):
        return Verdict(f"too many requests fail: {words}; {100 * limits.error_share:g} % may", "", words)
    if requests >= ENOUGH_FOR_TIMES and slow > requests * limits.slow_share:
        return Verdict(f"it is too slow: {words}; {100 * limits.slow_share:g} % may be", "", words)
    waiting = f"{requests:.0f} of {least} requests" if requests < least else ""
    return Verdict("", waiting, words)


def limits() -> Limits:
    """Return what the service level objectives want."""
    from alerts.slo import slo  # noqa: PLC0415 - a page is shown without YAML

    latency, availability = slo()["api-latency"], slo()["api-availability"]
    return Limits(
        requests=0,
        slow_share=latency.budget,
        error_share=availability.budget,
        seconds=latency.limit_seconds or 0.0,
    )


def count(environment: Environment, colour: str, at_most: float) -> Counters:
    """Return what has been counted of a colour; `at_most` seconds are fast enough. Raises DeployError."""
    ask = _asker(environment)
    of = f'{_labels(environment.metrics.labels)}colour="{colour}"'
    server = f'{_labels(environment.metrics.labels)}proxy="api",server=~".+-{colour}"'
    requests = ask(f"sum(http_request_duration_seconds_count{{{of},{_USERS}}})")
    fast = ask(f'sum(http_request_duration_seconds_bucket{{{of},{_USERS},le="{at_most:g}"}})')
    failed = ask(f'sum(haproxy_server_http_responses_total{{{server},code="5xx"}})')
    broken = ask(f"sum(haproxy_server_connection_errors_total{{{server}}})")
    cut = ask(f"sum(haproxy_server_response_errors_total{{{server}}})")
    started = ask(f"sum(process_start_time_seconds{{{of}}})")
    return Counters(requests=requests, slow=requests - fast, errors=failed + broken + cut, processes=started)


def seen(environment: Environment, colour: str) -> int:
    """Return how many processes of a colour Prometheus sees. Raises DeployError."""
    return int(_asker(environment)(f'count(up{{{_labels(environment.metrics.labels)}colour="{colour}"}} == 1)'))


def _asker(environment: Environment) -> Callable[[str], float]:
    def ask(expression: str) -> float:
        found = asking.value(environment, expression)
        return 0.0 if math.isnan(found) else found

    return ask


def _labels(labels: Mapping[str, str]) -> str:
    return "".join(f'{name}="{value}",' for name, value in labels.items())
