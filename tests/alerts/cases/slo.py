"""Burn-rate alerts, from shares of what was bad and from budgets; `slo_recorded` shows that these are recorded so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.alerts.case import Case, Firing
from tests.alerts.objectives import ALL, MINUTES, Objective, of

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Tier:
    """A row of the table, written a second time: tier, windows, factor; minutes that it holds and between samples."""

    tier: str
    long: str
    short: str
    factor: float
    hold: int
    step: int


TIERS = (
    Tier("1", "1h", "5m", 14.4, 2, 1),
    Tier("2", "6h", "30m", 6, 15, 5),
    Tier("3", "1d", "2h", 3, 60, 15),
    Tier("4", "3d", "6h", 1, 180, 30),
)


def spoken(seconds: float) -> str:
    """Return a duration as Prometheus's templates say it."""
    minutes, hours, days = seconds / 60, seconds / 3600, int(seconds // 86_400)
    return (f"{days}d " if days else "") + f"{int(hours % 24)}h {int(minutes % 60)}m {int(seconds % 60)}s"


# --- the alerts, from shares and budgets -----------------------------------------------------------------------------
def alerting(objective: Objective, tier: Tier) -> Iterator[Case]:
    """Yield the cases of one tier: what it fires at, and the nearest in which it must not."""
    limit = round(objective.budget * tier.factor, 9)
    above = round(limit * 1.05, 9)
    other = next(each for each in ALL if each != objective and each.of_requests == objective.of_requests)
    # Of moments a tier knows nothing before it knows its long window.
    known = 0 if objective.of_requests else MINUTES[tier.long]

    def case(
        title: str,
        *,
        long: float = above,
        short: float = above,
        rate: float = 0.1,
        minutes: int = 2 * tier.hold,
        left: float = 0.5,
        at: Objective = objective,
        text: str = "",
    ) -> Case:
        burning = {
            of(at, f"slo:bad:ratio_rate{tier.long}"): long,
            of(at, f"slo:bad:ratio_rate{tier.short}"): short,
            of(at, "slo:bad:ratio_rate30d"): (1 - left) * at.budget,
            of(other, f"slo:bad:ratio_rate{tier.long}", "second"): 0.9,
            of(other, f"slo:bad:ratio_rate{tier.short}", "second"): 0.9,
        }
        if objective.of_requests:
            burning[of(at, f"slo:total:rate{tier.short}")] = rate
            burning[of(other, f"slo:total:rate{tier.short}", "second")] = 50
        else:
            burning[of(at, "slo:bad:moments30m")] = 0
            burning[of(other, "slo:bad:moments30m", "second")] = 0
        speed = f"{objective.title}: over {tier.long} its error budget burns {long / objective.budget:.4g} times"
        labels = {"cluster": "main", "tier": tier.tier}
        return Case(
            title=f"{objective.alert}, tier {tier.tier}: {title}",
            alert=objective.alert,
            series={name: f"{value!r}x{(known + minutes) // tier.step + 1}" for name, value in burning.items()},
            at=f"{known + minutes}m",
            firing=(Firing(summary=f"{speed} as fast as it may: {text}", labels=labels),) if text else (),
            interval=f"{tier.step}m",
        )

    ends = spoken(0.5 * 30 * 86_400 * objective.budget / above)
    left = f"50% of the budget of 30d is left and ends in {ends} at this rate"
    yield case("fires when it has lasted, at the least traffic", minutes=tier.hold, text=left)
    yield case("is silent a sample before", minutes=tier.hold - tier.step)
    yield case("says that the budget is spent", left=0.0, text="the budget of 30d is spent")
    yield case("is silent where the long window is at the limit", long=limit)
    yield case("is silent where the short window is at the limit", short=limit)
    yield case("is silent where only the long window burns", short=0.0)
    yield case("is silent where only the short window burns", long=0.0)
    yield case("is silent where another objective burns", at=other)
    if objective.of_requests:
        yield case("is silent below the least traffic", rate=0.095)


# --- budgets, from shares --------------------------------------------------------------------------------------------
def budgets(objective: Objective) -> Case:
    """Return the case of an objective's budget: a quarter is spent."""
    hour = {"1h": 10.0, "6h": 5.0, "1d": 2.0, "3d": 0.5}
    shares = {of(objective, f"slo:bad:ratio_rate{window}"): speed * objective.budget for window, speed in hour.items()}
    month = {of(objective, "slo:bad:ratio_rate30d"): objective.budget / 4}
    return Case(
        title=f"{objective.alert}: a quarter of the budget is spent",
        alert=objective.alert,
        series={name: f"{value!r}x1" for name, value in (shares | month).items()},
        at="1m",
        recorded={of(objective, "slo:budget_remaining:ratio"): 0.75}
        | {
            of(objective, "slo:budget_exhaustion:seconds", window=window): 0.75 * 30 * 86_400 / speed
            for window, speed in hour.items()
        },
    )


CASES = (
    *(case for objective in ALL for tier in TIERS for case in alerting(objective, tier)),
    *(budgets(objective) for objective in ALL),
)
