"""A line of an estimate, and the book that lines are written into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.cloud.cost.usage import HOURS

if TYPE_CHECKING:
    from infra.cloud.cost.prices import Prices


@dataclass(frozen=True, kw_only=True)
class Line:
    """What of something a tier uses in a month: `quantity` units at `price` US dollars each."""

    tier: str
    what: str
    quantity: float
    unit: str
    price: float
    is_derived: bool = False
    when_scaled: bool = False

    @property
    def usd(self) -> float:
        """US dollars a month."""
        return self.quantity * self.price


@dataclass
class Book:
    """Lines of one region, at its prices."""

    prices: Prices
    region: str
    lines: list[Line] = field(default_factory=list)

    def add(  # noqa: PLR0913 - a line's parts
        self, tier: str, what: str, name: str, quantity: float, *, region: str = "", when_scaled: bool = False
    ) -> None:
        """Write a line at the price of that name, of another region where one is given; raises PriceError."""
        where = region or self.region
        line = Line(
            tier=tier,
            what=what,
            quantity=quantity,
            unit=self.prices.price(name, where).unit,
            price=self.prices.usd(name, where),
            is_derived=self.prices.is_derived(name, where),
            when_scaled=when_scaled,
        )
        self.lines.append(line)

    def hosts(  # noqa: PLR0913 - as above
        self, tier: str, what: str, kind: str, number: int, disk_gb: float, *, when_scaled: bool = False
    ) -> None:
        """Write hosts that run all month, and their disks, of `disk_gb` each together."""
        self.add(tier, f"{number} x {what}, {kind}", f"ec2.{kind}", number * HOURS, when_scaled=when_scaled)
        self.add(tier, f"disks of {what}", "ebs.gp3", number * disk_gb, when_scaled=when_scaled)
