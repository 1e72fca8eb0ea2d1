"""What became of deployments: told by the journals of their runs, so that there is nothing to keep beside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbooks.engine.state import Run

BOOKS = ("deploy-release", "deploy-rollback", "deploy-settle", "deploy-switch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A deployment: which release took the place of which, at which colour, how it ended, and why where it failed."""

    run: str
    what: str
    release: str
    before: str
    colour: str
    standing: str
    why: str
    began: str
    seconds: float

    @property
    def sentence(self) -> str:
        """The deployment in a line."""
        why = f": {self.why}" if self.why else ""
        return f"{self.began[:19]} {self.what} {self.release or self.colour}: {self.standing}{why}"


def rows(runs: Iterable[Run], environment: str) -> list[Row]:
    """Return the deployments of an environment, the oldest first."""
    return [row(each) for each in runs if each.environment == environment and each.runbook in BOOKS]


def row(run: Run) -> Row:
    """Return what a run's journal says of a deployment."""
    facts: Any = run.facts
    arguments: Any = run.arguments
    return Row(
        run=run.id,
        what=run.runbook.removeprefix("deploy-"),
        release=str(arguments.get("release") or facts.get("back_release", "")),
        before=str(facts.get("old_release", "")),
        colour=str(arguments.get("colour") or facts.get("idle", "")),
        standing=run.standing.value,
        why=run.why,
        began=run.began,
        seconds=round((datetime.fromisoformat(run.last) - datetime.fromisoformat(run.began)).total_seconds(), 1),
    )
