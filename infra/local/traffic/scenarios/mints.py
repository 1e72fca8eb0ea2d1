"""Mints, good and bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.traffic.desk import GIFT, Unavailable
from infra.local.traffic.scenarios.basics import (
    BAD_AMOUNTS,
    FOREIGN,
    VALID,
    Scenario,
    carrier,
    fields,
    follow_with,
    fresh_ticker,
    inscribe,
    new_ticker,
    part,
    put,
    spell,
    written,
)
from infra.local.traffic.scenarios.transfers import payload
from infra.local.traffic.tx import SINGLE_ANYONECANPAY, Output, Spend

if TYPE_CHECKING:
    from infra.local.traffic.desk import Desk


def _payload(desk: Desk, ticker: str, units: int) -> bytes:
    return payload(desk, ticker, units, "mint")


def _good(desk: Desk) -> bytes:
    ticker, deploy = desk.deploy(mintable=True)
    return _payload(desk, ticker, part(desk, deploy.mintable))


def mint(desk: Desk) -> None:
    """Play a mint within the limit and the supply."""
    inscribe(desk, desk.party(), _good(desk), desk.party())


def limit_exactly(desk: Desk) -> None:
    """Take all that one mint may take."""
    ticker, deploy = desk.deploy(mintable=True)
    inscribe(desk, desk.party(), _payload(desk, ticker, deploy.mintable), desk.party())


def nothing(desk: Desk) -> None:
    """Play a mint of zero: allowed."""
    ticker, _ = desk.deploy(mintable=True)
    inscribe(desk, desk.party(), _payload(desk, ticker, 0), desk.party())


def by_the_nameless(desk: Desk) -> None:
    """Let somebody without an address pay for a mint."""
    inscribe(desk, desk.nameless(), _good(desk), desk.party())


def behind_a_foreign_note(desk: Desk) -> None:
    """Put the recipient behind the first OP_RETURN, even a foreign one."""
    note = carrier(desk, _good(desk))
    outputs = [Output(0, FOREIGN), desk.gift(desk.party()), note, desk.gift(desk.party())]
    follow_with(desk, desk.party(), outputs)


def signed_like_a_seller(desk: Desk) -> None:
    """Play a mint signed SINGLE|ANYONECANPAY: the marketplace rules are not for mints."""
    sender = desk.party()
    outputs = [carrier(desk, _good(desk)), desk.gift(desk.party())]
    desk.send([Spend(desk.take(sender), SINGLE_ANYONECANPAY)], outputs, sender)


def with_its_deploy(desk: Desk) -> None:
    """Play a deploy and a mint of it in one block, in this order."""
    ticker = fresh_ticker(desk)
    inscribe(desk, desk.party(), spell(desk, fields("deploy", ticker, m="1000", l="100")), desk.party())
    inscribe(desk, desk.party(), spell(desk, fields("mint", ticker, amt="100")), desk.party())


def before_its_deploy(desk: Desk) -> None:
    """Play a mint and only then the deploy, in one block."""
    ticker = fresh_ticker(desk)
    inscribe(desk, desk.party(), spell(desk, fields("mint", ticker, amt="1")), desk.party())
    inscribe(desk, desk.party(), spell(desk, fields("deploy", ticker, m="1000", l="100")), desk.party())


def over_the_limit(desk: Desk) -> None:
    """Ask for a little, or far, above the limit per mint."""
    ticker, deploy = desk.deploy(mintable=True)
    inscribe(
        desk,
        desk.party(),
        _payload(desk, ticker, (deploy.limit or 0) + desk.rng.choice([1, 10**8, 10**20])),
        desk.party(),
    )


def over_the_supply(desk: Desk) -> None:
    """Stay within the limit, but above what is left: rejected whole."""
    rows = [
        (tick, deploy) for tick, deploy in sorted(desk.ledger.deploys.items()) if deploy.mintable < (deploy.limit or 0)
    ]
    if not rows:
        raise Unavailable("no ticker is nearly used up")
    ticker, deploy = desk.rng.choice(rows)
    units = desk.rng.randint(deploy.mintable + 1, deploy.limit or 0)
    inscribe(desk, desk.party(), _payload(desk, ticker, units), desk.party())


def not_deployed(desk: Desk) -> None:
    """Play a ticker that nobody deployed, a reserved one, or one with a pattern character in place of a letter."""
    tickers = [new_ticker(desk), "y" + new_ticker(desk), "%", "_", new_ticker(desk) + "%"]
    body = fields("mint", desk.rng.choice(tickers), amt=desk.rng.choice(["1", "bad"]))
    inscribe(desk, desk.party(), spell(desk, body), desk.party())


def to_nobody(desk: Desk) -> None:
    """Leave no output behind the OP_RETURN, another OP_RETURN, or a script without an address."""
    payload, sender = _good(desk), desk.party()
    match desk.rng.randrange(3):
        case 0:
            inscribe(desk, sender, payload, None)
        case 1:
            follow_with(desk, sender, [carrier(desk, payload), Output(0, FOREIGN), desk.gift(desk.party())])
        case _:
            put(desk, sender, carrier(desk, payload), desk.nameless())


def behind_a_foreign_note_to_nobody(desk: Desk) -> None:
    """Play a foreign OP_RETURN first, and nobody behind that one."""
    note = carrier(desk, _good(desk))
    outputs = [Output(0, FOREIGN), Output(GIFT, desk.nameless().script), note, desk.gift(desk.party())]
    follow_with(desk, desk.party(), outputs)


def bad_amount(desk: Desk) -> None:
    """Play an amount that is none, or none at all."""
    ticker, _ = desk.deploy()
    more = desk.rng.choice([*({"amt": value} for value in BAD_AMOUNTS), {}, {"amount": "1"}])
    inscribe(desk, desk.party(), spell(desk, fields("mint", written(desk, ticker), **more)), desk.party())


def without_limit(desk: Desk) -> None:
    """Play a ticker whose deploy named no limit."""
    tickers = [tick for tick, deploy in sorted(desk.ledger.deploys.items()) if deploy.limit is None]
    if not tickers:
        raise Unavailable("every ticker has a limit")
    inscribe(desk, desk.party(), _payload(desk, desk.rng.choice(tickers), 1), desk.party())


SCENARIOS = (
    Scenario("mint", 24, mint, VALID),
    Scenario("mint limit exactly", 4, limit_exactly, VALID),
    Scenario("mint nothing", 0.5, nothing, VALID),
    Scenario("mint by the nameless", 1, by_the_nameless, VALID),
    Scenario("mint behind a foreign note", 1.5, behind_a_foreign_note, VALID),
    Scenario("mint signed like a seller", 1, signed_like_a_seller, VALID),
    Scenario("mint with its deploy", 1.5, with_its_deploy, VALID),
    Scenario("mint before its deploy", 1, before_its_deploy, ("", "TICKER_NOT_DEPLOYED")),
    Scenario("mint over the limit", 2, over_the_limit, ("EXCEEDS_MINT_LIMIT",)),
    Scenario("mint over the supply", 3, over_the_supply, ("EXCEEDS_MAX_SUPPLY",)),
    Scenario("mint not deployed", 2, not_deployed, ("TICKER_NOT_DEPLOYED",)),
    Scenario("mint to nobody", 2, to_nobody, ("NO_STANDARD_OUTPUT",)),
    Scenario("mint behind a foreign note to nobody", 0.5, behind_a_foreign_note_to_nobody, ("NO_STANDARD_OUTPUT",)),
    Scenario("mint bad amount", 2, bad_amount, ("INVALID_AMOUNT",)),
    Scenario("mint without limit", 1, without_limit, ("INVALID_OPERATION",)),
)
