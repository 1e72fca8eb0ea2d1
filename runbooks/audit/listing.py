"""Entries of the trail as people read them: chosen, and with nothing in them that could play with a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from indexer.auth.times import duration
from indexer.settings import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit.chain import Link

COLUMNS = ("seq", "at", "actor", "origin", "action", "target", "result")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: `since` an ISO time, an action by its beginning, actor and target by a part, a run by its id."""

    since: str = ""
    actor: str = ""
    action: str = ""
    target: str = ""
    run: str = ""

    def has(self, facts: dict[str, Any]) -> bool:
        """Say whether an entry is wanted; one that cannot be read always is."""
        if not facts:
            return True
        said = {name: str(facts.get(name, "")) for name in ("at", "actor", "action", "target", "run")}
        return (
            said["at"] >= self.since
            and self.actor in said["actor"]
            and said["action"].startswith(self.action)
            and self.target in said["target"]
            and (not self.run or said["run"] == self.run)
        )


def chosen(newest: Iterable[Link], wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    """Return the last `limit` entries that are wanted, the newest last; `newest` gives the trail from its end."""
    found = ((link, link.facts) for link in newest)
    picked = list(islice(((link, facts) for link, facts in found if wanted.has(facts)), limit))
    return [facts | {"seq": link.seq, "id": link.id, "hash": link.hash.hex()} for link, facts in reversed(picked)]


def since(text: str, now: datetime) -> str:
    """Return a time as entries have it: of 24h, 7d, 30m, 60s before `now`, or of an ISO date or time (UTC).

    Raises ConfigurationError for anything else.
    """
    if text[:1].isdecimal() and text[-1:] in "smhd":
        at = now - timedelta(seconds=duration("--since", text))
    else:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise ConfigurationError(f"--since {text!r}: must be like 24h, 7d or 2026-11-30T12:00") from None
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")


def table(entries: Iterable[dict[str, Any]]) -> Table:
    """Return entries as a table."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        made.add_column(name, overflow="fold", justify="right" if name == "seq" else "left")
    for each in entries:
        at = str(each.get("at", ""))[:19]
        made.add_row(*(escape(printable(at if name == "at" else str(each.get(name, "?")))) for name in COLUMNS))
    return made


def printable(text: str) -> str:
    """Return a text with what is no visible character (colours, bells, changes of direction) written out."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
