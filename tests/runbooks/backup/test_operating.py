"""Keys and the switch as the trail's entries tell them."""

from __future__ import annotations

from typing import Any

from audit.chain import GENESIS, Link, link
from audit.entry import entry
from runbooks.backup.operating import told

SWITCH = {"on": True, "message": "back soon", "route_classes": ["bulk"], "serve_cached": True, "retry_after": 60}


def key(name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - columns
    row = {"key_id": name, "name": f"key {name}", "role": "reader", "revoked_at": None, "digest_sha256": "ab" * 32}
    return row | changes


def trail(*after: Any) -> list[Link]:  # noqa: ANN401 - what entries say of the rows afterwards
    links, prev = [], GENESIS
    for number, rows in enumerate(after, start=1):
        links.append(link(entry("some.change", "something", after=rows), number, prev))
        prev = links[-1].hash
    return links


def test_no_entries_tell_nothing() -> None:
    assert told([]) == ({}, None)
    assert told(trail(None, "text", 7, ["list"], {}, {"other": [{"a": 1}]})) == ({}, None)


def test_the_last_entry_of_a_key_counts() -> None:
    keys, switch = told(
        trail(
            {"api_keys": [key("a")]},
            {"api_keys": [key("b")]},
            {"api_keys": [key("a", revoked_at=7.5)]},
            None,
        )
    )
    assert keys == {"a": key("a", revoked_at=7.5), "b": key("b")}
    assert switch is None


def test_one_entry_may_change_several_keys() -> None:
    keys, _ = told(trail({"api_keys": [key("a")]}, {"api_keys": [key("a", expires_at=9.0), key("b")]}))
    assert keys == {"a": key("a", expires_at=9.0), "b": key("b")}


def test_the_last_switching_counts_and_other_entries_leave_it() -> None:
    off = SWITCH | {"on": False}
    _, switch = told(trail({"maintenance": [SWITCH]}, {"maintenance": [off]}, {"api_keys": [key("a")]}))
    assert switch == off
    _, switch = told(trail({"maintenance": [off]}, {"maintenance": [SWITCH]}, {"maintenance": []}))
    assert switch == SWITCH
