"""Every vector, through the naive implementation and through ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.harness import Outcome, expected_balances, run_vector, units
from tests.protocol.vectors import Vector, build, load

if TYPE_CHECKING:
    from tests.protocol.building import BuiltVector

pytestmark = pytest.mark.parametrize("implementation", ["naive", "ours"])


@pytest.mark.parametrize("vector", load(), ids=lambda vector: vector.id)
def test_the_rules_say_what_the_vector_says(vector: Vector, implementation: str) -> None:
    built = build(vector)
    outcome = run_vector(implementation, vector, built)

    events = [[event.decode() for event in block.events] for block in outcome.blocks]
    assert events == [[row.event.decode() for row in block.rows] for block in built.blocks]
    balances = expected_balances(vector)
    if balances is not None:
        assert outcome.balances == balances
    if vector.deploys is not None:
        assert _deploys(outcome) == _expected_deploys(vector, built)
    if vector.hashes is not None:
        assert _hashes(outcome) == [dict(hashes) for hashes in vector.hashes]


def _deploys(outcome: Outcome) -> dict[str, tuple[int, int | None, int, str]]:
    return {
        ticker: (found.maximum, found.limit, found.minted, found.deployer or "")
        for ticker, found in outcome.deploys.items()
    }


def _expected_deploys(vector: Vector, built: BuiltVector) -> dict[str, tuple[int, int | None, int, str]]:
    assert vector.deploys is not None
    return {
        ticker: (
            units(fields["max"]),
            units(fields["limit"]) if fields["limit"] else None,
            units(fields["minted"]),
            built.address(fields["deployer"]),
        )
        for ticker, fields in vector.deploys.items()
    }


def _hashes(outcome: Outcome) -> list[dict[str, str]]:
    return [
        {"events": block.events_hash.hex(), "state": block.state_hash.hex(), "digest": f"{block.state_digest:064x}"}
        for block in outcome.blocks
    ]
