"""Which of PostgreSQL's timelines a backup leads to: each restore that takes the live place begins a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.backup.lsn import Lsn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from runbooks.backup.checkpoints import Checkpoint
    from runbooks.backup.lsn import Switch
    from runbooks.backup.manifest import Manifest


def leads_to(backup: Manifest, timeline: int, ancestry: Mapping[int, list[Switch]]) -> bool:
    """Tell whether a timeline goes on from a backup, and not from a moment before it ended."""
    if backup.timeline == timeline:
        return True
    left = [switch.at for switch in ancestry.get(timeline, []) if switch.timeline == backup.timeline]
    return any(Lsn.parse(backup.stop_lsn) <= at for at in left)


def at(moment: datetime, recorded: Sequence[Checkpoint], backups: Sequence[Manifest]) -> int:
    """Return the timeline that was the live one at a moment, as blocks were recorded; else that of the last backup."""
    seen = [each.timeline for each in recorded if each.seen_at <= moment.timestamp()]
    made = [each.timeline for each in backups if each.ended <= moment]
    return (seen or made or [1])[-1]


def now(recorded: Sequence[Checkpoint], backups: Sequence[Manifest], live: int | None) -> int:
    """Return the live timeline: the live server's word, else the last that was recorded, else the last backup's."""
    if live is not None:
        return live
    told = [each.timeline for each in recorded] or [each.timeline for each in backups]
    return (told or [1])[-1]
