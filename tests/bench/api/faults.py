"""What the API needs is taken away and given back while it is asked: what its clients see, second by second."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from tests.bench.api import metrics
from tests.bench.api.bench import SLOW_RATE, TARGETED, warm_up
from tests.bench.api.endpoints import ENDPOINTS, never_asked
from tests.bench.api.figures import begin, finish, quantile
from tests.bench.api.load import Answer, Group, Load
from tests.bench.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.bench.api.bench import Sizes
    from tests.bench.api.load import Answered
    from tests.bench.api.site import Server, Site
    from tests.bench.task import Figures

POPULAR = 100  # addresses of each endpoint that were asked for before
WARMED, NEW, PROBES = range(3)  # the load's groups
SHARES = (0.75, 0.2, 0.05)
PROBED = ("/health", "/health/detailed", "/health/ready")
RECOVERY = 5.0  # seconds that the API may take when a dependency is back
LOOK = 0.05  # seconds between looks at the API's own view
SHORT_WINDOW = 3  # seconds
NOT_OK = ("rate_limiter_degraded", "breaker_state")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is taken away for how long, and how it is given back: `mend` returns when it answers."""

    name: str
    seconds: float
    hurt: Callable[[], None]
    mend: Callable[[], None]
    settings: dict[str, str] = field(default_factory=dict)
    stale_window: float = 300.0  # seconds: the default


@dataclass(frozen=True, slots=True)
class Moments:
    """When what happened, in seconds after the load's start; `well` is when the API's metrics said so, None: never."""

    hurt: float
    back: float
    well: float | None


def faults(site: Site, sizes: Sizes) -> list[Fault]:
    cluster, valkey, node = site.cluster, site.valkey, site.node
    # A window that ends during the outage; entries are renewed often, so that it begins about when the outage does.
    short = {"API_STALE_SECONDS": str(SHORT_WINDOW), "API_CACHE_TTL": "1"}
    longer = sizes.outage + SHORT_WINDOW
    return [
        Fault("Redis killed", sizes.outage, valkey.kill, valkey.start),
        Fault("database killed", sizes.outage, cluster.kill, cluster.start),
        Fault("database killed, short window", longer, cluster.kill, cluster.start, short, SHORT_WINDOW),
        Fault("node hung", sizes.hang, node.hang, node.resume),
    ]


def suffer(site: Site, sizes: Sizes, fault: Fault) -> Figures:
    """Apply a load, take something away under it and give it back; return what its clients saw."""
    site.valkey.restart()  # what an earlier API kept there must not pass for its own
    whole = sizes.around + fault.seconds + RECOVERY + sizes.around
    popular = [path for endpoint in ENDPOINTS for path in endpoint.all_paths(site.shape)[:POPULAR]]
    with site.api(fault.name.replace(" ", "-"), **fault.settings) as server:
        warm_up(server, site, fault.name, popular)
        load = _load(server, site, popular, whole)
        with Progress(f"{fault.name} for {fault.seconds:.0f} s", 1):
            client = begin(load)
            try:
                time.sleep(sizes.around)
                hurt = time.monotonic()
                fault.hurt()
                time.sleep(fault.seconds)
                fault.mend()
                back = time.monotonic()
                well = _well(server)
            finally:
                answered = finish(client, fault.name)
    moments = Moments(
        hurt - answered.started, back - answered.started, None if well is None else well - answered.started
    )
    return outcome(answered, moments) | {
        "asked": SLOW_RATE,
        "outage": back - hurt,
        "stale_window": fault.stale_window,
        "outlasts_window": fault.seconds > fault.stale_window,
    }


def _load(server: Server, site: Site, popular: list[str], seconds: float) -> Load:
    new = never_asked(site.shape, int(SLOW_RATE * seconds))
    groups = [
        Group(popular, share=SHARES[WARMED]),
        Group(new, each_once=True, share=SHARES[NEW]),
        Group(list(PROBED), share=SHARES[PROBES]),
    ]
    return Load(server.port, groups, site.keys, TARGETED, seconds, rate=SLOW_RATE)


def _well(server: Server) -> float | None:
    """Wait until the API's own metrics tell of no trouble; return when that was."""
    deadline = time.monotonic() + RECOVERY + 1
    while time.monotonic() < deadline:
        series = metrics.scrape(server.port)
        if not any(name in NOT_OK and value for (name, _), value in series.items()):
            return time.monotonic()
        time.sleep(LOOK)
    return None


def outcome(answered: Answered, moments: Moments) -> Figures:
    """Return what clients saw: by the second, and summed up."""
    reads = [answer for answer in answered.answers if answer.group != PROBES]
    warmed = [answer for answer in reads if answer.group == WARMED]
    during = [answer for answer in reads if moments.hurt <= answer.due < moments.back]
    return {
        "requests": len(answered.answers),
        "seconds": _by_second(answered.answers, moments),
        "dishonest": _count(answer for answer in answered.answers if _kind(answer) not in HONEST),
        "warmed_failed": _count(answer for answer in warmed if answer.status != HTTPStatus.OK),
        "warmed_stale": sum(answer.is_stale for answer in warmed),
        "oldest": max((answer.age for answer in reads if answer.is_stale), default=0),
        "p95_before": _p95(answer for answer in reads if answer.due < moments.hurt),
        "p95_during": _p95(during),
        "p95_during_warmed": _p95(answer for answer in during if answer.group == WARMED),
        "worst_during": max((answer.seconds for answer in during), default=0.0),
        "answers_well": recovery(reads, moments.back),
        "metrics_well": None if moments.well is None else moments.well - moments.back,
        "idle_drops": answered.idle_drops,
    }


HONEST = ("fresh", "stale", "503")


def _kind(answer: Answer) -> str:
    if answer.status == HTTPStatus.OK:
        return "stale" if answer.is_stale else "fresh"
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        # A probe tells a machine that comes again anyway.
        return "503" if answer.retry_after or answer.group == PROBES else "503 without Retry-After"
    return f"status {answer.status}" if answer.status >= HTTPStatus.CONTINUE else "no answer"


def _by_second(answers: Iterable[Answer], moments: Moments) -> list[Figures]:
    """Return a row for each second: how many answers of which kind to addresses asked before and never asked."""
    rows: dict[int, dict[int, Counter[str]]] = {}
    for answer in answers:
        by_group = rows.setdefault(int(answer.due), {WARMED: Counter(), NEW: Counter(), PROBES: Counter()})
        by_group[answer.group][_kind(answer)] += 1
    return [
        {
            "second": second,
            "is_out": int(moments.hurt) <= second <= int(moments.back),
            "warmed": dict(by_group[WARMED]),
            "new": dict(by_group[NEW]),
            "probes": dict(by_group[PROBES]),
        }
        for second, by_group in sorted(rows.items())
    ]


def recovery(answers: Sequence[Answer], back: float) -> float:
    """Return for how long after `back` there were still answers that were stale or none."""
    last = max((answer.due for answer in answers if _kind(answer) != "fresh"), default=back)
    return max(0.0, last - back)


def _count(answers: Iterable[Answer]) -> dict[str, int]:
    return dict(Counter(_kind(answer) for answer in answers))


def _p95(answers: Iterable[Answer]) -> float:
    return quantile(sorted(answer.seconds for answer in answers), 0.95)
