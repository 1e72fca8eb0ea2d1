"""What a run has come to: a pure fold over the lines of its journal."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runbooks.engine.model import Json


class Kind(StrEnum):
    """What a line of the journal says."""

    OPENED = "opened"  # runbook, environment, document, target, arguments, first
    RESUMED = "resumed"
    BEGUN = "begun"  # a step: its act comes next
    ACTED = "acted"  # its act is over; facts
    DONE = "done"  # its check holds; seen
    FAILED = "failed"  # why; a step, or verify where no step is named; undo: the run turns back
    VERIFIED = "verified"  # one look of verify; title, seen
    TURNED = "turned"  # a person turned the run back
    UNDOING = "undoing"  # a step: its undo comes next
    UNDONE = "undone"
    STUCK = "stuck"  # its undo failed; why
    ENDED = "ended"  # result: done, undone or closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A line of a journal; `at` in ISO 8601, UTC. `id` is the id of its entry in the audit trail too."""

    id: str
    at: str
    kind: Kind
    step: str = ""
    data: Mapping[str, Json] = field(default_factory=dict)


class Standing(StrEnum):
    """How a run stands."""

    UNFINISHED = "unfinished"
    FAILED = "failed"
    TURNED_BACK = "turned back"
    STUCK = "needs a person"
    DONE = "done"
    UNDONE = "undone"
    CLOSED = "closed by hand"


OF_THE_RUN = frozenset({Kind.OPENED, Kind.RESUMED, Kind.TURNED, Kind.ENDED})
OVER = frozenset({Standing.DONE, Standing.UNDONE, Standing.CLOSED})
ENDS = {"done": Standing.DONE, "undone": Standing.UNDONE, "closed": Standing.CLOSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """How a step stands; `failures` and `undo_failures` count what failed, not what was killed.

    `acted`: the act of the latest attempt was over, and its facts are known.
    """

    phase: Kind
    acted: bool = False
    facts: Mapping[str, Json] = field(default_factory=dict)
    failures: int = 0
    undo_failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as its journal tells it. `steps` are those that had begun; `first` is where it was begun, "" for all."""

    id: str
    runbook: str = ""
    environment: str = ""
    document: str = ""
    target: str = ""
    arguments: Mapping[str, Json] = field(default_factory=dict)
    first: str = ""
    began: str = ""
    last: str = ""
    steps: Mapping[str, StepState] = field(default_factory=dict)
    standing: Standing = Standing.UNFINISHED
    step: str = ""
    why: str = ""
    left: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.standing in OVER

    @property
    def turned_back(self) -> bool:
        """Whether what is left to do is to undo."""
        return self.standing in {Standing.TURNED_BACK, Standing.STUCK}

    @property
    def facts(self) -> Mapping[str, Json]:
        """All facts, those of later acts over those of earlier ones."""
        merged: dict[str, Json] = {}
        for state in self.steps.values():
            merged |= state.facts
        return MappingProxyType(merged)

    def is_done(self, step: str) -> bool:
        """Say whether a step is done and not undone."""
        return step in self.steps and self.steps[step].phase is Kind.DONE

    @property
    def sentence(self) -> str:
        """The run in a line."""
        where = f" at step {self.step}" if self.step and not self.is_over else ""
        why = f": {self.why}" if self.why else ""
        return f"run {self.id} on {self.environment}/{self.target} is {self.standing}{where}{why}"


def fold(run_id: str, events: Iterable[Event]) -> Run:
    """Return what the events of a run come to."""
    return reduce(after, events, Run(id=run_id))


def after(run: Run, event: Event) -> Run:
    """Return a run after one more event."""
    moved = run if event.kind in OF_THE_RUN else _moved(run, event)
    return replace(moved, last=event.at, **_changes(run, event))


def _changes(run: Run, event: Event) -> dict[str, Any]:
    data: Mapping[str, Any] = event.data
    match event.kind:
        case Kind.OPENED:
            return {"began": event.at, **data}
        case Kind.RESUMED | Kind.TURNED:
            back = run.turned_back or event.kind is Kind.TURNED
            return {"standing": Standing.TURNED_BACK if back else Standing.UNFINISHED, "why": ""}
        case Kind.FAILED:
            return {"standing": Standing.TURNED_BACK if data["undo"] else Standing.FAILED, "why": data["why"]}
        case Kind.STUCK:
            return {"standing": Standing.STUCK, "why": data["why"]}
        case Kind.ENDED:
            why = data.get("why", run.why)
            return {"standing": ENDS[data["result"]], "left": tuple(data.get("left", ())), "why": why}
        case _:
            return {}


def _moved(run: Run, event: Event) -> Run:
    """Move a step; a failure of verify names none."""
    if not event.step:
        return replace(run, step="")
    old = run.steps.get(event.step, StepState(phase=event.kind))
    data: Mapping[str, Any] = event.data
    fresh = StepState(
        phase=event.kind,
        acted=event.kind is Kind.ACTED or (old.acted and event.kind is not Kind.BEGUN),
        facts=data.get("facts", old.facts),
        failures=old.failures + (event.kind is Kind.FAILED),
        undo_failures=old.undo_failures + (event.kind is Kind.STUCK),
    )
    return replace(run, step=event.step, steps={**run.steps, event.step: fresh})
