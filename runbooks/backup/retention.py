"""Which backups and which WAL are kept: so many of the newest days, weeks, months and years."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from runbooks.backup.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Policy:
    """How many days, weeks, months and years keep their newest backup; those of the last `recent` hours all stay.

    Every moment since the oldest of the daily ones can be restored.
    """

    recent: int = 24
    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    yearly: int = 3


PERIODS: Mapping[str, Callable[[datetime], tuple[int, ...]]] = {
    "daily": lambda moment: (moment.year, moment.month, moment.day),
    "weekly": lambda moment: moment.isocalendar()[:2],
    "monthly": lambda moment: (moment.year, moment.month),
    "yearly": lambda moment: (moment.year,),
}


@dataclass(frozen=True, slots=True)
class Kept:
    """What retention wants: reasons by backup, and the segments to keep: all from `since` on, ranges before that."""

    reasons: Mapping[str, list[str]]
    since: int | None
    ranges: Sequence[tuple[int, int]] = field(default=())

    def wants_segment(self, number: int) -> bool:
        """Tell whether a WAL segment is still needed."""
        if self.since is None or number >= self.since:
            return True
        return any(first <= number <= last for first, last in self.ranges)


def keep(backups: Sequence[Manifest], proven: Collection[str], policy: Policy) -> Kept:
    """Decide by the backups, oldest first, and the ids of those that were proven.

    The newest proven one always stays, and all that another one builds on.
    """
    reasons: dict[str, list[str]] = {}
    newest_first = list(reversed(backups))
    for name, period in PERIODS.items():
        newest: dict[tuple[int, ...], str] = {}
        for backup in newest_first:
            newest.setdefault(period(backup.ended), backup.id)
        for chosen in list(newest.values())[: getattr(policy, name)]:
            reasons.setdefault(chosen, []).append(name)
    for backup in newest_first:
        # Those of today that another one of today has superseded: the way to a moment between them.
        if newest_first[0].ended - backup.ended <= timedelta(hours=policy.recent):
            reasons.setdefault(backup.id, []).append("recent")
    for backup in [each for each in newest_first if each.id in proven][:1]:
        reasons.setdefault(backup.id, []).append("newest proven")
    for backup in newest_first:  # children come before what they build on
        if backup.id in reasons and backup.parent is not None:
            reasons.setdefault(backup.parent, []).append(f"needed by {backup.id}")
    kept = [each for each in backups if each.id in reasons]
    # Days with a daily backup, whatever else of theirs stays: WAL has no gap from there on.
    day = PERIODS["daily"]
    days = {day(each.ended) for each in kept if {"daily", "recent"} & set(reasons[each.id])}
    since = min((each.first_segment for each in kept if day(each.ended) in days), default=None)
    return Kept(reasons, since, [(each.first_segment, each.last_segment) for each in kept])
