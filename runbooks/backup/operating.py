"""What cannot be rebuilt from the chain: keys, switches and the trail, compared with what was recorded outside.

The trail's copy in a second place is the measure: each change of a key or a switch stands in it with the rows as they
were afterwards, so the tables of any moment follow from the entries up to it.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import psycopg
from psycopg.rows import dict_row

from audit import trail
from audit.anchor import Anchor
from audit.chain import examine
from audit.entry import entry, masked
from runbooks.backup.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from audit.chain import Link
    from audit.objects import ObjectStore
    from runbooks.backup.manifest import Head

RESTORED = "backup.restored"
SHOWN = 3
_KEYS = """
    SELECT key_id, name, role, extract(epoch FROM created_at)::float8 AS created_at,
        extract(epoch FROM expires_at)::float8 AS expires_at, extract(epoch FROM revoked_at)::float8 AS revoked_at,
        encode(sha256(digest), 'hex') AS digest_sha256
    FROM ops.api_keys ORDER BY key_id"""
_SWITCH = """
    SELECT is_on AS on, message, route_classes, serve_cached, retry_after FROM ops.maintenance"""

Row = dict[str, Any]


def compare(
    url: str, anchor: ObjectStore | None, cluster: str, wanted: Head | None = None
) -> tuple[dict[str, str], list[str]]:
    """Compare the restored database's trail with its copy, and its keys and switches with the trail.

    Return what was seen by check, and a line for each entry of the copy that the restored trail does not have: what
    would be lost of `ops` if it took the live database's place. `wanted` is an entry that the trail has to hold, as its
    backup says. Raises RefusedError where something differs.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        if not trail.is_there(connection):
            if wanted is not None:
                raise _lacking(wanted)
            return {"operating data": "the database has no trail yet"}, []
        head = trail.head(connection)
        upto = 0 if head is None else head.seq
        there = list(trail.links(connection))
        copy = [] if anchor is None else list(Anchor(anchor, cluster).links())
        if wanted is not None and (wanted.seq, wanted.hash) not in {(each.seq, each.hash.hex()) for each in there}:
            raise _lacking(wanted)
        forged = examine(there, [each for each in copy if each.seq <= upto])
        if forged:
            raise RefusedError(f"the restored trail is not what its copy says: {forged[0].sentence}")
        seen = {"trail": f"{len(there)} entries, {_covered(copy, upto)}"}
        with connection.cursor(row_factory=dict_row) as cursor:
            keys = {row["key_id"]: row for row in cursor.execute(_KEYS)}
            switch = cursor.execute(_SWITCH).fetchone()
    seen["operating data"] = _tables(there, keys, switch)
    return seen, [_line(each) for each in copy if each.seq > upto]


def _lacking(wanted: Head) -> RefusedError:
    return RefusedError(f"the restored trail lacks entry {wanted.seq}, which the backup was made with")


def _covered(copy: Sequence[Link], upto: int) -> str:
    if not copy:
        return "which have no copy to compare with"
    return f"{min(copy[-1].seq, upto)} of them as in the copy"


def _line(link: Link) -> str:
    facts = link.facts
    return f"{facts['at']} {facts['action']} {facts['target']} by {facts['actor']}: {facts['result']}"


def _tables(links: Sequence[Link], keys: Mapping[str, Row], switch: Row | None) -> str:
    wanted_keys, wanted_switch = told(links)
    untold = {name: row["created_at"] for name, row in keys.items() if name not in wanted_keys}
    first = next((datetime.fromisoformat(link.facts["at"]) for link in links), None)
    strange = sorted(name for name, made in untold.items() if first is not None and made > first.timestamp())
    if strange:
        raise RefusedError(f"{len(strange)} API keys stand in no entry of the trail: {', '.join(strange[:SHOWN])}")
    differing = sorted(name for name, row in wanted_keys.items() if _as_told(keys.get(name)) != row)
    if differing:
        names = ", ".join(differing[:SHOWN])
        raise RefusedError(f"{len(differing)} API keys are not as the trail says: {names}")
    if wanted_switch is not None and wanted_switch != _as_told(switch):
        raise RefusedError(f"the maintenance switch is {switch}, by the trail it is {wanted_switch}")
    note = f"; {len(untold)} keys are older than the trail" if untold else ""
    return f"{len(wanted_keys)} API keys and the maintenance switch are as the trail says{note}"


def _as_told(row: Row | None) -> Any:  # noqa: ANN401 - what a trail holds of a row
    """Return a row as an entry has it: a name or a message may have looked like a secret, and was masked there."""
    return masked(row)


def told(links: Iterable[Link]) -> tuple[dict[str, Row], Row | None]:
    """Return keys by id, and the switch (None: never switched), as a trail's entries tell them.

    An entry of a restore says as of which entry the tables were then: what came between stays in the trail only.
    """
    keys: dict[str, Row] = {}
    switch: Row | None = None
    numbers, states = [0], [(keys, switch)]
    for link in links:
        facts = link.facts
        after = facts.get("after")
        if not isinstance(after, dict):
            continue
        if facts.get("action") == RESTORED and isinstance(after.get("ops_as_of"), int):
            keys, switch = states[bisect_right(numbers, after["ops_as_of"]) - 1]
        elif "api_keys" in after or "maintenance" in after:
            keys = keys | {row["key_id"]: row for row in after.get("api_keys", [])}
            switch = next(iter(after.get("maintenance", [])), switch)
        else:
            continue
        numbers.append(link.seq)
        states.append((keys, switch))
    return keys, switch


def carry_over(url: str, anchor: ObjectStore | None, cluster: str, run: str) -> str:
    """Let a restored database's trail go on where the copy ends, and say in it what the tables are; once for a run.

    Without this the trail would fork: entries that somebody relies on would be gone from it.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        if not trail.is_there(connection):
            return "the database has no trail to go on with"
        made = str(uuid5(NAMESPACE_URL, f"simplicity:{run}:{RESTORED}"))
        with connection.transaction():
            trail.lock(connection)
            head = trail.head(connection)
            known = connection.execute("SELECT seq FROM ops.audit WHERE id = %s", (made,)).fetchone()
            if known is not None:
                return f"the trail goes on with entry {known[0]}"
            upto = 0 if head is None else head.seq
            adopted = 0 if anchor is None else trail.adopt(connection, Anchor(anchor, cluster).links())
            after = {"ops_as_of": upto, "adopted": adopted}
            link = trail.append(connection, entry(RESTORED, f"cluster {cluster}", after=after, run=run, id=made))
    return f"{adopted} entries after entry {upto} were taken over from the copy; entry {link.seq} says so"
