"""What one hears who listens for a database's tip."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg import sql

from indexer.store.chain import TIP_CHANNEL
from indexer.store.connection import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def listening(database_url: str) -> Iterator[Callable[[], list[str]]]:
    """Listen, and give a function that returns what was said since it was called last."""
    with connect(database_url) as listener, connect(database_url) as speaker:
        listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(TIP_CHANNEL)))

        def heard() -> list[str]:
            # What is said comes in the order of commits: after a word of our own there is nothing left to wait for.
            speaker.execute("SELECT pg_notify(%s, 'end')", (TIP_CHANNEL,))
            said: list[str] = []
            for notice in listener.notifies(timeout=10):
                if notice.payload == "end":
                    return said
                said.append(notice.payload)
            raise AssertionError("the listener heard nothing for 10 seconds")

        yield heard
