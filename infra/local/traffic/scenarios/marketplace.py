"""Transfers that a seller signed SINGLE|ANYONECANPAY, for both templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.node.wire import decode_transaction
from infra.local.traffic.desk import GIFT, Unavailable
from infra.local.traffic.keys import Kind
from infra.local.traffic.scenarios.basics import VALID, Scenario, amount, carrier, fields, inscribe, part, spell
from infra.local.traffic.scenarios.transfers import payload
from infra.local.traffic.tx import DEFAULT, SINGLE_ANYONECANPAY, Spend, build

if TYPE_CHECKING:
    from infra.local.traffic.desk import Desk
    from infra.local.traffic.wallet import Party

# One signature in 256 will do.
_TRIES = 3000
_MALFORMED = ("INVALID_MARKETPLACE_TRANSACTION",)


def _offer(desk: Desk, party: Party) -> Spend:
    return Spend(desk.take(party), SINGLE_ANYONECANPAY)


def _seller(desk: Desk) -> tuple[str, Party, int]:
    """Return somebody who already held tokens when the block began (what the block brought can't be sold in it)."""
    for _ in range(8):
        ticker, seller, _ = desk.holder()
        units = desk.ledger.lowest((ticker, seller.script))
        if units:
            return ticker, seller, part(desk, units)
    raise Unavailable("nobody has anything to sell")


def _sell(desk: Desk, spends: list[Spend], ticker: str, units: int, buyer: Party) -> None:
    desk.send(spends, [carrier(desk, payload(desk, ticker, units)), desk.gift(buyer)], buyer)


def sale(desk: Desk) -> None:
    """Sell with two inputs of the seller, both signed as an offer, and two more people: fits either template."""
    ticker, seller, units = _seller(desk)
    buyer = desk.party(seller)
    other = desk.party(seller, buyer)
    spends = [_offer(desk, seller), _offer(desk, seller), Spend(desk.take(buyer)), Spend(desk.take(other))]
    _sell(desk, spends, ticker, units, buyer)


def early_sale(desk: Desk) -> None:
    """Sell with one offer and two more people: the template of the first years."""
    if desk.height >= desk.ledger.marketplace_height:
        raise Unavailable("this template is over")
    _sell_early(desk)


def outdated_sale(desk: Desk) -> None:
    """Play the first years' template when it no longer counts."""
    if desk.height < desk.ledger.marketplace_height:
        raise Unavailable("this template still counts")
    _sell_early(desk)


def _sell_early(desk: Desk) -> None:
    ticker, seller, units = _seller(desk)
    buyer = desk.party(seller)
    spends = [_offer(desk, seller), Spend(desk.take(buyer)), Spend(desk.take(desk.party(seller, buyer)))]
    if desk.rng.random() < 0.3:
        # The offer need not be the seller's own input.
        spends = [Spend(spends[0].coin), Spend(spends[1].coin, SINGLE_ANYONECANPAY), spends[2]]
    _sell(desk, spends, ticker, units, buyer)


def too_few_inputs(desk: Desk) -> None:
    """Play an offer alone, or with one more input."""
    ticker, seller, units = _seller(desk)
    buyer = desk.party(seller)
    more = [Spend(desk.take(buyer))] if desk.rng.random() < 0.5 else []
    _sell(desk, [_offer(desk, seller), *more], ticker, units, buyer)


def too_few_people(desk: Desk) -> None:
    """Bring inputs enough, but from two addresses only (one without an address does not count)."""
    ticker, seller, units = _seller(desk)
    buyer = desk.party(seller)
    fourth = desk.rng.choice([seller, buyer, desk.nameless()])
    spends = [_offer(desk, seller), _offer(desk, seller), Spend(desk.take(buyer)), Spend(desk.take(fourth))]
    _sell(desk, spends, ticker, units, buyer)


def more_than_held(desk: Desk) -> None:
    """Play a well-formed sale of what the seller does not have."""
    ticker, _ = desk.deploy()
    if desk.ledger.is_new(ticker):
        raise Unavailable("sales come before the deploys of their block")
    seller = desk.party()
    buyer = desk.party(seller)
    spends = [_offer(desk, seller), _offer(desk, seller), Spend(desk.take(buyer))]
    _sell(desk, [*spends, Spend(desk.take(desk.party(seller, buyer)))], ticker, 10**28, buyer)


def of_the_same_block(desk: Desk) -> None:
    """Play a sale of what was minted in the same block: sales come first, so the balance is not there yet."""
    ticker, deploy = desk.deploy(mintable=True)
    sellers = [party for party in desk.wallet.addressed if not desk.balance(ticker, party)]
    if not sellers:
        raise Unavailable("everybody holds it already")
    seller = desk.rng.choice(sellers)
    if desk.ledger.is_new(ticker):
        raise Unavailable("sales come before the deploys of their block")
    text = amount(desk, deploy.mintable)
    inscribe(desk, desk.party(), spell(desk, fields("mint", ticker, amt=text)), seller)
    buyer = desk.party(seller)
    spends = [_offer(desk, seller), _offer(desk, seller), Spend(desk.take(buyer))]
    _sell(desk, [*spends, Spend(desk.take(desk.party(seller, buyer)))], ticker, deploy.mintable, buyer)


def looks_like_an_offer(desk: Desk) -> None:
    """Play a Schnorr signature of 64 bytes that ends in 0x83 by chance has no sighash byte: an ordinary transfer."""
    ticker, seller, units = desk.holder()
    if seller.kind is not Kind.P2TR:
        raise Unavailable("only taproot signatures can")
    coin, buyer = desk.take(seller), desk.party(seller)
    note = carrier(desk, payload(desk, ticker, units))
    for extra in range(_TRIES):
        outputs = [note, desk.gift(buyer, GIFT + extra), desk.gift(seller, coin.value - 2 * GIFT)]
        raw = build([Spend(coin, DEFAULT)], outputs)
        if decode_transaction(raw).inputs[0].witness[0][-1] == SINGLE_ANYONECANPAY:
            desk.carry(raw)
            return
    raise Unavailable("chance did not help")


def unsigned_lookalike(desk: Desk) -> None:
    """Join three inputs of three people without any offer: an ordinary transfer."""
    ticker, sender, held = desk.holder()
    buyer = desk.party(sender)
    spends = [Spend(desk.take(party)) for party in (sender, buyer, desk.party(sender, buyer))]
    _sell(desk, spends, ticker, part(desk, held), buyer)


def of_nothing_deployed(desk: Desk) -> None:
    """Play a malformed sale of an unknown ticker: the ticker is what fails first."""
    seller = desk.party()
    note = carrier(desk, payload(desk, f"none{desk.height}", 1))
    desk.send([_offer(desk, seller)], [note, desk.gift(desk.party())], seller)


def plain_offer(desk: Desk) -> None:
    """Play a sale of something else: no operation at all."""
    seller = desk.party()
    desk.send(
        [_offer(desk, seller), Spend(desk.take(desk.party()))], [desk.gift(seller), desk.gift(desk.party())], seller
    )


SCENARIOS = (
    Scenario("sale", 6, sale, VALID),
    Scenario("sale early", 3, early_sale, VALID),
    Scenario("sale outdated", 1.5, outdated_sale, _MALFORMED),
    Scenario("sale with too few inputs", 1, too_few_inputs, _MALFORMED),
    Scenario("sale with too few people", 1, too_few_people, _MALFORMED),
    Scenario("sale of more than held", 1, more_than_held, ("INSUFFICIENT_BALANCE",)),
    Scenario("sale of the same block", 0.7, of_the_same_block, ("", "INSUFFICIENT_BALANCE")),
    Scenario("sale lookalike by chance", 0.5, looks_like_an_offer, VALID),
    Scenario("sale lookalike unsigned", 1, unsigned_lookalike, VALID),
    Scenario("sale of nothing deployed", 0.5, of_nothing_deployed, ("TICKER_NOT_DEPLOYED",)),
    Scenario("sale of something else", 0.7, plain_offer, ()),
)
