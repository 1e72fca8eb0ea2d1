"""What a person with the database owner's rights can do to the trail, and how it has to be named.

`forge` disables the append-only trigger, forges, and enables it again: nothing in the database tells of it.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from audit import trail
from audit.chain import GENESIS, Kind, digest
from audit.entry import canonical, entry

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from audit.chain import Link

_FAR = 1_000_000_000  # a number that no entry of a test has: rows are renumbered by way of it


@dataclass(frozen=True, slots=True)
class Expected:
    """The kind of forgery that has to be named, and the entry it has to be named at; `variant` is how it was done."""

    kind: Kind
    seq: int
    variant: str


def forge(connection: trail.Connection, kind: Kind, rng: random.Random) -> Expected:
    """Forge a trail of at least 5 sound entries at a random place and in a random way.

    DROPPED, ADDED and REORDERED leave a last entry that is genuine: what is cut off at the end is TRUNCATED.
    """
    links = list(trail.links(connection))
    assert len(links) >= 5
    with _unguarded(connection):
        return _FORGERS[kind](connection, links, rng)


def _change(connection: trail.Connection, links: list[Link], rng: random.Random) -> Expected:
    link = rng.choice(links)
    variant = rng.choice(("body", "body and its own hash", "hash"))
    body = _other(link, rng)
    if variant == "hash":
        connection.execute("UPDATE ops.audit SET hash = %s WHERE seq = %s", (rng.randbytes(32), link.seq))
    elif variant == "body":
        connection.execute("UPDATE ops.audit SET body = %s WHERE seq = %s", (body, link.seq))
    else:
        connection.execute("UPDATE ops.audit SET body = %s, hash = %s WHERE seq = %s", (body, digest(body), link.seq))
    return Expected(Kind.CHANGED, link.seq, variant)


def _drop(connection: trail.Connection, links: list[Link], rng: random.Random) -> Expected:
    link = rng.choice(links[:-1])
    variant = rng.choice(("dropped", "dropped and renumbered"))
    connection.execute("DELETE FROM ops.audit WHERE seq = %s", (link.seq,))
    if variant == "dropped and renumbered":
        _shift(connection, link.seq, -1)
    return Expected(Kind.DROPPED, link.seq, variant)


def _reorder(connection: trail.Connection, links: list[Link], rng: random.Random) -> Expected:
    first, second = sorted(rng.sample(links[:-1], 2), key=lambda link: link.seq)
    variant = rng.choice(("numbers swapped", "contents swapped"))
    if variant == "numbers swapped":
        for old, new in ((first.seq, _FAR), (second.seq, first.seq), (_FAR, second.seq)):
            connection.execute("UPDATE ops.audit SET seq = %s WHERE seq = %s", (new, old))
    else:
        for seq, link in ((first.seq, second), (second.seq, first)):
            connection.execute("UPDATE ops.audit SET body = %s, hash = %s WHERE seq = %s", (link.body, link.hash, seq))
    return Expected(Kind.REORDERED, first.seq, variant)


def _truncate(connection: trail.Connection, links: list[Link], rng: random.Random) -> Expected:
    link = rng.choice(links)
    connection.execute("DELETE FROM ops.audit WHERE seq >= %s", (link.seq,))
    return Expected(Kind.TRUNCATED, link.seq, "cut off")


def _add(connection: trail.Connection, links: list[Link], rng: random.Random) -> Expected:
    before, after = rng.choice(list(pairwise(links)))
    _shift(connection, after.seq, 1)
    facts = entry("auth.keys.revoke", "key 000000000000", actor="mallory").as_dict()
    body = canonical(facts | {"seq": after.seq, "prev": before.hash.hex()})
    connection.execute(
        "INSERT INTO ops.audit (seq, id, body, hash) VALUES (%s, %s, %s, %s)",
        (after.seq, facts["id"], body, digest(body)),
    )
    return Expected(Kind.ADDED, after.seq, "slipped in and renumbered")


def _rewrite(connection: trail.Connection, links: list[Link], rng: random.Random) -> Expected:
    """Change or drop one entry and hash the whole chain anew: by itself it is without a fault."""
    at = rng.randrange(len(links) - 1)
    variant = rng.choice(("changed and all hashed anew", "dropped and all hashed anew"))
    bodies = [link.body for link in links]
    ids = [link.id for link in links]
    if variant == "dropped and all hashed anew":
        del bodies[at], ids[at]
    else:
        bodies[at] = _other(links[at], rng)
    connection.execute("DELETE FROM ops.audit")
    prev = GENESIS
    for seq, (id_, body) in enumerate(zip(ids, bodies, strict=True), start=1):
        new = canonical(json.loads(body) | {"seq": seq, "prev": prev.hex()})
        prev = digest(new)
        connection.execute("INSERT INTO ops.audit VALUES (%s, %s, %s, %s)", (seq, id_, new, prev))
    return Expected(Kind.REWRITTEN, at + 1, variant)


_FORGERS = {
    Kind.CHANGED: _change,
    Kind.DROPPED: _drop,
    Kind.REORDERED: _reorder,
    Kind.TRUNCATED: _truncate,
    Kind.ADDED: _add,
    Kind.REWRITTEN: _rewrite,
}


@contextmanager
def _unguarded(connection: trail.Connection) -> Iterator[None]:
    with connection.transaction():
        connection.execute("ALTER TABLE ops.audit DISABLE TRIGGER append_only")
        yield
        connection.execute("ALTER TABLE ops.audit ENABLE TRIGGER append_only")


def _shift(connection: trail.Connection, since: int, by: int) -> None:
    connection.execute("UPDATE ops.audit SET seq = seq + %s WHERE seq >= %s", (_FAR, since))
    connection.execute("UPDATE ops.audit SET seq = seq - %s WHERE seq >= %s", (_FAR - by, _FAR))


def _other(link: Link, rng: random.Random) -> str:
    facts: dict[str, Any] = json.loads(link.body)
    field = rng.choice(("actor", "target", "action", "origin", "at", "after", "result"))
    return canonical(facts | {field: f"forged {rng.randrange(1000)}"})
