"""Payments that have nothing to do with BRC-20."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.traffic.keys import OP_TRUE, Kind
from infra.local.traffic.scenarios.basics import NO_ROW, Scenario
from infra.local.traffic.tx import Output, Spend

if TYPE_CHECKING:
    from infra.local.traffic.desk import Desk


def payment(desk: Desk) -> None:
    """Pay from one input to one to three receivers, now and then one without an address."""
    sender = desk.party()
    receivers = [desk.party() for _ in range(desk.rng.randint(1, 3))]
    outputs = [desk.gift(receiver) for receiver in receivers]
    if desk.rng.random() < 0.2:
        outputs.append(Output(600, OP_TRUE))
    desk.send([Spend(desk.take(sender))], outputs, sender)


def joint_payment(desk: Desk) -> None:
    """Join inputs of several people, each locked in another manner."""
    people = [desk.party(), desk.nameless(), desk.party()]
    desk.send([Spend(desk.take(party)) for party in people], [desk.gift(desk.party())], people[0])


def chain(desk: Desk) -> None:
    """Send one coin that travels through several transactions of the block."""
    party = desk.party()
    spend = Spend(desk.take(party))
    for _ in range(desk.rng.randint(2, 5)):
        receiver = desk.party()
        txid = desk.send([spend], [], receiver)
        spend = Spend(desk.claim(txid, receiver))


def long_witness(desk: Desk) -> None:
    """Play a payment from a witness script, so that witnesses of every form occur."""
    owners = [party for party in desk.wallet.addressed if party.kind in {Kind.P2WSH, Kind.P2SH_P2WPKH}]
    desk.send([Spend(desk.take(party)) for party in owners], [desk.gift(desk.party())], owners[0])


SCENARIOS = (
    Scenario("payment", 10, payment, NO_ROW),
    Scenario("joint payment", 2, joint_payment, NO_ROW),
    Scenario("payment chain", 2, chain, NO_ROW),
    Scenario("payment from scripts", 1, long_witness, NO_ROW),
)
