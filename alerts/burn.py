"""From the objectives: recording rules, and alerts on how fast a budget burns, over a long and a short window at once.

The long window says that it matters, the short one that it still goes on. A burn rate of 1 spends the budget exactly
in its window; 14.4 spends 2 % of 30 days' budget in an hour, 6 spends 5 % in six hours, 3 spends 10 % in a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from alerts.model import Alert, Group, Record, Severity, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alerts.slo import Objective, Slo

NAME = "slo"
# Windows from here on are read from what was recorded: raw samples of days, of hundreds of series, at every evaluation
# are what Prometheus cannot afford. Rates of tiles side by side lose nothing: their sum is weighted by traffic, as a
# rate over the whole would be. Only the newest tile is up to 30 minutes late; the short windows are not.
RECORDED_FROM: Final = "1d"
TILE: Final = "30m"


@dataclass(frozen=True, slots=True)
class Tier:
    """A speed of burning: the windows over which it is measured, and how long it lasts before somebody is called."""

    tier: str
    severity: Severity
    long: str
    short: str
    factor: float
    hold: str


# The one table of tiers. A slower one holds longer: it has hours, and a short burst ends by itself.
WINDOWS: Final = (
    Tier("1", Severity.CRITICAL, "1h", "5m", 14.4, "2m"),
    Tier("2", Severity.CRITICAL, "6h", "30m", 6, "15m"),
    Tier("3", Severity.WARNING, "1d", "2h", 3, "1h"),
    Tier("4", Severity.WARNING, "3d", "6h", 1, "3h"),
)


def group(slo: Slo) -> Group:
    """Return the rules of all objectives."""
    own = (record for objective in slo.objectives for record in _of_objective(objective, slo.window))
    return Group(
        name=NAME,
        records=(*own, *_shares(slo.window), *_budgets(slo.window)),
        alerts=tuple(_alert(objective, tier, slo.window) for objective in slo.objectives for tier in WINDOWS),
    )


def alert_name(objective: Objective) -> str:
    """Return the name of an objective's alerts: ApiAvailabilityBurn."""
    return "".join(part.capitalize() for part in objective.name.split("-")) + "Burn"


def windows(budget_window: str) -> tuple[str, ...]:
    """Return every window over which shares are recorded, the shortest first."""
    found = {window for tier in WINDOWS for window in (tier.long, tier.short)} | {budget_window}
    return tuple(sorted(found, key=seconds))


def _of_objective(objective: Objective, budget_window: str) -> Iterator[Record]:
    """Yield what differs between objectives: the budget, and what is counted of requests or of moments."""
    labels = (("slo", objective.name),)
    yield Record(record="slo:budget:ratio", expr=f"vector({objective.budget:g})", labels=labels)
    if objective.moment:
        yield Record(record="slo:bad:moment", expr=objective.moment, labels=labels)
        return
    for window in _raw(budget_window):
        total = objective.total.replace("WINDOW", window)
        yield Record(record=f"slo:total:rate{window}", expr=total, labels=labels)
    for window in _raw(budget_window):
        yield Record(record=f"slo:bad:rate{window}", expr=_bad(objective, window), labels=labels)


def _raw(budget_window: str) -> list[str]:
    """Return the windows that are read from samples."""
    return [window for window in windows(budget_window) if seconds(window) < seconds(RECORDED_FROM)]


def _shares(budget_window: str) -> Iterator[Record]:
    """Yield the shares of bad requests, or of bad moments, of all objectives: 0 to 1, NaN without requests."""
    raw = _raw(budget_window)
    yield Record(record=f"slo:bad:moments{TILE}", expr=f"avg_over_time(slo:bad:moment[{TILE}])")
    for window in windows(budget_window):
        if window in raw:
            of_requests = f"slo:bad:rate{window} / slo:total:rate{window}"
            of_moments = f"avg_over_time(slo:bad:moment[{window}])"
        else:
            bad, total = (f"sum_over_time(slo:{each}:rate{TILE}[{window}:{TILE}])" for each in ("bad", "total"))
            of_requests = f"{bad} / {total}"
            of_moments = f"avg_over_time(slo:bad:moments{TILE}[{window}:{TILE}])"
        yield Record(record=_share(window), expr=f"{of_requests} or {of_moments}")


def _budgets(budget_window: str) -> Iterator[Record]:
    """Yield how much of each budget is left (1: all, negative: overspent), and in how many seconds it ends."""
    of = "on (slo) group_left () slo:budget:ratio"
    yield Record(record="slo:budget_remaining:ratio", expr=f"1 - {_share(budget_window)} / {of}")
    for tier in WINDOWS:
        ends = f"slo:budget_remaining:ratio * <window {budget_window}> * {of} / {_share(tier.long)}"
        yield Record(record="slo:budget_exhaustion:seconds", expr=ends, labels=(("window", tier.long),))


def _share(window: str) -> str:
    return f"slo:bad:ratio_rate{window}"


def _bad(objective: Objective, window: str) -> str:
    """Return the rate of bad requests. Before the first good, or bad, one its series does not exist: that is 0."""
    total = f'slo:total:rate{window}{{slo="{objective.name}"}}'
    found = f"{(objective.bad or objective.good).replace('WINDOW', window)} or on (cluster) {total} * 0"
    return found if objective.bad else f"{total} - on (cluster) ({found})"


def _alert(objective: Objective, tier: Tier, budget_window: str) -> Alert:
    # `and` joins by all labels: what is of other objectives finds no partner, and needs no selector of its own.
    parts = [f'{_share(tier.long)}{{slo="{objective.name}"}}', _share(tier.short)]
    parts = [f"{part} > {limit(objective, tier):g}" for part in parts]
    if objective.moment:
        # After a first start two bad moments are all that is known, and all of them are bad. By the tile, so that
        # half an hour in which nobody looked, a long window ago, silences nothing.
        parts.append(f"slo:bad:moments{TILE} offset {tier.long}")
    else:
        parts.append(f"slo:total:rate{tier.short} >= {objective.minimum_rate:g}")
    return Alert(
        name=alert_name(objective),
        severity=severity(objective, tier),
        team=objective.team,
        expr=" and ".join(parts),
        hold=tier.hold,
        reason=_reason(objective, tier, budget_window),
        summary=_summary(objective, tier, budget_window),
        description=(
            f"Who relies on {objective.title.lower()} of {{{{ $labels.cluster }}}}: the objective is"
            f" {objective.target:g} % of {counted(objective)} in {budget_window}. {objective.reason}"
        ),
        runbook=objective.runbook,
        dashboard=objective.dashboard,
        labels=(("slo", objective.name), ("tier", tier.tier), ("long_window", tier.long)),
    )


def severity(objective: Objective, tier: Tier) -> Severity:
    """Return how severe a tier is for an objective: no more than a warning where that pages nobody."""
    return tier.severity if objective.page else Severity.WARNING


def limit(objective: Objective, tier: Tier) -> float:
    """Return the share of bad requests or moments from which on a budget burns faster than a tier allows."""
    return round(tier.factor * objective.budget, 9)


def counted(objective: Objective) -> str:
    """Return what an objective counts, in words."""
    return "minutes" if objective.moment else "requests"


def spent(tier: Tier, budget_window: str) -> float:
    """Return the share of the budget that is gone when a burn of exactly this tier has lasted its long window."""
    return tier.factor * seconds(tier.long) / seconds(budget_window)


def _reason(objective: Objective, tier: Tier, budget_window: str) -> str:
    guard = (
        f" Silent until {tier.long} are known."
        if objective.moment
        else f" Below {objective.minimum_rate:g} requests/s one error would be a large share."
    )
    return (
        f"{tier.factor:g} times too fast for {tier.long} is {spent(tier, budget_window):.0%} of the budget of"
        f" {budget_window}; {tier.short} says that it still goes on.{guard}"
    )


def _summary(objective: Objective, tier: Tier, budget_window: str) -> str:
    speed = f"printf `vector(%v) / {objective.budget:g}` $value | query"
    return (
        f"{objective.title}: over {tier.long} its error budget burns"
        f" {{{{ with {speed} }}}}{{{{ . | first | value | humanize }}}}{{{{ end }}}} times as fast as it may"
        f"{{{{ with {_asked('remaining:ratio', objective)} }}}}{{{{ $left := . | first | value }}}}"
        f"{{{{ if gt $left 0.0 }}}}: {{{{ $left | humanizePercentage }}}} of the budget of {budget_window} is left"
        f"{{{{ with {_asked('exhaustion:seconds', objective, tier.long)} }}}}"
        " and ends in {{ . | first | value | humanizeDuration }} at this rate{{ end }}"
        f"{{{{ else }}}}: the budget of {budget_window} is spent{{{{ end }}}}{{{{ end }}}}"
    )


def _asked(what: str, objective: Objective, window: str = "") -> str:
    """Return the question, in Prometheus's templates, for the alert's own budget."""
    more = f', window="{window}"' if window else ""
    return f'printf `slo:budget_{what}{{slo="{objective.name}"{more}, cluster=%q}}` $labels.cluster | query'
