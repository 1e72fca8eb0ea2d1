"""Single transfers and burns, good and bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.traffic.scenarios.basics import (
    BAD_AMOUNTS,
    FOREIGN,
    VALID,
    Scenario,
    amount,
    carrier,
    fields,
    follow_with,
    inscribe,
    new_ticker,
    part,
    put,
    spell,
    written,
)
from infra.local.traffic.tx import Output

if TYPE_CHECKING:
    from infra.local.traffic.desk import Desk

# Above anything that was ever minted.
_TOO_MUCH = 10**28


def payload(desk: Desk, ticker: str, units: int, operation: str = "transfer") -> bytes:
    """Return the JSON of a transfer, or of another operation that moves an amount."""
    return spell(desk, fields(operation, written(desk, ticker), amt=amount(desk, units)))


def transfer(desk: Desk) -> None:
    """Play a part of what one holds, to somebody else."""
    ticker, sender, held = desk.holder()
    inscribe(desk, sender, payload(desk, ticker, part(desk, held)), desk.party(sender))


def everything(desk: Desk) -> None:
    """Play the whole balance."""
    ticker, sender, held = desk.holder()
    inscribe(desk, sender, payload(desk, ticker, held), desk.party(sender))


def to_oneself(desk: Desk) -> None:
    """Send to oneself: valid, and moves nothing."""
    ticker, sender, held = desk.holder()
    inscribe(desk, sender, payload(desk, ticker, part(desk, held)), sender)


def nothing(desk: Desk) -> None:
    """Send zero, by whoever: valid."""
    ticker, _ = desk.deploy()
    inscribe(desk, desk.party(), payload(desk, ticker, 0), desk.party())


def chain(desk: Desk) -> None:
    """Hand tokens on through three people within one block."""
    ticker, sender, held = desk.holder()
    units = part(desk, held)
    for _ in range(3):
        receiver = desk.party(sender)
        inscribe(desk, sender, payload(desk, ticker, units), receiver)
        sender = receiver


def behind_a_foreign_note(desk: Desk) -> None:
    """Put the recipient behind the first OP_RETURN, even a foreign one."""
    ticker, sender, held = desk.holder()
    note = carrier(desk, payload(desk, ticker, part(desk, held)))
    follow_with(desk, sender, [Output(0, FOREIGN), desk.gift(desk.party(sender)), note, desk.gift(desk.party())])


def too_much(desk: Desk) -> None:
    """Ask for more than was ever minted."""
    ticker, _ = desk.deploy()
    inscribe(desk, desk.party(), payload(desk, ticker, _TOO_MUCH), desk.party())


def twice(desk: Desk) -> None:
    """Play the whole balance spent twice in one block: the first counts."""
    ticker, sender, held = desk.holder()
    for _ in range(2):
        inscribe(desk, sender, payload(desk, ticker, held), desk.party(sender))


def by_the_nameless(desk: Desk) -> None:
    """Play a sender without an address holds nothing and can send nothing."""
    ticker, _ = desk.deploy()
    inscribe(desk, desk.nameless(), payload(desk, ticker, desk.rng.choice([0, 1])), desk.party())


def to_nobody(desk: Desk) -> None:
    """Leave no output behind the OP_RETURN, another OP_RETURN, or a script without an address."""
    ticker, sender, held = desk.holder()
    body = payload(desk, ticker, part(desk, held))
    match desk.rng.randrange(3):
        case 0:
            inscribe(desk, sender, body, None)
        case 1:
            follow_with(desk, sender, [carrier(desk, body), Output(0, FOREIGN), desk.gift(desk.party())])
        case _:
            put(desk, sender, carrier(desk, body), desk.nameless())


def not_deployed(desk: Desk) -> None:
    """Play a ticker that nobody deployed, or a reserved one; a bad amount as well does not matter."""
    ticker = desk.rng.choice(["", "", "y"]) + new_ticker(desk)
    body = fields("transfer", ticker, amt=desk.rng.choice(["0", "1", "bad"]))
    inscribe(desk, desk.party(), spell(desk, body), desk.party())


def bad_amount(desk: Desk) -> None:
    """Play an amount that is none, or none at all."""
    ticker, sender, _ = desk.holder()
    more = desk.rng.choice([*({"amt": value} for value in BAD_AMOUNTS), {}])
    inscribe(desk, sender, spell(desk, fields("transfer", written(desk, ticker), **more)), desk.party())


def burn(desk: Desk) -> None:
    """Burn a part: recorded valid, changes nothing."""
    ticker, sender, held = desk.holder()
    inscribe(desk, sender, payload(desk, ticker, part(desk, held), "burn"), desk.party())


def odd_burn(desk: Desk) -> None:
    """Burn without a balance, a deploy, a good amount or a recipient: still recorded valid."""
    body = fields("burn", new_ticker(desk), amt=desk.rng.choice([*BAD_AMOUNTS, "1"]))
    inscribe(
        desk, desk.rng.choice([desk.party(), desk.nameless()]), spell(desk, body), desk.rng.choice([desk.party(), None])
    )


SCENARIOS = (
    Scenario("transfer", 18, transfer, VALID),
    Scenario("transfer everything", 2, everything, VALID),
    Scenario("transfer to oneself", 2, to_oneself, VALID),
    Scenario("transfer nothing", 0.5, nothing, VALID),
    Scenario("transfer chain", 2, chain, VALID),
    Scenario("transfer behind a foreign note", 1.5, behind_a_foreign_note, VALID),
    Scenario("transfer too much", 2.5, too_much, ("INSUFFICIENT_BALANCE",)),
    Scenario("transfer twice", 1.5, twice, ("", "INSUFFICIENT_BALANCE")),
    Scenario("transfer by the nameless", 1.5, by_the_nameless, ("NO_STANDARD_OUTPUT",)),
    Scenario("transfer to nobody", 2, to_nobody, ("NO_STANDARD_OUTPUT",)),
    Scenario("transfer not deployed", 1.5, not_deployed, ("TICKER_NOT_DEPLOYED",)),
    Scenario("transfer bad amount", 2, bad_amount, ("INVALID_AMOUNT",)),
    Scenario("burn", 2, burn, VALID),
    Scenario("burn odd", 1, odd_burn, VALID),
)
