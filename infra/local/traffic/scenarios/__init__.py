"""The table of everything that people do on the chain, and how one of it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.traffic.desk import Label, Unavailable
from infra.local.traffic.scenarios import broken, deploys, marketplace, mints, multi, noise, transfers
from infra.local.traffic.scenarios.basics import Scenario

if TYPE_CHECKING:
    from infra.local.traffic.desk import Desk

__all__ = ["SCENARIOS", "Scenario", "play_one"]

SCENARIOS: tuple[Scenario, ...] = (
    *deploys.SCENARIOS,
    *mints.SCENARIOS,
    *transfers.SCENARIOS,
    *multi.SCENARIOS,
    *marketplace.SCENARIOS,
    *broken.SCENARIOS,
    *noise.SCENARIOS,
)
_WEIGHTS = tuple(scenario.weight for scenario in SCENARIOS)
_TRIES = 50


def play_one(desk: Desk) -> None:
    """Play one scenario, chosen by weight among those that the chain's state allows."""
    for _ in range(_TRIES):
        (scenario,) = desk.rng.choices(SCENARIOS, _WEIGHTS)
        before = len(desk.transactions)
        try:
            scenario.play(desk)
        except Unavailable:
            continue
        finally:
            for txid in desk.ids[before:]:
                desk.labels[txid] = Label(scenario.name, scenario.expect)
        desk.played[scenario.name] += 1
        return
    raise Unavailable("no scenario is possible")
