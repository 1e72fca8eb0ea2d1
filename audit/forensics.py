"""Names what was done to a trail that is not what it was: pure, on the part from the first difference on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from audit.chain import Forgery, Kind, Link, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_PLACE = ("seq", "prev")  # what an entry's body has from its place, not from itself
_SHOWN = 120  # characters of a value


@dataclass(frozen=True, slots=True)
class _Row:
    """A link taken apart; `number` is the one that its body claims."""

    link: Link
    facts: Mapping[str, Any]
    is_hashed: bool
    number: int

    @classmethod
    def of(cls, link: Link) -> _Row:
        facts = link.facts
        number = facts.get("seq")
        return cls(link, facts, digest(link.body) == link.hash, number if isinstance(number, int) else link.seq)

    @property
    def core(self) -> dict[str, Any] | str:
        """What the entry says, wherever it stands."""
        if not self.facts:
            return self.link.body
        return {name: value for name, value in self.facts.items() if name not in _PLACE}


def compare(links: Sequence[Link], anchored: Sequence[Link], prev: bytes) -> list[Forgery]:
    """Name how `links` differ from what the anchor has; both begin where they first differ, after hash `prev`.

    `anchored` is not empty, and sound.
    """
    rows = [_Row.of(link) for link in links]
    pairs = _paired(rows, anchored)
    of_row = {n: i for i, n in pairs.items()}
    end = max(pairs.values(), default=-1)
    tail_is_there = len(anchored) - 1 in pairs
    beyond = anchored[-1].seq
    # Newer than the anchor: by its own number, or what comes after all that is anchored, however it is numbered now.
    newer = [
        n for n in range(len(rows)) if n not in of_row and (rows[n].number > beyond or (tail_is_there and n > end))
    ]
    later = set(newer)
    found = _dropped(anchored, pairs, is_cut=not newer)
    found += [
        _forgery(Kind.ADDED, row.link.seq, f"{_told(row.facts)} is not in the anchor")
        for n, row in enumerate(rows)
        if n not in of_row and n not in later
    ]
    numbers = {n: anchored[i].seq for n, i in of_row.items()} | {
        n: rows[n].number for n in newer if rows[n].number > beyond
    }
    found += _reordered([(numbers[n], rows[n]) for n in sorted(numbers)])
    runs = _rewritten(rows, anchored, of_row, prev)
    found += [_rewriting(rows, first, last) for first, last in runs]
    hashed_anew = {n for first, last in runs for n in range(first, last + 1)}
    for n, i in sorted(of_row.items()):
        found += _changed(rows[n], anchored[i], hashed_anew=n in hashed_anew)
    if newer:
        # They follow what is there now or what was there: whichever it is, it has been judged above.
        before = newer[0] - 1
        hashes = {anchored[-1].hash} | ({rows[before].link.hash} if newer[0] else set())
        base = rows[before].link.seq if before in hashed_anew else beyond
        rest = sorted((rows[n] for n in newer), key=lambda row: row.number)  # their order has been judged too
        found += _inspected(rest, base, frozenset(hashes), is_moved=bool(found))
    return _in_order(found)


def inspect(links: Sequence[Link], seq: int, prev: frozenset[bytes]) -> list[Forgery]:
    """Name what the chain itself tells of links that should follow entry `seq`, whose hash is one of `prev`."""
    return _in_order(_inspected([_Row.of(link) for link in links], seq, prev, is_moved=False))


def _paired(rows: Sequence[_Row], anchored: Sequence[Link]) -> dict[int, int]:
    """Return which row holds which anchored entry: {index in `anchored`: index in `rows`}, the surest way first."""
    pairs: dict[int, int] = {}
    taken: set[int] = set()

    def pair(wanted: Iterable[Any], offered: Iterable[Any]) -> None:
        index: dict[Any, list[int]] = {}
        for i, key in enumerate(wanted):
            if i not in pairs:
                index.setdefault(key, []).append(i)
        for n, key in enumerate(offered):
            if n not in taken and index.get(key):
                pairs[index[key].pop(0)] = n
                taken.add(n)

    pair(((link.id, link.body) for link in anchored), ((row.link.id, row.link.body) for row in rows))
    pair((link.body for link in anchored), (row.link.body for row in rows))
    pair((link.id for link in anchored), (row.link.id for row in rows))
    pair((link.id for link in anchored), (str(row.facts.get("id")) for row in rows))
    # What stands in an entry's place and is no other entry stands there instead of it.
    pair((link.seq for link in anchored), (row.number for row in rows))
    return pairs


def _dropped(anchored: Sequence[Link], pairs: Mapping[int, int], *, is_cut: bool) -> list[Forgery]:
    found = []
    for first, last in _runs([i for i in range(len(anchored)) if i not in pairs]):
        kind = Kind.TRUNCATED if is_cut and last == len(anchored) - 1 else Kind.DROPPED
        was = _some([_told(link.facts) for link in anchored[first : last + 1]])
        found.append(Forgery(kind, anchored[first].seq, anchored[last].seq, f"the anchor has there: {was}"))
    return found


def _reordered(placed: Sequence[tuple[int, _Row]]) -> list[Forgery]:
    """Name the shortest stretches that hold the right entries in another order.

    `placed` are the rows as they stand now, each with the number that it had.
    """
    wanted = sorted(number for number, _ in placed)
    found = []
    begin = highest = 0
    for at, (number, _) in enumerate(placed):
        highest = max(highest, number)
        if highest == wanted[at]:
            if at > begin:
                moved = [
                    f"{_told(row.facts)} was entry {was}"
                    for (was, row), right in zip(placed[begin : at + 1], wanted[begin:], strict=False)
                    if was != right
                ]
                found.append(Forgery(Kind.REORDERED, wanted[begin], wanted[at], _some(moved)))
            begin = at + 1
    return found


def _rewritten(
    rows: Sequence[_Row], anchored: Sequence[Link], of_row: Mapping[int, int], prev: bytes
) -> list[tuple[int, int]]:
    """Return the stretches (first and last index in `rows`) that are a chain again, but not the anchored one."""
    known = {link.hash for link in anchored}
    linked = []
    for n, row in enumerate(rows):
        if row.link.follows(row.link.seq - 1, rows[n - 1].link.hash if n else prev) and row.link.hash not in known:
            linked.append(n)

    def is_innocent(n: int) -> bool:  # it says what it said: only its hash is another
        return n in of_row and rows[n].core == _Row.of(anchored[of_row[n]]).core

    # One entry alone that is another, its hash made to fit, is a changed entry: the next one does not follow it.
    return [(first, last) for first, last in _runs(linked) if first in of_row and (last > first or is_innocent(first))]


def _rewriting(rows: Sequence[_Row], first: int, last: int) -> Forgery:
    begin = _told(rows[first].facts)
    detail = f"the chain is hashed anew from {begin} on; it follows from itself, but is not the anchored one"
    return Forgery(Kind.REWRITTEN, rows[first].link.seq, rows[last].link.seq, detail)


def _changed(row: _Row, was: Link, *, hashed_anew: bool) -> list[Forgery]:
    genuine = _Row.of(was)
    if row.core != genuine.core:
        return [_forgery(Kind.CHANGED, was.seq, _difference(genuine, row))]
    if hashed_anew or row.link.body == was.body == "":
        return []
    if row.link.hash != digest(row.link.body) or row.link.body != was.body:
        return [_forgery(Kind.CHANGED, was.seq, f"the hash or the place in the chain of {_told(genuine.facts)}")]
    if row.link.id != was.id and row.link.seq == was.seq:
        return [_forgery(Kind.CHANGED, was.seq, f"the row's id of {_told(genuine.facts)}")]
    return []


def _inspected(rows: Sequence[_Row], seq: int, prev: frozenset[bytes], *, is_moved: bool) -> list[Forgery]:
    """Name what rows tell by themselves; `is_moved`: what is wrong before them has moved their numbers."""
    found = [
        _forgery(Kind.CHANGED, row.link.seq, f"its hash or id is not that of what it says: {_told(row.facts)}")
        for row in rows
        if not row.is_hashed or (row.facts.get("id") != row.link.id and row.number == row.link.seq)
    ]
    kept, added = _of_each_number(rows, seq)
    found += [
        _forgery(Kind.ADDED, row.link.seq, f"{_told(row.facts)} has the number of another entry, {row.number}")
        for row in added
    ]
    chain = sorted(kept, key=lambda row: row.number)
    numbers = [row.number for row in chain]
    found += [
        Forgery(Kind.DROPPED, before + 1, number - 1, "the numbers of the entries around it leave it out")
        for before, number in pairwise([seq, *numbers])
        if number > before + 1
    ]
    found += _reordered([(row.number, row) for row in kept])
    told = {forgery.seq for forgery in found}
    found += _unlinked(chain, seq, prev, told)
    if not found and not is_moved:
        found = [
            _forgery(Kind.CHANGED, row.link.seq, f"its number: {_told(row.facts)} was entry {row.number}")
            for row in rows
            if row.number != row.link.seq
        ]
    return found


def _of_each_number(rows: Sequence[_Row], seq: int) -> tuple[list[_Row], list[_Row]]:
    """Return one row of each number above `seq`, the one that the next entry follows, and the others."""
    followed = {(row.facts.get("prev"), row.number) for row in rows}
    best: dict[int, _Row] = {}

    def doubt(row: _Row) -> tuple[bool, bool]:  # one that was moved was there before what took its place
        return (row.link.hash.hex(), row.number + 1) not in followed, row.number == row.link.seq

    for row in sorted(rows, key=doubt):
        if row.number > seq:
            best.setdefault(row.number, row)
    kept = [row for row in rows if best.get(row.number) is row]
    return kept, [row for row in rows if best.get(row.number) is not row]


def _unlinked(chain: Sequence[_Row], seq: int, prev: frozenset[bytes], told: set[int]) -> list[Forgery]:
    """Name entries that the next one does not follow, though each is sound by itself: their hash was made anew."""
    found = []
    before: _Row | None = None
    for row in chain:
        number = before.number if before else seq
        hashes = {before.link.hash} if before else prev
        follows = row.facts.get("prev") in {each.hex() for each in hashes}
        if row.number == number + 1 and not follows and not told & {row.number, row.link.seq}:
            culprit = before or row  # what is before the first was judged elsewhere
            if not told & {culprit.number, culprit.link.seq}:
                what = f"{_told(culprit.facts)} has another hash than the next entry says"
                found.append(_forgery(Kind.CHANGED, culprit.number, what))
        before = row
    return found


def _difference(was: _Row, now: _Row) -> str:
    if not now.facts:
        return f"it was {_told(was.facts)}, and is no entry now: {_value(now.link.body)}"
    fields = [
        f"{name} was {_value(was.facts.get(name))}, is {_value(now.facts.get(name))}"
        for name in sorted((was.facts.keys() | now.facts.keys()) - set(_PLACE))
        if was.facts.get(name) != now.facts.get(name) or (name in was.facts) != (name in now.facts)
    ]
    return f"it was {_told(was.facts)}; its {'; its '.join(fields)}"


def _told(facts: Mapping[str, Any]) -> str:
    if not facts:
        return "what is no entry"
    said = [str(facts.get(name)) for name in ("action", "target", "actor", "at")]
    action, target, actor, at = (json.dumps(text[:_SHOWN])[1:-1] for text in said)
    return f"{action} ({target}) by {actor} at {at}"


def _value(value: Any) -> str:  # noqa: ANN401 - JSON
    text = json.dumps(value)  # ASCII: nothing in it can play with a terminal
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _some(sentences: Sequence[str], most: int = 4) -> str:
    more = f"; and {len(sentences) - most} more" if len(sentences) > most else ""
    return "; ".join(sentences[:most]) + more


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the stretches of consecutive numbers, first and last, of an ascending sequence."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def _forgery(kind: Kind, seq: int, detail: str) -> Forgery:
    return Forgery(kind, seq, seq, detail)


def _in_order(found: Iterable[Forgery]) -> list[Forgery]:
    return sorted(found, key=lambda forgery: (forgery.seq, forgery.kind, forgery.last))
