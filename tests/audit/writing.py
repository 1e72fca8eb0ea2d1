"""Trails for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit import trail
from audit.entry import Entry, entry

if TYPE_CHECKING:
    from audit.chain import Link


def made(number: int, **more: Any) -> Entry:  # noqa: ANN401 - fields of an entry
    fields = {"actor": "alice", "origin": "host1", "after": {"things": [{"id": number}]}} | more
    return entry("thing.change", f"thing {number}", **fields)


def append(connection: trail.Connection, count: int, begin: int = 1) -> list[Link]:
    """Append entries, each in a transaction of its own."""
    links = []
    for number in range(begin, begin + count):
        with connection.transaction():
            links.append(trail.append(connection, made(number)))
    return links
