"""The arguments that runbooks about restores share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.engine.arguments import matching
from runbooks.engine.model import Parameter

if TYPE_CHECKING:
    from runbooks.engine.model import Json


# No measure but an end: a proof replays the node's chain, which on a long one takes as long as indexing it.
RESTORE_SECONDS = 21_600.0
# An envelope's ids, and pgBackRest's labels.
_ID = (
    r"best|[0-9]{8}T[0-9]{6}Z-[a-z]{4,12}-[0-9a-f]{4}"
    r"|[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?"
)


def _target(text: str) -> Json:
    from runbooks.backup.target import parse  # noqa: PLC0415 - a page is shown without the envelope's packages

    parse(text)
    return text


TO = Parameter(
    name="to",
    help="How far: latest, a height, a block hash, or a time with its zone.",
    parse=_target,
    example="2026-11-30T05:12:00Z",
    default="latest",
)
BACKUP = Parameter(
    name="backup",
    help="From which backup; best: the newest that leads there.",
    parse=matching(_ID, "best, or an id that `backup list` shows"),
    example="20261130T051200Z-full-3f9a",
    default="best",
)
CLUSTER = Parameter(
    name="cluster",
    help="Whose backups, where the live database is gone and there are several; empty: its own.",
    parse=matching(r"[0-9]{0,20}", "the system identifier of a database cluster"),
    example="7412345678901234567",
    default="",
)
