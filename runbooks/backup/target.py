"""How far a restore goes: to the end of what is archived, a moment, a height or a block."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from indexer.settings import HIGHEST_BLOCK
from runbooks.backup import checkpoints
from runbooks.backup.errors import BackupError
from runbooks.backup.lsn import Lsn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbooks.backup.checkpoints import Checkpoint
    from runbooks.backup.lsn import Switch
    from runbooks.backup.manifest import Manifest

_HASH = re.compile(r"[0-9a-f]{64}")
_HEIGHT = re.compile(r"[0-9]{1,10}")
# Clocks of the recorder and of the server differ by less, and a checkpoint is written within seconds of its block.
_MARGIN = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a restore ends: only what its kind says is set."""

    kind: Literal["latest", "time", "height", "hash"]
    moment: datetime | None = None
    height: int | None = None
    block_hash: str = ""

    def __str__(self) -> str:
        if self.moment is not None:
            return self.moment.isoformat()
        return "the end of the archive" if self.kind == "latest" else f"block {self.block_hash or self.height}"


def parse(text: str) -> Target:
    """Return the target written as `latest`, a height, a block hash or a time with its zone. Raises ValueError."""
    if text == "latest":
        return Target("latest")
    if _HASH.fullmatch(text):
        return Target("hash", block_hash=text)
    if _HEIGHT.fullmatch(text):
        if int(text) > HIGHEST_BLOCK:
            raise ValueError(f"{text} is no height of a block")
        return Target("height", height=int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{text!r}: say latest, a height, a block hash, or a time with its zone: 2026-11-30T05:12:00Z")
    return Target("time", moment=moment.astimezone(UTC))


@dataclass(frozen=True, slots=True)
class Plan:
    """How a target is reached: from which backup, by which setting of PostgreSQL, with WAL up to where (None: all).

    `checkpoint` is what was recorded of the block that has to be the tip then; None: it is not known beforehand.
    """

    backup: Manifest
    settings: dict[str, str]
    last: Lsn | None
    checkpoint: Checkpoint | None


def plan(
    target: Target, backups: Sequence[Manifest], recorded: Sequence[Checkpoint], ancestry: Mapping[int, list[Switch]]
) -> Plan:
    """Choose the newest backup from which a target can be reached. Raises BackupError where there is none.

    `ancestry` has the timelines that every timeline goes on from.
    """
    if target.kind == "latest":
        return Plan(_newest(backups, target), {}, None, None)
    if target.moment is not None:
        moment = target.moment
        fit = [each for each in backups if each.ended <= moment]
        after = next((each for each in recorded if each.seen_at > moment.timestamp() + _MARGIN), None)
        settings = {"recovery_target_time": moment.strftime("%Y-%m-%d %H:%M:%S.%f+00")}
        return Plan(_newest(fit, target), settings, None if after is None else Lsn.parse(after.lsn), None)
    found = checkpoints.find(recorded, height=target.height, block_hash=target.block_hash)
    if found is None:
        highest = max((each.height for each in recorded), default=None)
        known = "none is recorded yet" if highest is None else f"blocks up to {highest} are"
        raise BackupError(f"{target} was not recorded by the backup agent ({known}); choose another, or a time")
    # Recorded in this order: what a backup had as its tip is older than a block above it.
    fit = [each for each in backups if _is_before(each, found) and _leads_to(each, found, ancestry)]
    settings = {"recovery_target_xid": str(found.xid), "recovery_target_timeline": str(found.timeline)}
    return Plan(_newest(fit, target), settings, Lsn.parse(found.lsn), found)


def _is_before(backup: Manifest, wanted: Checkpoint) -> bool:
    """Tell whether a backup is older than a block; after a reorg its tip may be a lower one that came later."""
    if backup.timeline == wanted.timeline and Lsn.parse(backup.stop_lsn) > Lsn.parse(wanted.lsn):
        return False
    return backup.tip is None or backup.tip.height < wanted.height


def _leads_to(backup: Manifest, wanted: Checkpoint, ancestry: Mapping[int, list[Switch]]) -> bool:
    """Tell whether the timeline of a checkpoint goes on from a backup, and not from what was before it."""
    if backup.timeline == wanted.timeline:
        return True
    left = [switch.at for switch in ancestry.get(wanted.timeline, []) if switch.timeline == backup.timeline]
    return any(Lsn.parse(backup.stop_lsn) <= at for at in left)


def _newest(backups: Sequence[Manifest], target: Target) -> Manifest:
    if not backups:
        raise BackupError(f"no backup is old enough to lead to {target}; `simplicity backup list` shows what there is")
    return backups[-1]
