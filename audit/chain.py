"""The chain: every entry holds the hash of the one before it, so none can change without all that follow it.

A chain alone cannot tell that it was hashed anew as a whole, or cut off at its end; its copy in a second place (the
anchor) can.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from audit.entry import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit.entry import Entry, Json

GENESIS = bytes(32)  # what the first entry holds as the hash before it


class ChainError(Exception):
    """What should be a chain is none: one line that says where it breaks and what to do."""


@dataclass(frozen=True, slots=True)
class Link:
    """An entry in its place: `body` is its canonical JSON with "seq" and "prev", `hash` the SHA-256 of that."""

    seq: int
    id: str
    body: str
    hash: bytes

    @property
    def facts(self) -> dict[str, Any]:
        """The body's fields; empty where it is no JSON object."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def follows(self, seq: int, prev: bytes) -> bool:
        """Say whether this comes next after `seq`, whose hash is `prev`, with the hash and the id of its body."""
        facts = self.facts
        return (
            digest(self.body) == self.hash
            and facts.get("id") == self.id
            and self.seq == seq + 1 == facts.get("seq")
            and facts.get("prev") == prev.hex()
        )


class Kind(StrEnum):
    """What was done to a trail."""

    CHANGED = "changed"
    DROPPED = "dropped"
    REORDERED = "reordered"
    ADDED = "added"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"


@dataclass(frozen=True, slots=True)
class Forgery:
    """What was done to the entries `seq` to `last`; `detail` is a sentence that names what was there."""

    kind: Kind
    seq: int
    last: int
    detail: str

    @property
    def sentence(self) -> str:
        """The forgery in a line."""
        entries = f"entry {self.seq}" if self.seq == self.last else f"entries {self.seq} to {self.last}"
        return f"{entries} {self.kind}: {self.detail}"


def digest(body: str) -> bytes:
    """Return the hash of a body, 32 bytes; one that UTF-8 cannot hold has none that any entry has."""
    return sha256(body.encode("utf-8", "surrogatepass")).digest()


def link(entry: Entry, seq: int, prev: bytes) -> Link:
    """Return an entry as number `seq` after the one whose hash is `prev` (32 bytes), its secrets masked."""
    facts: dict[str, Json] = entry.as_dict()
    facts |= {"seq": seq, "prev": prev.hex()}
    body = canonical(facts)
    return Link(seq, entry.id, body, digest(body))


def line(link: Link) -> bytes:
    """Return a link as a line of JSON."""
    value: dict[str, Json] = {"seq": link.seq, "id": link.id, "hash": link.hash.hex(), "body": link.body}
    return canonical(value).encode("utf-8", "surrogatepass") + b"\n"


def parsed(data: bytes) -> Link:
    """Return the link in a line. Raises ValueError for what is no line of `line`; whether it is sound is not asked."""
    try:
        value = json.loads(data)
        return Link(int(value["seq"]), str(value["id"]), str(value["body"]), bytes.fromhex(value["hash"]))
    except (KeyError, TypeError, RecursionError):
        raise ValueError("is no link") from None


def unbroken(links: Iterable[Link], seq: int = 0, prev: bytes = GENESIS) -> Iterator[Link]:
    """Give links one by one as long as each follows the one before it. Raises ChainError at the first that does not."""
    for each in links:
        if not each.follows(seq, prev):
            raise ChainError(f"entry {each.seq} does not follow entry {seq}: what is there was changed or is not whole")
        yield each
        seq, prev = each.seq, each.hash


def examine(links: Iterable[Link], anchored: Iterable[Link] = ()) -> list[Forgery]:
    """Return what was done to a trail, in the order of its entries; nothing for one that is intact.

    `links` are the trail's rows in the order of their numbers, `anchored` the whole chain that the anchor holds, from
    the first entry on. Without it, entries that were cut off at the end, and a chain that was hashed anew as a whole,
    cannot be told. Both are streamed as long as nothing is wrong; from there on they are held. The anchor is asked
    first: what is appended and anchored meanwhile is no forgery.
    """
    from audit.forensics import compare, inspect  # noqa: PLC0415 - it is built on this module

    found, reference = iter(links), iter(anchored)
    seq, prev = 0, GENESIS
    for wanted in reference:
        first = next(found, None)
        if first != wanted:
            rest = [] if first is None else [first, *found]
            return compare(rest, [wanted, *reference], prev)
        seq, prev = wanted.seq, wanted.hash
    held: list[Link] = []  # the entry before: if it was made to fit what is before it, the next one gives it away
    base, known = seq, prev
    for each in found:
        if not each.follows(seq, prev):
            return inspect([*held, each, *found], base, frozenset({known}))
        held, base, known = [each], seq, prev
        seq, prev = each.seq, each.hash
    return []
