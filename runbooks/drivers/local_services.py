"""The local envelope's services: operations on the supervisor that outlast whoever began them."""

from __future__ import annotations

import time
import xmlrpc.client  # nosec B411
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from infra.local.bring_up import judged
from infra.local.component import components, named
from infra.local.layout import EnvelopeError
from infra.local.lock import exclusive
from infra.local.state import existing, rows
from infra.local.supervisor import State, Supervisor
from runbooks.drivers.operations import own
from runbooks.drivers.protocols import Operation, Refusal, ServiceState
from runbooks.drivers.stepping import Action, Move, Progress, Seen, Step, begun, decide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.component import Component, Envelope
    from infra.local.layout import Layout
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Json
    from runbooks.drivers.stepping import Decision

DRIVER = "supervisor"
NOT_UP = "the envelope is not up; `simplicity up` starts it"
LATER = f"has to wait: {NOT_UP}, and this goes on"


@dataclass(frozen=True, slots=True)
class _World:
    """The envelope and what its supervisor says, at one moment; there are no states when it does not answer."""

    envelope: Envelope
    states: Mapping[str, State]

    def of(self, name: str) -> State:
        return self.states.get(name) or State(name, "MISSING", 0, "the supervisor does not know it")


@dataclass(frozen=True, slots=True)
class LocalServiceControl:
    """ServiceControl for the envelope in `layout`: what `simplicity up` starts, by the names of its components.

    The envelope's lock is held while something is done, not while something is waited for. Members of a group take
    turns, so that those which do the same work are never all away.
    """

    layout: Layout
    store: OperationStore

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: all that there is."""
        return frozenset(Action)

    def services(self) -> list[ServiceState]:
        """Look at every component; raises Refusal when there is no envelope."""
        envelope = self._envelope()
        groups = {component.name: component.group for component in components()}
        return [
            ServiceState(
                name=row.component, group=groups[row.component], state=row.state, pid=row.pid, detail=row.detail
            )
            for row in rows(envelope, Supervisor(self.layout).states())
        ]

    def start(self, key: str, name: str) -> Operation:
        """Start a component or a group, those that others need first; what runs already has only to answer."""
        return self._begin(key, Action.START, name)

    def stop(self, key: str, name: str) -> Operation:
        """Stop a component or a group, those that others need last; the supervisor does not start it again."""
        return self._begin(key, Action.STOP, name)

    def restart(self, key: str, name: str) -> Operation:
        """Restart a component, or those of a group in turn; one that does not run is started."""
        return self._begin(key, Action.RESTART, name)

    def _begin(self, key: str, action: Action, name: str) -> Operation:
        if self.store.find(key) is None:
            self._members(action, name)
        self.store.begin(key, driver=DRIVER, action=action, target=name)
        return self.poll(key)

    def poll(self, key: str) -> Operation:
        """Go on with an operation; while another command holds the envelope's lock it stays as it is, and says so."""
        operation = own(self.store.get(key), DRIVER)
        if operation.over:
            return operation
        waiting = self._only_waits(operation)
        if waiting is not None:
            return replace(operation, detail=waiting)
        try:
            with exclusive(self.layout.lock, "runbook"):
                # Read again: another process may have gone on with it since.
                return self._advance(self.store.get(key))
        except (EnvelopeError, OSError, xmlrpc.client.Error) as error:  # nothing is parsed here: B411 is infra.local's
            return replace(operation, detail=f"has to wait: {error}")

    def _only_waits(self, operation: Operation) -> str | None:
        """Return what there is to wait for, None when there is something to do; needs no lock."""
        progress = Progress.of(operation.result)
        world = self._world()
        if not world.states:
            return LATER
        if progress is None:
            return None
        decision = self._decision(operation, progress, world)
        return decision.detail if decision.move is Move.WAIT else None

    def _advance(self, operation: Operation) -> Operation:
        """Go on until there is something to wait for; the caller holds the lock."""
        action = Action(operation.action)
        while not operation.over:
            world = self._world()
            if not world.states:
                return replace(operation, detail=LATER)
            progress = Progress.of(operation.result)
            if progress is None:
                # Before anything is done: which processes there are, so that nobody replaces them twice.
                first = begun(self._members(action, operation.target), action, world.states, time.time())
                operation = self._record(operation, first, "begun")
                continue
            decision = self._decision(operation, progress, world)
            operation = self._apply(operation, progress, decision, world)
            if decision.move in {Move.WAIT, Move.TELL_STOP}:
                break
        return operation

    def _decision(self, operation: Operation, progress: Progress, world: _World) -> Decision:
        (component,) = named(progress.member)
        state = world.of(progress.member)
        probe = judged(component, state, world.envelope) if progress.step is Step.READY else None
        return decide(Action(operation.action), progress, Seen(component, state, probe), time.time())

    def _apply(self, operation: Operation, progress: Progress, decision: Decision, world: _World) -> Operation:
        """Do what was decided, and record it."""
        if decision.move is Move.WAIT:
            return replace(operation, detail=decision.detail)
        if decision.move is Move.FAIL:
            return self._failed(operation, progress, decision.detail)
        if decision.step is not None:
            return self._record(operation, progress.stepped(decision.step, time.time()), decision.detail)
        (component,) = named(progress.member)
        try:
            return self._act(operation, progress, decision, world, component)
        except EnvelopeError as error:
            if not self._world().states:
                return replace(operation, detail=LATER)
            return self._failed(operation, progress, f"{component.name}: {error}; {component.hint}")

    def _act(
        self, operation: Operation, progress: Progress, decision: Decision, world: _World, component: Component
    ) -> Operation:
        """Touch the world. What may have been done is known from the step that was recorded before."""
        supervisor = Supervisor(self.layout)
        if decision.move is Move.TELL_STOP:
            # Its time to stop counts from now, however long ago the record was begun.
            operation = self._record(operation, progress.stepped(Step.STOP, time.time()), decision.detail)
            supervisor.stop(component.name)
            return operation
        if decision.move is Move.START:
            component.prepare(world.envelope)
            supervisor.start(component.name)
            return self._record(operation, progress.stepped(Step.READY, time.time()), decision.detail)
        if progress.step is Step.READY:
            component.settle(world.envelope)
        return self._ended(operation, progress, decision.detail, world)

    def _record(self, operation: Operation, progress: Progress, detail: str) -> Operation:
        return self.store.update(operation, detail=detail, result=progress.record())

    def _ended(self, operation: Operation, progress: Progress, detail: str, world: _World) -> Operation:
        """End the turn of one; the last one's is the operation's end."""
        action = Action(operation.action)
        pid = world.of(progress.member).pid
        following = progress.turned(action, pid, world.states, time.time())
        if following is not None:
            return self._record(operation, following, detail)
        after = {**progress.after, progress.member: pid}
        changed = [name for name in progress.members if after[name] != progress.before[name]]
        result: dict[str, Json] = {"before": progress.before, "after": after, "changed": changed}
        if action is Action.STOP:
            needed_by = _needing(progress.members, world)
            result["needed_by"] = needed_by
            detail += f"; {', '.join(needed_by)} cannot do without it" if needed_by else ""
        return self.store.done(operation, detail=detail, result=result)

    def _failed(self, operation: Operation, progress: Progress, detail: str) -> Operation:
        left = list(progress.members[progress.at + 1 :])
        detail += f"; left alone: {', '.join(left)}" if left else ""
        result: dict[str, Json] = {"before": progress.before, "after": progress.after}
        return self.store.failed(operation, detail=detail, result=result | {"failed": progress.member, "left": left})

    def _members(self, action: Action, name: str) -> tuple[str, ...]:
        """Return whose turns there are; raises Refusal for what cannot be named here, or when nothing is up."""
        found = named(name)
        if not found:
            known = dict.fromkeys(part for one in components() for part in (one.group, one.name) if part)
            raise Refusal(f"there is no service {name[:100]!r}; there are {', '.join(known)}")
        world = self._world()
        if not world.states:
            raise Refusal(NOT_UP)
        missing = [component.name for component in found if component.name not in world.states]
        if missing:
            raise Refusal(f"{missing[0]} is not part of this envelope; `simplicity up` says with which options it is")
        in_order = [component.name for component in found]
        return tuple(reversed(in_order)) if action is Action.STOP else tuple(in_order)

    def _envelope(self) -> Envelope:
        envelope = existing(self.layout)
        if envelope is None:
            raise Refusal(NOT_UP)
        return envelope

    def _world(self) -> _World:
        return _World(self._envelope(), Supervisor(self.layout).states())


def _needing(members: tuple[str, ...], world: _World) -> list[str]:
    """Return the components that run and need one of these."""
    others = (one for one in components() if one.name not in members)
    return [one.name for one in others if set(one.needs) & set(members) and _runs(one, world)]


def _runs(component: Component, world: _World) -> bool:
    return bool(world.of(component.name).pid)
