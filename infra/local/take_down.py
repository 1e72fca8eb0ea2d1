"""Stop processes of the envelope: all of them, or those that a killed supervisor has left behind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from infra.local.assembly import ALIVE
from infra.local.component import components
from infra.local.layout import EnvelopeError
from infra.local.processes import envelope_processes, family, stop_all, wait_gone
from infra.local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.local.component import Component
    from infra.local.layout import Layout
    from infra.local.supervisor import State

POLL_SECONDS = 0.1
# Longer than any component's own time to stop, after which supervisor kills it.
STOP_SECONDS = 45.0


def clear_leftovers(layout: Layout, supervisor: Supervisor, note: Callable[[str], None]) -> None:
    """Stop processes of this envelope that no supervisor looks after: those of one that was killed."""
    pid = supervisor.pid()
    cared_for = {process.pid for process in family(pid)} if pid is not None else set()
    leftovers = [process for process in envelope_processes(layout.data) if process.pid not in cared_for]
    if leftovers:
        note(f"stopping {len(leftovers)} processes that an earlier supervisor has left behind")
        stop_all(leftovers)


def take_down(layout: Layout, *, patience: float = STOP_SECONDS) -> int:
    """Stop every process of the envelope and return how many there were; the caller holds the lock.

    What depends on others is stopped first. Raises EnvelopeError when a process survives even SIGKILL.
    """
    processes = envelope_processes(layout.data)
    supervisor = Supervisor(layout)
    pid = supervisor.pid()
    if pid is not None:
        try:
            _stop_in_order(supervisor, time.monotonic() + patience)
            supervisor.shutdown()
            wait_gone([p for p in processes if p.pid == pid], within=10)
        except OSError:
            pass  # killed under our hands: what is left is stopped below
    # Again: one that is told to stop may have started another meanwhile.
    while left := envelope_processes(layout.data):
        stop_all(left)
    if layout.socket.parent != layout.run and layout.socket.parent.is_dir():
        layout.socket.unlink(missing_ok=True)
        layout.socket.parent.rmdir()
    return len(processes)


def _stop_in_order(supervisor: Supervisor, deadline: float) -> None:
    known: Mapping[str, Component] = {component.name: component for component in components()}
    told: set[str] = set()
    while time.monotonic() < deadline:
        alive = [name for name, state in supervisor.states().items() if _lives(state)]
        if not alive:
            return
        for name in alive:
            if any(other in known and name in known[other].needs for other in alive):
                continue
            if name in told and name in known and known[name].drains:
                # Nobody is left whom it would have to serve until others notice.
                supervisor.signal(name, known[name].stop_signal)
            else:
                supervisor.stop(name)
                told.add(name)
        time.sleep(POLL_SECONDS)


def stop_and_wait(supervisor: Supervisor, names: set[str], *, patience: float = STOP_SECONDS) -> None:
    """Stop some programs and wait until their processes are gone; raises EnvelopeError when one stays."""
    for name in names:
        supervisor.stop(name)
    deadline = time.monotonic() + patience
    while left := [name for name, state in supervisor.states().items() if name in names and _lives(state)]:
        if time.monotonic() > deadline:
            raise EnvelopeError(f"{left[0]} does not stop; `simplicity down` ends it by force")
        time.sleep(POLL_SECONDS)


def _lives(state: State) -> bool:
    return bool(state.pid) or state.state in ALIVE
