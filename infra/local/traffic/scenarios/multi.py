"""Transactions with several transfer steps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from infra.local.traffic.desk import FEE, Unavailable
from infra.local.traffic.scenarios.basics import (
    BAD_AMOUNTS,
    NO_ROW,
    VALID,
    Scenario,
    amount,
    fields,
    follow_with,
    part,
    written,
)
from infra.local.traffic.tx import SINGLE_ANYONECANPAY, Output, Spend, op_return

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.local.traffic.desk import Desk
    from infra.local.traffic.wallet import Party

_TOO_MUCH = 10**28


def _step(desk: Desk, ticker: str, amt: object) -> Output:
    """Return a step's OP_RETURN; its JSON has no spaces, or it would be no step."""
    body = fields("transfer", written(desk, ticker), amt=amt)
    return Output(0, op_return(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()))


def _interleave(desk: Desk, sender: Party, steps: Sequence[Output]) -> list[Output]:
    return [output for step in steps for output in (step, desk.gift(desk.party(sender)))]


def _shares(desk: Desk) -> tuple[str, Party, list[int]]:
    """Return two to four parts that one balance covers."""
    ticker, sender, held = desk.holder()
    count = desk.rng.randint(2, 4)
    return ticker, sender, [part(desk, held // count) for _ in range(count)]


def _steps(desk: Desk, ticker: str, shares: Sequence[int]) -> list[Output]:
    return [_step(desk, ticker, amount(desk, share)) for share in shares]


def multi(desk: Desk) -> None:
    """Take every step within the balance."""
    ticker, sender, shares = _shares(desk)
    follow_with(desk, sender, _interleave(desk, sender, _steps(desk, ticker, shares)))


def signed_like_a_seller(desk: Desk) -> None:
    """Sign like a seller: the marketplace rules are not for multi-transfers."""
    ticker, sender, shares = _shares(desk)
    outputs = _interleave(desk, sender, _steps(desk, ticker, shares))
    desk.send([Spend(desk.take(sender), SINGLE_ANYONECANPAY)], outputs, sender)


def mixed_tickers(desk: Desk) -> None:
    """Mix in another ticker, or a step that can't be read."""
    ticker, sender, shares = _shares(desk)
    other = Output(0, op_return(b'{"p":"brc-20","op":"transfer","tick":' + desk.rng.choice([b'"other"}', b'"']) + b" "))
    steps = [*_steps(desk, ticker, shares[1:]), other]
    desk.rng.shuffle(steps)
    follow_with(desk, sender, _interleave(desk, sender, steps))


def out_of_position(desk: Desk) -> None:
    """Play a payment in front, so every step stands one too far."""
    ticker, sender, shares = _shares(desk)
    outputs = _interleave(desk, sender, _steps(desk, ticker, shares))
    follow_with(desk, sender, [desk.gift(desk.party()), *outputs])


def last_receiver_missing(desk: Desk) -> None:
    """Leave nothing behind the last step."""
    ticker, sender, shares = _shares(desk)
    outputs = _interleave(desk, sender, _steps(desk, ticker, shares))[:-1]
    coin = desk.take(sender)
    rest = coin.value - sum(output.value for output in outputs) - FEE
    if rest < 0:
        raise Unavailable("the coin is too small")
    desk.send([Spend(coin)], [outputs[0], desk.gift(sender, outputs[1].value + rest), *outputs[2:]], None)


def runs_out(desk: Desk) -> None:
    """Ask too much in the second step: it and all behind it fail, the first stays."""
    ticker, sender, shares = _shares(desk)
    shares = [shares[0], _TOO_MUCH, *shares[1:]]
    follow_with(desk, sender, _interleave(desk, sender, _steps(desk, ticker, shares)))


def one_bad_amount(desk: Desk) -> None:
    """Play a step whose amount is none is skipped, the others go on."""
    ticker, sender, shares = _shares(desk)
    steps = _steps(desk, ticker, shares)
    steps[desk.rng.randrange(len(steps))] = _step(desk, ticker, desk.rng.choice(BAD_AMOUNTS))
    follow_with(desk, sender, _interleave(desk, sender, steps))


def one_nameless_receiver(desk: Desk) -> None:
    """Play a step whose receiver has no address is skipped, the others go on."""
    ticker, sender, shares = _shares(desk)
    outputs = _interleave(desk, sender, _steps(desk, ticker, shares))
    outputs[1 + 2 * desk.rng.randrange(len(shares))] = desk.gift(desk.nameless())
    follow_with(desk, sender, outputs)


def not_deployed(desk: Desk) -> None:
    """Take every step of a ticker that nobody deployed."""
    sender = desk.party()
    follow_with(desk, sender, _interleave(desk, sender, _steps(desk, f"none{desk.height}", [1, 2])))


def by_the_nameless(desk: Desk) -> None:
    """Play a sender without an address."""
    ticker, _ = desk.deploy()
    sender = desk.nameless()
    follow_with(desk, sender, _interleave(desk, sender, _steps(desk, ticker, [0, 1])))


def with_spaces(desk: Desk) -> None:
    """Write two transfers with spaces: no steps, so two operations, so nothing."""
    ticker, sender, shares = _shares(desk)
    bodies = [json.dumps(fields("transfer", ticker, amt=amount(desk, share))).encode() for share in shares]
    follow_with(desk, sender, _interleave(desk, sender, [Output(0, op_return(body)) for body in bodies]))


SCENARIOS = (
    Scenario("multi", 6, multi, VALID),
    Scenario("multi signed like a seller", 0.7, signed_like_a_seller, VALID),
    Scenario("multi mixed tickers", 1, mixed_tickers, ("MULTI_TRANSFER_MIXED_TICKERS",)),
    Scenario("multi out of position", 1, out_of_position, ("INVALID_OUTPUT_POSITION",)),
    Scenario("multi last receiver missing", 1, last_receiver_missing, ("NO_RECEIVER_OUTPUT",)),
    Scenario("multi runs out", 1.5, runs_out, ("", "INSUFFICIENT_BALANCE")),
    Scenario("multi one bad amount", 1, one_bad_amount, ("", "INVALID_AMOUNT")),
    Scenario("multi one nameless receiver", 1, one_nameless_receiver, ("", "NO_STANDARD_OUTPUT")),
    Scenario("multi not deployed", 0.7, not_deployed, ("TICKER_NOT_DEPLOYED",)),
    Scenario("multi by the nameless", 0.7, by_the_nameless, ("NO_STANDARD_OUTPUT",)),
    Scenario("multi with spaces", 0.7, with_spaces, NO_ROW),
)
