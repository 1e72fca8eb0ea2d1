"""Every forgery is found and named: by its kind and by the entry."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import psycopg
import pytest

from audit import trail
from audit.chain import Kind, examine
from tests.audit.forging import forge
from tests.audit.writing import append

if TYPE_CHECKING:
    from audit.chain import Forgery

SEEDS = range(5)


def _named(found: list[Forgery]) -> list[tuple[Kind, int]]:
    return [(forgery.kind, forgery.seq) for forgery in found]


@pytest.mark.parametrize("newer", [0, 3])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", Kind)
def test_a_forgery_is_named_by_kind_and_entry(connection: trail.Connection, kind: Kind, seed: int, newer: int) -> None:
    rng = random.Random(f"{kind} {seed}")
    append(connection, rng.randrange(5, 25))
    anchored = list(trail.links(connection))
    append(connection, newer, begin=100)
    assert examine(trail.links(connection), anchored) == []

    expected = forge(connection, kind, rng)

    found = examine(trail.links(connection), anchored)
    if expected.kind is Kind.TRUNCATED and expected.seq > len(anchored):
        assert found == []  # what was cut off was not anchored yet: nobody can know of it
    elif expected.kind is Kind.REWRITTEN:
        # Beside the new chain, what it was made anew for is named.
        assert (Kind.REWRITTEN, expected.seq) in _named(found), (expected, found)
    else:
        assert _named(found) == [(expected.kind, expected.seq)], (expected, found)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", Kind)
def test_the_chain_alone_names_what_does_not_follow_and_cannot_tell_what_does(
    connection: trail.Connection, kind: Kind, seed: int
) -> None:
    append(connection, 12)

    expected = forge(connection, kind, random.Random(f"{kind} {seed}"))

    found = examine(trail.links(connection))
    is_last_made_to_fit = expected.variant == "body and its own hash" and expected.seq == 12
    if kind in {Kind.TRUNCATED, Kind.REWRITTEN} or is_last_made_to_fit:
        assert found == []
    else:
        assert _named(found) == [(expected.kind, expected.seq)], (expected, found)


def test_the_guard_is_in_place_after_a_forgery(connection: trail.Connection) -> None:
    append(connection, 5)
    forge(connection, Kind.CHANGED, random.Random(1))

    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        connection.execute("DELETE FROM ops.audit")
