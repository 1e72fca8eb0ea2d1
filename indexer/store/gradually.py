"""Change the rows of a large table in batches, each committed by itself: nobody waits for longer than one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from alembic.operations import Operations

BATCH = 5_000


def in_batches(op: Operations, statement: str, size: int = BATCH) -> int:
    """Carry a statement out until it changes nothing more, and return how many rows it has changed.

    The statement limits itself by `:size` to rows that it has not changed yet, such as `UPDATE t SET c = f(b) WHERE id
    IN (SELECT id FROM t WHERE c IS NULL LIMIT :size)`. What was killed is begun anew and goes on where it was, so it
    has a revision of its own, after the one that adds the column.
    """
    changed = 0
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        connection.execute(text("SET lock_timeout = '2s'"))
        while count := connection.execute(text(statement), {"size": size}).rowcount:
            changed += count
        connection.execute(text("RESET lock_timeout"))
    return changed
