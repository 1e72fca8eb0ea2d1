"""The chain by itself: pure."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from audit.chain import GENESIS, ChainError, Kind, Link, digest, examine, line, link, parsed, unbroken
from audit.entry import canonical
from tests.audit.writing import made

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit.chain import Forgery


def chain(count: int, begin: int = 1, seq: int = 0, prev: bytes = GENESIS) -> list[Link]:
    links = []
    for number in range(begin, begin + count):
        links.append(link(made(number), seq + 1, prev))
        seq, prev = links[-1].seq, links[-1].hash
    return links


def remade(old: Link, prev: bytes | None = None, **facts: object) -> Link:
    """The link with other facts and a hash that fits them."""
    given = {} if prev is None else {"prev": prev.hex()}
    body = canonical(json.loads(old.body) | facts | given)
    return replace(old, body=body, hash=digest(body))


def named(found: Iterable[Forgery]) -> list[tuple[Kind, int, int]]:
    return [(each.kind, each.seq, each.last) for each in found]


def test_a_link_holds_the_hash_of_the_one_before_it() -> None:
    first, second = chain(2)

    assert json.loads(first.body)["prev"] == "0" * 64
    assert json.loads(second.body)["prev"] == first.hash.hex()
    assert second.hash == sha256(second.body.encode()).digest()
    assert (first.seq, second.seq) == (1, 2)
    assert first.body == json.dumps(json.loads(first.body), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_a_line_gives_the_link_back() -> None:
    for each in (*chain(2), Link(7, "no id", "no json \x00 \ud800", b"\x00" * 32)):
        assert parsed(line(each)) == each


@pytest.mark.parametrize("text", [b"", b"x", b"[]", b"{}", b'{"seq":1,"id":"x","body":"y","hash":"zz"}', b"[" * 9_999])
def test_what_is_no_line_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parsed(text)


def test_an_unbroken_chain_is_given_and_a_broken_one_is_named_where_it_breaks() -> None:
    links = chain(4)
    assert list(unbroken(links)) == links
    assert list(unbroken(links[2:], 2, links[1].hash)) == links[2:]
    with pytest.raises(ChainError, match="entry 4 does not follow entry 2"):
        list(unbroken([*links[:2], links[3]]))


def test_an_intact_trail_has_no_forgeries() -> None:
    links = chain(6)

    assert examine([]) == examine(links) == examine(links, links) == examine(links, links[:4]) == []


def test_an_emptied_trail_is_truncated_from_its_first_entry() -> None:
    (found,) = examine([], chain(3))

    assert (found.kind, found.seq, found.last) == (Kind.TRUNCATED, 1, 3)
    assert found.sentence.startswith("entries 1 to 3 truncated: the anchor has there: thing.change (thing 1) by alice")


def test_a_changed_entry_is_told_with_what_it_was() -> None:
    links = chain(4)
    forged = remade(links[1], actor="mallory", after=None)
    (found,) = examine([links[0], forged, *links[2:]], links)

    assert named([found]) == [(Kind.CHANGED, 2, 2)]
    assert 'its actor was "alice", is "mallory"' in found.detail
    assert 'its after was {"things": [{"id": 2}]}, is null' in found.detail


def test_an_entry_that_is_none_any_more_is_changed() -> None:
    links = chain(3)
    for body in ("", "[]", "[" * 99_999, "\x1b[31m", '"\ud800"'):
        broken = replace(links[1], body=body, hash=digest(body))
        (found,) = examine([links[0], broken, links[2]], links)
        assert named([found]) == [(Kind.CHANGED, 2, 2)]
        assert found.sentence.isprintable()
        assert named(examine([links[0], broken, links[2]])) == [(Kind.CHANGED, 2, 2)]


def test_an_entry_of_another_id_in_the_place_of_one_is_changed() -> None:
    links = chain(4)
    (other,) = chain(1, begin=9, seq=1, prev=links[0].hash)

    assert named(examine([links[0], other, *links[2:]], links)) == [(Kind.CHANGED, 2, 2)]


def test_a_copy_of_another_entry_in_the_place_of_one_is_changed() -> None:
    links = chain(4)
    copy = replace(links[1], body=links[3].body, hash=links[3].hash)

    assert named(examine([links[0], copy, *links[2:]], links)) == [(Kind.CHANGED, 2, 2)]


def test_a_row_whose_id_hash_or_link_alone_was_changed_is_named() -> None:
    links = chain(4)
    for forged in (
        replace(links[1], id="00000000-0000-4000-8000-000000000000"),
        replace(links[1], hash=bytes(32)),
        remade(links[1], prev=bytes(32)),
        remade(links[1], seq=7),
    ):
        assert named(examine([links[0], forged, *links[2:]], links)) == [(Kind.CHANGED, 2, 2)]


def test_a_number_alone_that_was_changed_is_named() -> None:
    links = chain(3)
    moved = [*links[:2], replace(links[2], seq=9)]

    assert named(examine(moved)) == [(Kind.CHANGED, 9, 9)]


def test_several_forgeries_are_all_named() -> None:
    links = chain(20)
    forged = list(links)
    forged[2] = remade(links[2], target="another")
    forged[6], forged[8] = replace(links[8], seq=7), replace(links[6], seq=9)
    del forged[11:13]
    del forged[-2:]

    assert named(examine(forged, links)) == [
        (Kind.CHANGED, 3, 3),
        (Kind.REORDERED, 7, 9),
        (Kind.DROPPED, 12, 13),
        (Kind.TRUNCATED, 19, 20),
    ]


def test_a_trail_that_went_another_way_is_rewritten_from_there_on() -> None:
    links = chain(6)
    other = chain(4, begin=50, seq=3, prev=links[2].hash)

    found = examine([*links[:3], *other], links)

    assert (Kind.REWRITTEN, 4, 7) in named(found)


def test_what_is_newer_than_the_anchor_is_held_to_the_chain() -> None:
    links = chain(10)
    gone = [*links[:7], *links[8:]]
    changed = [*links[:7], remade(links[7], target="another"), *links[8:]]
    first = [*links[:5], remade(links[5], target="another"), *links[6:]]

    assert named(examine(gone, links[:5])) == [(Kind.DROPPED, 8, 8)]
    assert named(examine(changed, links[:5])) == [(Kind.CHANGED, 8, 8)]
    assert named(examine(first, links[:5])) == [(Kind.CHANGED, 6, 6)]


def test_the_last_anchored_entry_can_be_dropped_before_newer_ones() -> None:
    links = chain(8)

    assert named(examine([*links[:4], *links[5:]], links[:5])) == [(Kind.DROPPED, 5, 5)]


def test_what_was_made_anew_and_what_for_are_both_told() -> None:
    links = chain(6)
    prev = links[1].hash
    anew = list(links[:2])
    for seq, old in enumerate(links[3:], start=3):
        anew.append(replace(remade(old, prev=prev, seq=seq), seq=seq))
        prev = anew[-1].hash

    assert named(examine(anew, links)) == [(Kind.DROPPED, 3, 3), (Kind.REWRITTEN, 3, 5)]


def test_many_entries_are_told_as_some_and_how_many_more() -> None:
    (found,) = examine([], chain(30))

    assert found.detail.endswith("; and 26 more")


def test_long_values_are_told_in_part() -> None:
    links = chain(3)
    (found,) = examine([links[0], remade(links[1], after="x" * 9_999), links[2]], links)

    assert len(found.sentence) < 1_000
