"""The table of list prices: each with its unit, its source and its regions."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = Path(__file__).parent / "prices.json"
EVERYWHERE = "*"


class PriceError(Exception):
    """There is no such price: a line that says which, and what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(_Part):
    """Where figures are from: of what, whose page decides, how they were seen, on which day."""

    of: str
    address: str
    seen: str
    date: str


class Price(_Part):
    """US dollars for a unit, by region; `derived` are regions whose figure was worked out from another region's."""

    unit: str
    source: str
    derived: tuple[str, ...] = ()
    usd: dict[str, float]


class Prices(_Part):
    """All prices by name, as `ec2.c7g.large`, and their sources."""

    about: tuple[str, ...]
    currency: str
    sources: dict[str, Source]
    prices: dict[str, Price]

    def price(self, name: str, region: str) -> Price:
        """Return a price that a region has; raises PriceError, since no cost at all would be told otherwise."""
        found = self.prices.get(name)
        if found is None or not found.usd.keys() & {region, EVERYWHERE}:
            raise PriceError(
                f"{name}: has no price in {region}; add it to infra/cloud/cost/{TABLE.name}, with its source"
            )
        return found

    def usd(self, name: str, region: str) -> float:
        """Return US dollars for one unit; raises PriceError."""
        found = self.price(name, region).usd
        return found[region] if region in found else found[EVERYWHERE]

    def is_derived(self, name: str, region: str) -> bool:
        """Say whether a figure was worked out, and not published; raises PriceError."""
        return region in self.price(name, region).derived

    @property
    def dates(self) -> tuple[str, ...]:
        """The days on which figures were looked up, the oldest first."""
        return tuple(sorted({each.date for each in self.sources.values()}))


@cache
def table() -> Prices:
    """Return the committed table; raises PriceError where it cannot be used."""
    return read(TABLE)


def read(path: Path) -> Prices:
    """Return the table of a file; raises PriceError."""
    try:
        return parsed(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise PriceError(f"{path.name}: cannot be read: {' '.join(str(error).split())[:200]}") from None


def parsed(values: Mapping[str, Any]) -> Prices:
    """Return a table, its figures checked: a price is more than nothing and has a source; raises PriceError."""
    try:
        found = Prices.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise PriceError(f"prices: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
    for name, price in found.prices.items():
        if price.source not in found.sources:
            raise PriceError(f"prices: {name}: its source {price.source!r} is not among the sources")
        if wrong := [region for region, usd in price.usd.items() if usd <= 0]:
            raise PriceError(f"prices: {name}: costs nothing in {wrong[0]}")
        if unknown := set(price.derived) - price.usd.keys():
            raise PriceError(f"prices: {name}: {min(unknown)} is derived, but has no figure")
    return found
