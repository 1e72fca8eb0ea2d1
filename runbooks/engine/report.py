"""How a run is told at its end, and in a list: as an object and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbooks.engine.run import ways_on
from runbooks.engine.state import Kind, Standing

if TYPE_CHECKING:
    from runbooks.engine.model import Runbook
    from runbooks.engine.state import Run

EXITS = {Standing.DONE: 0, Standing.UNDONE: 4, Standing.CLOSED: 0}


def exit_code(run: Run) -> int:
    """Return 0 for done, 4 for undone after a failure, 1 for everything that is not over."""
    return EXITS.get(run.standing, 1)


def record(run: Run, book: Runbook | None = None) -> dict[str, Any]:
    """Return a run as plain values; `left` and `next` tell what there is still to do."""
    return {
        "run": run.id,
        "runbook": run.runbook,
        "environment": run.environment,
        "target": run.target,
        "arguments": run.arguments,
        "standing": run.standing,
        "why": run.why,
        "began": run.began,
        "last": run.last,
        "steps": {name: state.phase for name, state in run.steps.items()},
        "facts": dict(run.facts),
        "left": left(run, book) if book else [],
        "next": "" if run.is_over else ways_on(run),
    }


def left(run: Run, book: Runbook) -> list[str]:
    """Return the steps that are left: to do, to undo, or as they were when a run was taken back."""
    if run.is_over:
        return list(run.left)
    names = [step.name for step in book.steps]
    if run.turned_back:
        states = run.steps
        return [name for name in reversed(names) if name in states and states[name].phase is not Kind.UNDONE]
    return [name for name in names[names.index(run.first) if run.first else 0 :] if not run.is_done(name)]


def summary(run: Run, book: Runbook) -> str:
    """Return what was done, what is left and how to go on, a line each."""
    by_phase = {
        phase: [name for name, state in run.steps.items() if state.phase is phase] for phase in (Kind.DONE, Kind.UNDONE)
    }
    lines = [run.sentence]
    lines += [f"  {phase}: {', '.join(names)}" for phase, names in by_phase.items() if names]
    remaining = left(run, book)
    if remaining:
        lines.append(f"  left{' as they were' if run.is_over else ''}: {', '.join(remaining)}")
    elif not run.is_over:
        lines.append("  left: verify")
    if not run.is_over:
        lines.append(f"  go on: {ways_on(run)}")
    return "\n".join(lines)
