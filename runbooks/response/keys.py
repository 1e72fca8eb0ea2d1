"""The API keys of an environment, for an answer that looks at them and revokes one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from indexer.auth import store
from indexer.auth.store import KeyUnusableError
from runbooks.engine.model import Halt
from runbooks.response.index import halting, writer_url

if TYPE_CHECKING:
    from runbooks.engine.model import Context


def listed(context: Context) -> list[dict[str, str]]:
    """Return all keys, never a secret; "ended" is empty for one that is live. Raises Halt."""
    now = datetime.now(UTC).timestamp()
    with halting(), store.opened(writer_url(context)) as connection:
        found = store.listed(connection)
    rows = []
    for each in found:
        ends = [moment for moment in (each.revoked_at, each.expires_at) if moment is not None and moment <= now]
        rows.append(
            {
                "id": each.key_id,
                "name": each.name,
                "role": each.role,
                "made": _moment(each.created_at),
                "ended": _moment(min(ends)) if ends else "",
            }
        )
    return rows


def revoke(context: Context, key: str) -> str:
    """End a key for good, now or earlier, and return its name; the same transaction records it. Raises Halt."""
    try:
        with halting(), store.opened(writer_url(context)) as connection:
            return store.revoke(connection, key).name
    except KeyUnusableError as error:
        raise Halt(str(error)) from None


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
