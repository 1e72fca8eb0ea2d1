"""What a run writes to the audit trail: an entry for what a line of its journal says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol
from uuid import NAMESPACE_URL, uuid5

from runbooks.engine.state import Kind

if TYPE_CHECKING:
    from audit.entry import Entry
    from runbooks.engine.model import Json
    from runbooks.engine.state import Event, Run


class Recorder(Protocol):
    """Where entries go; the same id twice is one entry. It never raises for a database that is away."""

    def record(self, entry: Entry) -> object:
        """Record an entry now or, where the database is away, as soon as somebody can."""
        ...


STEP_RESULTS = {
    Kind.BEGUN: "begun",
    Kind.DONE: "done",
    Kind.FAILED: "failed: {why}",
    Kind.UNDONE: "undone",
    Kind.STUCK: "failed: {why}",
}
RUN_RESULTS = {
    Kind.OPENED: "begun",
    Kind.RESUMED: "begun",
    Kind.TURNED: "begun",
    Kind.FAILED: "failed: {where}: {why}",
    Kind.STUCK: "failed: {why}",
    Kind.ENDED: "{result}",
}
ENDS = {"closed": "failed: closed by hand"}


def entries_of(run: Run, event: Event) -> list[Entry]:
    """Return the entries that a line of a run's journal stands for; `run` is the state after it.

    Their ids follow from the line's, so that a line recorded twice is in the trail once.
    """
    data: dict[str, Any] = dict(event.data)
    words = {name: data.get(name, "") for name in ("why", "result")}
    words |= {"where": event.step or "verify", "result": ENDS.get(words["result"], words["result"])}
    entries = []
    if event.step and event.kind in STEP_RESULTS:
        after = {"seen": data["seen"], "facts": run.steps[event.step].facts} if event.kind is Kind.DONE else None
        entries.append(_of_step(run, event, STEP_RESULTS[event.kind].format(**words), after=after))
    if event.kind in RUN_RESULTS:
        entries.append(_of_run(run, event, RUN_RESULTS[event.kind].format(**words)))
    return entries


def entry_of_act(run: Run, action: str, target: str, before: Json, after: Json) -> Entry:
    """Return an entry of an act's own."""
    from audit.entry import entry  # noqa: PLC0415 - showing a page needs no trail

    return entry(action, target, before=before, after=after, run=run.id)


def _of_run(run: Run, event: Event, result: str) -> Entry:
    from audit.entry import entry  # noqa: PLC0415 - showing a page needs no trail

    details: dict[str, Any] = {}
    if event.kind is Kind.OPENED:
        details["arguments"] = {"arguments": run.arguments, "from_step": run.first}
    elif event.kind is Kind.ENDED:
        details["after"] = event.data
    else:
        details["arguments"] = {"because": event.kind.value}
    # One line may stand for a step and its run: the run's entry has an id made of the line's. A run's end is recorded
    # before its line is written, and after a kill between them once more: it has the same id then.
    name = f"{run.id}:{result}" if event.kind is Kind.ENDED else event.id
    made = str(uuid5(NAMESPACE_URL, f"simplicity:{name}"))
    return entry("runbook.run", _target(run), result=result, run=run.id, id=made, at=event.at, **details)


def _of_step(run: Run, event: Event, result: str, *, after: Json) -> Entry:
    from audit.entry import entry  # noqa: PLC0415 - showing a page needs no trail

    details: dict[str, Any] = {"arguments": {"step": event.step}, "after": after}
    return entry("runbook.step", _target(run), result=result, run=run.id, id=event.id, at=event.at, **details)


def _target(run: Run) -> str:
    return f"{run.runbook} on {run.environment}/{run.target}"
