"""How far a restore goes: to the end of what is archived, a moment, a height or a block."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from indexer.settings import HIGHEST_BLOCK
from runbooks.backup import checkpoints, timelines
from runbooks.backup.errors import BackupError
from runbooks.backup.lsn import Lsn
from runbooks.backup.timelines import leads_to

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
    `as_it_is`: only to where the backup is consistent, for the WAL after it is not kept, or leads elsewhere.
    """

    backup: Manifest
    timeline: int
    settings: dict[str, str]
    last: Lsn | None = None
    checkpoint: Checkpoint | None = None
    as_it_is: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What a plan is made from: all backups, oldest first, what was recorded, and the timelines each one goes on from.

    `live` is the live server's timeline, None where none answers; all WAL is kept from the segment `since` on.
    """

    backups: Sequence[Manifest]
    recorded: Sequence[Checkpoint]
    ancestry: Mapping[int, list[Switch]] = field(default_factory=dict)
    live: int | None = None
    since: int | None = None


def plan(target: Target, known: Known, chosen: Manifest | None = None) -> Plan:
    """Choose the newest backup from which a target can be reached, or take the chosen one.

    Raises BackupError where none leads there.
    """
    candidates = known.backups if chosen is None else [chosen]
    if target.moment is not None:
        return _to_moment(target, target.moment, candidates, known)
    if target.kind == "latest":
        return _to_latest(target, candidates, known, chosen)
    found = checkpoints.find(known.recorded, height=target.height, block_hash=target.block_hash)
    if found is None:
        highest = max((each.height for each in known.recorded), default=None)
        told = "none is recorded yet" if highest is None else f"blocks up to {highest} are"
        raise BackupError(f"{target} was not recorded by the backup agent ({told}); choose another, or a time")
    fit = [each for each in candidates if _is_before(each, found) and leads_to(each, found.timeline, known.ancestry)]
    settings = {"recovery_target_xid": str(found.xid)}
    return _planned(_newest(fit, target), found.timeline, settings, Lsn.parse(found.lsn), found)


def _to_latest(target: Target, candidates: Sequence[Manifest], known: Known, chosen: Manifest | None) -> Plan:
    timeline = timelines.now(known.recorded, known.backups, known.live)
    if chosen is not None and not (_is_in_window(chosen, known) and leads_to(chosen, timeline, known.ancestry)):
        settings = {"recovery_target": "immediate"}
        return replace(_planned(chosen, chosen.timeline, settings, Lsn(Lsn.parse(chosen.stop_lsn) - 1)), as_it_is=True)
    fit = [each for each in candidates if leads_to(each, timeline, known.ancestry)]
    return _planned(_newest(fit, target), timeline, {})


def _to_moment(target: Target, moment: datetime, candidates: Sequence[Manifest], known: Known) -> Plan:
    timeline = timelines.at(moment, known.recorded, known.backups)
    fit = [each for each in candidates if each.ended <= moment and leads_to(each, timeline, known.ancestry)]
    late = (each for each in known.recorded if each.seen_at > moment.timestamp() + _MARGIN)
    after = next((Lsn.parse(each.lsn) for each in late if each.timeline == timeline), None)
    settings = {"recovery_target_time": moment.strftime("%Y-%m-%d %H:%M:%S.%f+00")}
    return _planned(_newest(fit, target), timeline, settings, after)


def _planned(
    backup: Manifest, timeline: int, settings: dict[str, str], last: Lsn | None = None, wanted: Checkpoint | None = None
) -> Plan:
    # Always by its number: left to itself PostgreSQL follows the newest timeline, though a person has turned it back.
    return Plan(backup, timeline, settings | {"recovery_target_timeline": str(timeline)}, last, wanted)


def _is_in_window(backup: Manifest, known: Known) -> bool:
    return known.since is None or backup.first_segment >= known.since


def _is_before(backup: Manifest, wanted: Checkpoint) -> bool:
    """Tell whether a backup is older than a block; after a reorg its tip may be a lower one that came later."""
    if backup.timeline == wanted.timeline and Lsn.parse(backup.stop_lsn) > Lsn.parse(wanted.lsn):
        return False
    return backup.tip is None or backup.tip.height < wanted.height


def _newest(backups: Sequence[Manifest], target: Target) -> Manifest:
    if not backups:
        raise BackupError(f"no backup is old enough to lead to {target}; `simplicity backup list` shows what there is")
    return backups[-1]
