"""The estimate: settings to lines, a tier after the other, as the program makes them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.cloud.cost import running, storing
from infra.cloud.cost.lines import Book, Line
from infra.cloud.cost.usage import usual

if TYPE_CHECKING:
    from infra.cloud.cost.prices import Prices
    from infra.cloud.cost.usage import Usage
    from infra.cloud.settings import Settings

# In the order in which the program makes them.
TIERS = (
    running.keys,
    running.network,
    running.secrets,
    storing.backups,
    storing.database,
    running.cache,
    running.balancer,
    running.names,
    running.node,
    running.indexers,
    running.monitoring,
    running.alarms,
)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A stack's month. `lines` is what it costs as it stands, `scaled` what comes on top once scaled out."""

    region: str
    lines: tuple[Line, ...]
    scaled: tuple[Line, ...]

    @property
    def total(self) -> float:
        """US dollars a month, as it stands."""
        return sum(line.usd for line in self.lines)

    @property
    def most(self) -> float:
        """US dollars a month, scaled out all the time."""
        return self.total + sum(line.usd for line in self.scaled)

    @property
    def tiers(self) -> dict[str, float]:
        """US dollars a month by tier, in the order of the program."""
        found: dict[str, float] = {}
        for line in self.lines:
            found[line.tier] = found.get(line.tier, 0) + line.usd
        return found

    @property
    def derived(self) -> float:
        """US dollars a month that stand on figures that were worked out, and not published."""
        return sum(line.usd for line in self.lines if line.is_derived)


def estimate(settings: Settings, prices: Prices, usage: Usage | None = None) -> Estimate:
    """Return what a stack costs in a month; raises PriceError where a price is missing."""
    book = Book(prices, settings.region)
    for tier in TIERS:
        tier(book, settings, usage or usual(settings))
    lines = tuple(line for line in book.lines if line.quantity)
    return Estimate(
        region=settings.region,
        lines=tuple(line for line in lines if not line.when_scaled),
        scaled=tuple(line for line in lines if line.when_scaled),
    )
