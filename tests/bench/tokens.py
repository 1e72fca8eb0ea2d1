"""Who holds what of which ticker: enough of the rules to make operations that are valid, or invalid in a known way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from tests.bench.coins import Coin, Lock

UNIT = 10**8
HOLDINGS = 50_000  # who can send: beyond that a new holder takes a random one's place, so that memory is bounded
RECENT = 500
OPEN_TOKENS = 200
MAXIMUM, LIMIT = 2_000_000, 1_000


@dataclass(slots=True)
class Token:
    """A deployed ticker and the units that can still be minted."""

    name: str
    left: int = MAXIMUM * UNIT


@dataclass(slots=True)
class Holding:
    """Units of a ticker that an address has, and a coin by which it can send them."""

    token: str
    units: int
    coin: Coin
    lock: Lock


@dataclass
class Tokens:
    """The tickers that are being minted and the holders that can send."""

    rng: random.Random
    count: int = 0
    open: list[Token] = field(default_factory=list)
    holdings: list[Holding] = field(default_factory=list)

    def deploy(self) -> Token:
        self.count += 1
        token = Token(f"b{self.count:05x}")
        if len(self.open) < OPEN_TOKENS:
            self.open.append(token)
        else:
            self.open[int(self.rng.random() * OPEN_TOKENS)] = token
        return token

    def token(self) -> Token:
        return self.open[int(self.rng.random() * len(self.open))]

    def mint(self, token: Token) -> int:
        """Take units of a ticker out of what is left, replacing the ticker where too little is."""
        units = (1 + int(self.rng.random() * LIMIT)) * UNIT
        if self.rng.random() < 0.2:
            units -= int(self.rng.random() * UNIT)
        token.left -= units
        if token.left < LIMIT * UNIT:
            self.open.remove(token)
        return units

    def hold(self, holding: Holding) -> None:
        if len(self.holdings) < HOLDINGS:
            self.holdings.append(holding)
        else:
            self.holdings[int(self.rng.random() * HOLDINGS)] = holding

    def take(self) -> Holding:
        """Take a holder who sends: every other time one who received lately, else any."""
        count = len(self.holdings)
        span = min(RECENT, count) if self.rng.random() < 0.5 else count
        at = count - 1 - int(self.rng.random() * span)
        holding, self.holdings[at] = self.holdings[at], self.holdings[-1]
        self.holdings.pop()
        return holding

    def anyone(self) -> Lock:
        return self.holdings[int(self.rng.random() * len(self.holdings))].lock


def deploy_payload(token: str) -> bytes:
    return f'{{"p":"brc-20","op":"deploy","tick":"{token}","m":"{MAXIMUM}","l":"{LIMIT}"}}'.encode()


def payload(op: str, token: str, units: int) -> bytes:
    whole, fraction = divmod(units, UNIT)
    amount = f"{whole}.{fraction:08d}" if fraction else str(whole)
    return f'{{"p":"brc-20","op":"{op}","tick":"{token}","amt":"{amount}"}}'.encode()
