"""The trail in the database: the table ops.audit, to which entries are only ever appended."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from audit.chain import GENESIS, ChainError, Link, link, unbroken

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    import psycopg

    from audit.entry import Entry

Connection: TypeAlias = "psycopg.Connection[Any]"

CHANNEL = "simplicity_audit"

_BATCH = 500  # rows a round trip: a body has a kilobyte or so, rarely a few
_SELECT = "SELECT seq, id::text, body, hash FROM ops.audit"
_INSERT = "INSERT INTO ops.audit (seq, id, body, hash) VALUES (%s, %s, %s, %s)"


def lock(connection: Connection) -> None:
    """Let nobody else append until the transaction ends; readers go on.

    In a SERIALIZABLE or REPEATABLE READ transaction it has to be the first statement: what such a transaction sees is
    fixed by the first one that reads, and must be what is there once it has its turn. Raises RuntimeError outside of
    a transaction.
    """
    if connection.info.transaction_status is not TransactionStatus.INTRANS:
        raise RuntimeError("the audit trail is written in the transaction of the change, and none is open")
    connection.execute("LOCK TABLE ops.audit IN SHARE ROW EXCLUSIVE MODE")


def append(connection: Connection, entry: Entry) -> Link:
    """Append an entry in the caller's open transaction: it is there if, and only if, the change is.

    An entry whose id is there already is not written again; its link is returned. Raises RuntimeError outside of a
    transaction.
    """
    lock(connection)
    there = _one(connection, f"{_SELECT} WHERE id = %s", entry.id)
    if there is not None:
        return there
    last = head(connection)
    made = link(entry, last.seq + 1 if last else 1, last.hash if last else GENESIS)
    _insert(connection, [made])
    return made


def head(connection: Connection) -> Link | None:
    """Return the last entry's link, None where there is none."""
    return _one(connection, f"{_SELECT} ORDER BY seq DESC LIMIT 1")


def at(connection: Connection, seq: int) -> Link | None:
    """Return the link of an entry's number, None where there is none."""
    return _one(connection, f"{_SELECT} WHERE seq = %s", seq)


def links(connection: Connection, after: int = 0) -> Generator[Link]:
    """Give the rows with a number above `after` in order, as one moment has them; some hundred at a time are held."""
    yield from _streamed(connection, f"{_SELECT} WHERE seq > %s ORDER BY seq", after)


def newest(connection: Connection) -> Generator[Link]:
    """Give all rows, the last one first; otherwise as `links`."""
    yield from _streamed(connection, f"{_SELECT} ORDER BY seq DESC")


def adopt(connection: Connection, links: Iterable[Link]) -> int:
    """Append links exactly as they are, say those of the anchor that a restored database lacks; return how many.

    They have to go on where the trail ends; those that it has already are compared with it. One transaction, which may
    be the caller's. Raises ChainError naming the first that does not fit, and then nothing was appended.
    """
    with connection.transaction():
        lock(connection)
        last = head(connection)
        rest = _beyond(connection, links, last.seq if last else 0)
        adopted = 0
        fresh = unbroken(rest, last.seq, last.hash) if last else unbroken(rest)
        while batch := list(islice(fresh, _BATCH)):
            adopted += _insert(connection, batch)
    return adopted


def is_there(connection: Connection) -> bool:
    """Say whether the database's schema has the trail."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("SELECT to_regclass('ops.audit') IS NOT NULL").fetchone()
    return row is not None and bool(row[0])


def cluster_id(connection: Connection) -> str:
    """Return what tells the database's cluster from all others and outlasts a restore of its files."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    return "" if row is None else str(row[0])


def _streamed(connection: Connection, query: str, *values: object) -> Generator[Link]:
    with (
        connection.transaction(),
        # psycopg leaves it open where closing it finds the server gone; once the connection is lost, closing works.
        closing(connection.cursor("audit_links", row_factory=tuple_row)) as opened,
        opened as cursor,
    ):
        cursor.itersize = _BATCH
        cursor.execute(query, values)
        for row in cursor:
            yield Link(*row)


def _one(connection: Connection, query: str, *values: object) -> Link | None:
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query, values).fetchone()
    return None if row is None else Link(*row)


def _insert(connection: Connection, made: list[Link]) -> int:
    if made:
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT, [(each.seq, each.id, each.body, each.hash) for each in made])
            cursor.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(made[-1].seq)))
    return len(made)


def _beyond(connection: Connection, links: Iterable[Link], seq: int) -> Iterator[Link]:
    """Give the links above `seq`; of the others the last tells for all whether they are the trail's."""
    common: Link | None = None
    for each in links:
        if each.seq <= seq:
            common = each
            continue
        _require_same(connection, common)
        common = None
        yield each
    _require_same(connection, common)


def _require_same(connection: Connection, wanted: Link | None) -> None:
    if wanted is not None and at(connection, wanted.seq) != wanted:
        raise ChainError(
            f"entry {wanted.seq} of the trail is another one than the one to adopt: the two went different ways;"
            " restore a backup that is older than that, or keep this trail and give it an anchor of its own"
        )
