"""Deploys, good and bad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.local.traffic.scenarios.basics import (
    BAD_AMOUNTS,
    VALID,
    Scenario,
    fields,
    fresh_ticker,
    inscribe,
    new_ticker,
    spell,
    written,
)

if TYPE_CHECKING:
    from infra.local.traffic.desk import Desk

_PREFIXES = (
    "\u00e9",
    "stra\u00dfe",
    "\U0001f355",
    "\u7c73",
    " a ",
    "100%",
    "_",
    "a;b",
    "back\\slash",
    "two\nlines",
    '"q"',
)


def _deploy(desk: Desk, ticker: str, **more: object) -> None:
    sender = desk.party()
    inscribe(desk, sender, spell(desk, fields("deploy", ticker, **more)), desk.party())


def _supply(desk: Desk) -> dict[str, Any]:
    """Return a limit per mint and a maximum that is used up soon, or never."""
    limit = desk.rng.choice(["1", "10", "1000", "0.5", "99.99999999"])
    maximum = desk.rng.choice(["7", "21", "2500", "21000000", "21000000.00000001"])
    return {"m": maximum, "l": limit}


def deploy(desk: Desk) -> None:
    """Play a ticker that can be minted."""
    _deploy(desk, fresh_ticker(desk), **_supply(desk))


def without_limit(desk: Desk) -> None:
    """Play a ticker that nobody can ever mint."""
    more = desk.rng.choice([{}, {"l": None}])
    _deploy(desk, fresh_ticker(desk), m="1000", **more)


def odd_name(desk: Desk) -> None:
    """Play a ticker in other scripts, with white space, or with characters that databases treat specially."""
    _deploy(desk, fresh_ticker(desk, desk.rng.choice(_PREFIXES)), **_supply(desk))


def odd_supply(desk: Desk) -> None:
    """Play a maximum of zero, or a limit above the maximum: allowed."""
    _deploy(
        desk,
        fresh_ticker(desk),
        **desk.rng.choice([{"m": "0", "l": "1"}, {"m": "5", "l": "100"}, {"m": "9" * 30, "l": "0"}]),
    )


def yield_ticker(desk: Desk) -> None:
    """Play a ticker reserved for yield tokens: recorded, creates nothing."""
    _deploy(desk, desk.rng.choice("yY") + new_ticker(desk), **desk.rng.choice([_supply(desk), {"m": "bad"}, {}]))


def by_the_nameless(desk: Desk) -> None:
    """Play a deployer without an address, or no output behind the OP_RETURN: a deploy has no output rule."""
    sender = desk.rng.choice([desk.nameless(), desk.party()])
    inscribe(desk, sender, spell(desk, fields("deploy", fresh_ticker(desk), **_supply(desk))), None)


def duplicate(desk: Desk) -> None:
    """Play a ticker that exists, mostly in another spelling, mostly with other numbers."""
    ticker, _ = desk.deploy()
    _deploy(desk, written(desk, ticker), **desk.rng.choice([_supply(desk), {"m": "x"}, {}]))


def race(desk: Desk) -> None:
    """Send two deploys of one ticker in one block: the first wins."""
    ticker = fresh_ticker(desk)
    _deploy(desk, ticker, **_supply(desk))
    _deploy(desk, ticker.upper(), **_supply(desk))


def bad_maximum(desk: Desk) -> None:
    """Play a maximum that is no amount, is missing, or stands in the field that other protocols use."""
    more = desk.rng.choice([*({"m": value} for value in BAD_AMOUNTS), {}, {"max": "1000", "lim": "10"}])
    _deploy(desk, new_ticker(desk), **{"l": "10", **more})


def bad_limit(desk: Desk) -> None:
    """Play a limit that is no amount (null counts as absent, so it is left out)."""
    _deploy(desk, new_ticker(desk), m="1000", l=desk.rng.choice([value for value in BAD_AMOUNTS if value is not None]))


SCENARIOS = (
    Scenario("deploy", 9, deploy, VALID),
    Scenario("deploy without limit", 1, without_limit, VALID),
    Scenario("deploy odd name", 2, odd_name, VALID),
    Scenario("deploy odd supply", 1, odd_supply, VALID),
    Scenario("deploy yield ticker", 1, yield_ticker, VALID),
    Scenario("deploy by the nameless", 1, by_the_nameless, VALID),
    Scenario("deploy duplicate", 2, duplicate, ("TICKER_ALREADY_EXISTS",)),
    Scenario("deploy race", 1, race, ("", "TICKER_ALREADY_EXISTS")),
    Scenario("deploy bad maximum", 1.5, bad_maximum, ("INVALID_AMOUNT",)),
    Scenario("deploy bad limit", 1, bad_limit, ("INVALID_AMOUNT",)),
)
