"""What the audit trail is told of the ring: a file has no transaction, so it is told afterwards, by way of a spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.entry import entry
from audit.spool import Recorder, SpoolError
from indexer.auth import ring_file
from indexer.auth.store import opened
from indexer.settings import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from audit.entry import Json
    from indexer.auth.ring import Ring


def changed(
    path: Path, database_url: str, command: str, arguments: Mapping[str, Json], altered: Callable[[Ring], Ring]
) -> tuple[Ring, str]:
    """Change the ring in a file as ring_file.change does and record that; return the new ring and `recorded`'s line."""
    found: list[Ring] = []

    def seen(old: Ring) -> Ring:
        found.append(old)
        return altered(old)

    new = ring_file.change(path, seen)
    return new, recorded(path, database_url, command, arguments, (found[-1], new))


def recorded(
    path: Path, database_url: str, command: str, arguments: Mapping[str, Json], rings: tuple[Ring | None, Ring]
) -> str:
    """Record a change of the ring in `path`, `rings` as before (None: no file) and after; nothing where none was made.

    Return a line for the operator, "" where the entry is in the trail: if the database is away it waits beside the
    ring, for the next change. Raises ConfigurationError where it can be kept nowhere.
    """
    before, after = (_facts(ring) for ring in rings)
    if before == after:
        return ""
    target = path.resolve()
    spool = target.with_name(f"{target.name}.audit-spool")
    said = entry(
        f"auth.ring.{command}", f"ring {path.name}", arguments=arguments, before={"ring": before}, after={"ring": after}
    )
    try:
        is_told = Recorder(spool, lambda: opened(database_url)).record(said)
    except SpoolError as error:
        raise ConfigurationError(f"{path}: is changed, but {error}") from None
    return "" if is_told else f"the audit trail cannot be reached: the change waits in {spool} for the next one"


def _facts(ring: Ring | None) -> list[Json]:
    """Return what everybody may know of a ring."""
    return [
        {"kid": key.kid, "signs_from": key.signs_from, "verifies_until": key.verifies_until}
        for key in (ring.keys if ring else ())
    ]
