"""What all scenarios share: how a payload is spelled, and how it is put into a transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from infra.local.traffic.desk import FEE, GIFT, Unavailable
from infra.local.traffic.keys import OP_TRUE
from infra.local.traffic.tokens import UNIT
from infra.local.traffic.tx import Output, Spend, op_return

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from infra.local.traffic.desk import Desk
    from infra.local.traffic.wallet import Party

VALID = ("",)
NO_ROW: tuple[str, ...] = ()
FOREIGN = op_return(b"a note that is nobody's business")
# No string here is wholly an amount; the JSON values after them are no strings.
BAD_AMOUNTS: tuple[Any, ...] = (
    "1e3", "0.123456789", "", " 1", "1 ", "-1", "+1", "1.", ".5", "1,5", "0x10", "\u0661", "1\n", "NaN", "1" + "0" * 30,
    5, 1.5, True, [1], {"n": "1"}, None,
)  # fmt: skip
_WORDS = ("ordi", "sats", "meme", "pepe", "rats", "cats", "dogs", "moon", "gold", "fish", "x", "tea", "oak")
# So many tickers are plenty to look at; more would make an endless run ever slower.
_ENOUGH_TICKERS = 400
_STYLES = ("minimal", "minimal", "minimal", "pushdata1", "pushdata2", "pushdata4")


@dataclass(frozen=True, slots=True)
class Scenario:
    """Play a named thing that people do on the chain.

    `weight` is its share of the traffic, `expect` the error codes that the rows it leaves may have ("" is a valid
    row; an empty tuple means that no row may be left).
    """

    name: str
    weight: float
    play: Callable[[Desk], None]
    expect: tuple[str, ...]


def fields(operation: str, ticker: str, **more: object) -> dict[str, Any]:
    """Return the fields of an operation."""
    return {"p": "brc-20", "op": operation, "tick": ticker, **more}


def spell(desk: Desk, body: dict[str, Any]) -> bytes:
    """Return the JSON of a body in one of the ways that people write it."""
    rng = desk.rng
    keys = list(body)
    if rng.random() < 0.3:
        rng.shuffle(keys)
    separators = rng.choice([(",", ":"), (",", ":"), (", ", ": ")])
    text = json.dumps({key: body[key] for key in keys}, ensure_ascii=rng.random() < 0.3, separators=separators)
    return (rng.choice(["", "", "", " ", "\n"]) + text + rng.choice(["", "", "", " ", "\r\n"])).encode()


def amount(desk: Desk, units: int) -> str:
    """Return the text of an amount, now and then with zeros that change nothing."""
    text = f"{Decimal(units) / UNIT:.8f}"
    if desk.rng.random() < 0.8:
        text = text.rstrip("0").rstrip(".")
    return "00" + text if desk.rng.random() < 0.05 else text


def written(desk: Desk, ticker: str) -> str:
    """Return another spelling of the same ticker."""
    lower = ticker.lower()
    return lower if desk.rng.random() < 0.6 and lower.upper() == ticker else ticker


def new_ticker(desk: Desk, prefix: str = "") -> str:
    """Return a ticker, as one would write it, that nobody has deployed."""
    for _ in range(100):
        ticker = f"{prefix}{desk.rng.choice(_WORDS)}{desk.rng.randrange(10_000) or ''}"
        if ticker.upper() not in desk.ledger.deploys:
            return ticker
    raise Unavailable("no ticker is left")


def fresh_ticker(desk: Desk, prefix: str = "") -> str:
    """Return a ticker to deploy; seldom one where there are plenty already."""
    if len(desk.ledger.deploys) >= _ENOUGH_TICKERS and desk.rng.random() < 0.99:
        raise Unavailable("enough tickers")
    return new_ticker(desk, prefix)


def part(desk: Desk, units: int) -> int:
    """Return a part of `units`, at least one, now and then all."""
    if units < 1:
        raise Unavailable("there is nothing to take a part of")
    if desk.rng.random() < 0.15:
        return units
    # Whole tokens mostly, fractions too.
    chosen = desk.rng.randint(1, units)
    return chosen - chosen % UNIT if chosen > UNIT and desk.rng.random() < 0.6 else chosen


def carrier(desk: Desk, payload: bytes) -> Output:
    """Return an OP_RETURN output for the payload, in any push style that indexers must read."""
    style = desk.rng.choice(_STYLES)
    if style == "pushdata1" and len(payload) > 0xFF:
        style = "minimal"
    # Bytes behind the first push mean nothing.
    after = b"\x04more" + OP_TRUE if desk.rng.random() < 0.05 else b""
    return Output(0, op_return(payload, style, after=after))


def inscribe(desk: Desk, sender: Party, payload: bytes, to: Party | None) -> bytes:
    """Send a transaction of `sender` that carries the payload, its recipient `to` right behind it; return the id."""
    return put(desk, sender, carrier(desk, payload), to)


def put(desk: Desk, sender: Party, note: Output, to: Party | None) -> bytes:
    """Send a transaction with any OP_RETURN output; without `to` it is the last output, so nobody receives."""
    coin = desk.take(sender)
    lead = [desk.gift(desk.party()) for _ in range(desk.rng.choice([0, 0, 0, 1, 2]))]
    if to is not None:
        return desk.send([Spend(coin)], [*lead, note, desk.gift(to)], sender)
    rest = Output(coin.value - FEE - GIFT * len(lead), sender.script)
    return desk.send([Spend(coin)], [*lead, rest, note], None)


def follow_with(desk: Desk, sender: Party, outputs: Sequence[Output]) -> bytes:
    """Send a transaction of `sender` with exactly these outputs and the change behind them."""
    return desk.send([Spend(desk.take(sender))], outputs, sender)
