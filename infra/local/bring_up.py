"""Start what does not run, in the order of need, and wait until each component answers."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from infra.local.assembly import ALIVE, assemble, ensure_secrets, envelope_of, merged
from infra.local.component import Probe, components
from infra.local.layout import EnvelopeError, read_object, write_private
from infra.local.ports import Reservations
from infra.local.processes import family, listening_ports
from infra.local.supervisor import CONTROL_KEY, Supervisor, render
from infra.local.take_down import clear_leftovers, stop_and_wait

if TYPE_CHECKING:
    from infra.local.assembly import Assembled
    from infra.local.component import Component, Envelope
    from infra.local.layout import Layout
    from infra.local.supervisor import State

POLL_SECONDS = 0.1
ANSWER_SECONDS = 10.0


class Report(Protocol):
    """Who hears how it goes."""

    def note(self, text: str) -> None:
        """Hear something worth a line."""

    def waiting(self, name: str, detail: str) -> None:
        """Hear that a component has been started, or what it is at."""

    def ready(self, name: str, seconds: float, detail: str) -> None:
        """Hear that a component answers, `seconds` after it was started."""

    def failed(self, name: str, reason: str) -> None:
        """Hear that a component does not become ready."""


@dataclass(slots=True)
class Outcome:
    """What `up` has come to: components by name with the seconds they took, or with the reason why not.

    `began` has the moment when waiting for each began, `started` those that did not run before, `removed` those that
    ran and are no longer wanted.
    """

    envelope: Envelope
    ready: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def bring_up(layout: Layout, report: Report, *, patience: float | None = None, **wishes: float | str | None) -> Outcome:
    """Bring the envelope up; the caller holds its lock. `patience` overrides each component's time-out, in seconds.

    Raises EnvelopeError for what concerns the whole envelope; what concerns one component is in the outcome.
    """
    supervisor = Supervisor(layout)
    clear_leftovers(layout, supervisor, report.note)
    options = merged(read_object(layout.options), **wishes)
    reservations = Reservations()
    with closing(reservations):
        states = supervisor.states()
        envelope = envelope_of(layout, options, reservations)
        wanted = tuple(component for component in components() if component.wanted(options))
        report.note("preparing")
        assembled = assemble(envelope, wanted, lambda name: name in states and states[name].state in ALIVE)
        removed = configure(layout, supervisor, assembled)
        outcome = Outcome(envelope=assembled.envelope, removed=removed)
        for name, reason in assembled.failed.items():
            outcome.failed[name] = reason
            report.failed(name, reason)
        Starter(supervisor, report, outcome, patience).run(wanted)
    return outcome


def configure(layout: Layout, supervisor: Supervisor, assembled: Assembled) -> list[str]:
    """Make the supervisor know exactly these programs, and return those that it no longer runs.

    What runs unchanged is not touched.
    """
    password = ensure_secrets(layout, [CONTROL_KEY])[CONTROL_KEY]
    write_private(layout.supervisor_config, render(layout, assembled.programs, password))
    if supervisor.pid() is None:
        supervisor.launch()
        deadline = time.monotonic() + ANSWER_SECONDS
        while supervisor.pid() is None:
            if time.monotonic() > deadline:
                raise EnvelopeError(f"supervisor does not answer; its log is {layout.log / 'supervisord.log'}")
            time.sleep(POLL_SECONDS)
        return []
    added, changed, removed = supervisor.reload()
    stop_and_wait(supervisor, {*changed, *removed})
    supervisor.replace(added=[*added, *changed], removed=[*changed, *removed])
    return list(removed)


@dataclass(slots=True)
class Starter:
    """Starts components as soon as what they need is ready, and watches them until they are."""

    supervisor: Supervisor
    report: Report
    outcome: Outcome
    patience: float | None
    last: dict[str, str] = field(default_factory=dict)

    def run(self, wanted: tuple[Component, ...]) -> None:
        """Return when each wanted component is ready or has failed."""
        pending = [component for component in wanted if component.name not in self.outcome.failed]
        while pending:
            states = self.supervisor.states()
            for component in pending:
                self._advance(component, states.get(component.name))
            pending = [c for c in pending if c.name not in self.outcome.ready and c.name not in self.outcome.failed]
            if pending:
                time.sleep(POLL_SECONDS)

    def _advance(self, component: Component, state: State | None) -> None:
        lost = [name for name in component.needs if name in self.outcome.failed]
        if lost:
            self._fail(component, f"not started: it needs {lost[0]}")
        elif not all(name in self.outcome.ready for name in component.needs):
            return
        elif state is None:
            self._fail(component, "the supervisor is gone; run `simplicity up` again")
        elif component.name not in self.outcome.began:
            self.outcome.began[component.name] = time.monotonic()
            if state.state not in ALIVE:
                self.outcome.started.append(component.name)
                self.supervisor.start(component.name)
            self.report.waiting(component.name, "starting")
        else:
            self._watch(component, state)

    def _watch(self, component: Component, state: State) -> None:
        seconds = time.monotonic() - self.outcome.began[component.name]
        probe = judged(component, state, self.outcome.envelope)
        if probe.ready:
            try:
                component.settle(self.outcome.envelope)
            except EnvelopeError as error:
                self._fail(component, str(error))
                return
            self.outcome.ready[component.name] = seconds
            self.report.ready(component.name, seconds, probe.detail)
        elif state.state == "FATAL" or seconds > (self.patience or component.ready_seconds):
            self._fail(component, f"not ready after {seconds:.0f} s: {probe.detail}")
        elif self.last.get(component.name) != probe.detail:
            self.last[component.name] = probe.detail
            self.report.waiting(component.name, probe.detail)

    def _fail(self, component: Component, reason: str) -> None:
        self.outcome.failed[component.name] = reason
        self.report.failed(component.name, reason)


def judged(component: Component, state: State, envelope: Envelope) -> Probe:
    """Probe a component, and believe the answer only when it is its own process that listens."""
    if state.state not in {"RUNNING", "STARTING"}:
        return Probe(
            ready=False, detail=f"{state.state.lower()} ({state.detail})" if state.detail else state.state.lower()
        )
    probe = component.probe(envelope)
    if not probe.ready:
        return probe
    numbers = {envelope.ports[port.name] for port in component.ports}
    # A stranger on our port could answer in our place while our own process dies of "address in use".
    if not numbers <= listening_ports(family(state.pid)):
        return Probe(ready=False, detail="another process answers on its port; run `simplicity up` again")
    return probe
