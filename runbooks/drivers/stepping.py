"""What an operation on services does next, given how far its record says it is and what the supervisor says: pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from infra.local.assembly import ALIVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.component import Component, Probe
    from infra.local.supervisor import State
    from runbooks.drivers.protocols import Json

# What supervisor has ended and leaves alone. EXITED is not: it starts that again by itself.
ENDED = frozenset({"STOPPED", "FATAL"})
# After a component's own time to stop supervisor kills it; that takes a moment.
KILLED_SECONDS = 10.0


class Action(StrEnum):
    """What a person wants done with a service."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"


class Step(StrEnum):
    """What a component's turn is at: each is recorded before anything is done for it."""

    STOP = "stop"
    START = "start"
    READY = "ready"


class Move(StrEnum):
    """What to do next; TELL_STOP and START touch the world, STEP writes the record and nothing else."""

    WAIT = "wait"
    TELL_STOP = "tell stop"
    START = "start"
    STEP = "step"
    NEXT = "next"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an operation is: `members` take their turns one after the other, `at` is whose it is.

    `before` has each one's pid when its turn began, `after` when it ended; 0 is none. `since` is when the step began,
    in seconds of the machine's clock, since another process may have to go on with it.
    """

    members: tuple[str, ...]
    at: int
    step: Step
    since: float
    before: Mapping[str, int]
    after: Mapping[str, int]

    @property
    def member(self) -> str:
        """Whose turn it is."""
        return self.members[self.at]

    def stepped(self, step: Step, moment: float) -> Progress:
        """Return the same turn at another step."""
        return replace(self, step=step, since=moment)

    def turned(self, action: Action, pid: int, states: Mapping[str, State], moment: float) -> Progress | None:
        """Return the next one's turn, None when all have had theirs; `pid` is what this one has become."""
        ended = replace(self, after={**self.after, self.member: pid}, at=self.at + 1)
        return ended.entered(action, states, moment) if ended.at < len(self.members) else None

    def entered(self, action: Action, states: Mapping[str, State], moment: float) -> Progress:
        """Return the beginning of a turn: what runs now is what a restart has to replace."""
        pid = states[self.member].pid if self.member in states else 0
        first = Step.START if action is Action.START else Step.STOP
        return replace(self, step=first, since=moment, before={**self.before, self.member: pid})

    def record(self) -> dict[str, Json]:
        """Return it as the record keeps it."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Progress | None:
        """Return what a record says, None when nothing has been done yet."""
        if "at" not in record:
            return None
        return cls(**{**record, "members": tuple(record["members"]), "step": Step(record["step"])})


def begun(members: tuple[str, ...], action: Action, states: Mapping[str, State], moment: float) -> Progress:
    """Return the progress of an operation that has done nothing yet."""
    nothing = Progress(members=members, at=0, step=Step.STOP, since=moment, before={}, after={})
    return nothing.entered(action, states, moment)


@dataclass(frozen=True, slots=True)
class Seen:
    """The component whose turn it is, what supervisor says of it, and at the step READY what its probe says."""

    component: Component
    state: State
    probe: Probe | None


@dataclass(frozen=True, slots=True)
class Decision:
    """The next move: `step` is where STEP leads to, `detail` a line for a person."""

    move: Move
    detail: str
    step: Step | None = None


def decide(action: Action, progress: Progress, seen: Seen, moment: float) -> Decision:
    """Return what is to be done next at this moment of the machine's clock."""
    seconds = moment - progress.since
    if progress.step is Step.STOP:
        return _stopping(action, progress.before[progress.member], seen, seconds)
    if progress.step is Step.START:
        return _starting(seen.component, seen.state, seconds)
    return _becoming_ready(seen, seconds)


def _stopping(action: Action, before: int, seen: Seen, seconds: float) -> Decision:
    name, state = seen.component.name, seen.state
    if action is Action.RESTART and state.pid != before and state.state in ALIVE:
        # It ended by itself, and the supervisor was quicker: what was to be replaced has been replaced.
        return Decision(Move.STEP, f"{name} is another process already", Step.START)
    if state.state in ALIVE:
        return Decision(Move.TELL_STOP, f"{name} is stopping")
    if state.state in ENDED or (action is Action.RESTART and state.state == "EXITED"):
        if action is Action.STOP:
            return Decision(Move.NEXT, f"{name} is stopped")
        return Decision(Move.STEP, f"{name} is stopped", Step.START)
    return _patient(seen.component, f"{name} is stopping", seconds)


def _starting(component: Component, state: State, seconds: float) -> Decision:
    if state.state in ALIVE:
        return Decision(Move.STEP, f"{component.name} is starting", Step.READY)
    if state.state == "STOPPING":
        return _patient(component, f"{component.name} is stopping", seconds)
    return Decision(Move.START, f"{component.name} is starting")


def _patient(component: Component, detail: str, seconds: float) -> Decision:
    if seconds > component.stop_seconds + KILLED_SECONDS:
        return Decision(
            Move.FAIL, f"{component.name} does not stop within {seconds:.0f} s; `simplicity down` ends it by force"
        )
    return Decision(Move.WAIT, detail)


def _becoming_ready(seen: Seen, seconds: float) -> Decision:
    component, state, probe = seen.component, seen.state, seen.probe
    if probe is not None and probe.ready:
        return Decision(Move.NEXT, f"{component.name} is ready: {probe.detail}")
    if state.state in {"STOPPED", "STOPPING"}:
        return Decision(Move.FAIL, f"{component.name} was stopped by somebody else meanwhile; start it again")
    why = probe.detail if probe is not None else state.state.lower()
    if state.state == "FATAL" or seconds > component.ready_seconds:
        return Decision(Move.FAIL, f"{component.name} is not ready after {seconds:.0f} s: {why}; {component.hint}")
    return Decision(Move.WAIT, f"{component.name}: {why}")
