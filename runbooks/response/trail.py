"""The audit trail and its copy, for an answer that compares them and copies what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit import trail
from audit.anchor import Anchor, AnchorMismatchError
from audit.chain import ChainError, examine, line
from audit.objects import ObjectStoreError
from runbooks.audit.verdict import Verdict
from runbooks.backup.errors import BackupError
from runbooks.backup.place import Backups
from runbooks.engine.model import Halt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from audit.chain import Link
    from runbooks.engine.model import Context, Json

SHOWN = 3


def examined(context: Context) -> Mapping[str, Json]:
    """Compare the trail with its copy, and write both into the run's folder. Raises Halt where that cannot be."""
    try:
        place = Backups(context.environment)
        with place.source.connected() as connection:
            anchor = _anchor(place, trail.cluster_id(connection))
            count = _kept(context.folder / "trail.ndjson", trail.links(connection))
            _kept(context.folder / "copy.ndjson", anchor.links())
            found = examine(trail.links(connection), anchor.links())
            verdict = Verdict(count, anchor.url, anchor.head(), tuple(found))
    except (BackupError, ObjectStoreError, ChainError) as error:
        raise Halt(str(error)) from None
    told = [*verdict.sentences[:SHOWN], *verdict.sentences[SHOWN:][-2:]]
    return {"forged": bool(found), "verdict": "; ".join(told)}


def copied(context: Context) -> int:
    """Copy the entries that wait, and return how many. Raises Halt where the two contradict each other."""
    try:
        place = Backups(context.environment)
        with place.source.connected() as connection:
            return _anchor(place, trail.cluster_id(connection)).extend(connection)
    except (BackupError, ObjectStoreError, ChainError, AnchorMismatchError) as error:
        raise Halt(str(error)) from None


def _anchor(place: Backups, cluster: str) -> Anchor:
    store = place.anchor
    if store is None:
        raise Halt(f"{place.environment.name} has no second place of the trail; put one into its document")
    return Anchor(store, cluster)


def _kept(path: Path, links: Iterable[Link]) -> int:
    count = 0
    with path.open("wb") as file:
        for count, each in enumerate(links, 1):  # noqa: B007 - how many there were
            file.write(line(each))
    return count
