"""A real supervisor with small programs of ours: operations on services that are not as they should be."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from infra.local import component as component_module
from infra.local.assembly import Assembled
from infra.local.bring_up import configure
from infra.local.component import Component, Envelope, Options, Probe
from infra.local.layout import EnvelopeError, Layout
from infra.local.processes import envelope_processes
from infra.local.supervisor import Program, Supervisor
from infra.local.take_down import take_down
from runbooks.drivers import local_services
from runbooks.drivers.local_services import LocalServiceControl
from runbooks.drivers.operations import wait
from runbooks.drivers.protocols import Phase, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Operation

SLEEPS = ("sleep", "600")
STUBBORN = ("sh", "-c", 'trap "" TERM; while :; do sleep 0.1; done')


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Layout]:
    made = Layout(home=tmp_path / "home", tools=tmp_path / "tools")
    made.create()
    yield made
    take_down(made, patience=0.1)
    assert envelope_processes(made.data) == []


def component(name: str, *, ready: bool = True, needs: tuple[str, ...] = ()) -> Component:
    return Component(
        name=name,
        group="pair",
        needs=needs,
        command=lambda _: SLEEPS,
        probe=lambda _: Probe(ready=ready, detail="as it says"),
        url=lambda _: "",
        hint="look at its log",
        ready_seconds=0.3,
    )


@dataclass
class World:
    """An envelope of small programs, and what is asked of its services."""

    place: Layout
    store: OperationStore
    monkeypatch: pytest.MonkeyPatch
    parts: list[Component] = field(default_factory=list)

    def have(self, *parts: Component, commands: Mapping[str, tuple[str, ...]] | None = None) -> LocalServiceControl:
        """Bring these components before a supervisor, and start them."""
        found = {part.name: part for part in parts}
        envelope = Envelope(self.place, {}, Options(), {})
        programs = tuple(
            Program(name, (commands or {}).get(name, SLEEPS), self.place.data, {}, "TERM", 1) for name in found
        )
        configure(self.place, self.supervisor, Assembled(envelope, programs, {}))
        for name in found:
            self.supervisor.start(name)
        self.monkeypatch.setattr(local_services, "existing", lambda _: envelope)
        ordered = component_module.in_order(found)
        self.monkeypatch.setattr(component_module, "components", lambda: ordered)
        self.monkeypatch.setattr(local_services, "components", lambda: ordered)
        return LocalServiceControl(self.place, self.store)

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.place)

    def pids(self) -> dict[str, int]:
        return {name: state.pid for name, state in self.supervisor.states().items()}


@pytest.fixture
def world(place: Layout, store: OperationStore, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(place, store, monkeypatch)


def ended(control: LocalServiceControl, key: str = "k") -> Operation:
    operation = wait(control, key, 20)
    assert operation.over, operation
    return operation


def until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_service_that_does_not_become_ready_fails_with_its_hint_and_those_after_it_are_left_alone(
    world: World,
) -> None:
    control = world.have(component("a", ready=False), component("b"))
    before = world.pids()
    control.restart("k", "pair")
    operation = ended(control)
    assert operation.phase is Phase.FAILED
    assert operation.detail == "a is not ready after 0 s: as it says; look at its log; left alone: b"
    assert operation.result == {"before": {"a": before["a"]}, "after": {}, "failed": "a", "left": ["b"]}
    assert world.pids()["b"] == before["b"]
    again = world.pids()
    assert control.restart("k", "pair") == operation
    assert world.pids() == again, "what has failed is not tried again with the same key"


def test_a_group_is_stopped_in_the_reverse_order_of_need_and_stays_stopped(world: World) -> None:
    other = replace(component("c", needs=("a",)), group="")
    control = world.have(component("a"), component("b", needs=("a",)), other)
    control.stop("k", "pair")
    operation = ended(control)
    assert list(operation.result["before"]) == ["b", "a"]  # type: ignore[arg-type] # it is a record of pids by name
    assert operation.result["needed_by"] == ["c"]
    assert operation.detail == "a is stopped; c cannot do without it"
    # STOPPED, not EXITED: the supervisor never starts it by itself.
    states = {name: state.state for name, state in world.supervisor.states().items()}
    assert (states["a"], states["b"], world.pids()["c"] > 0) == ("STOPPED", "STOPPED", True)
    control.start("s", "pair")
    assert list(ended(control, "s").result["after"]) == ["a", "b"]  # type: ignore[arg-type] # the same


def test_a_service_that_ignores_its_signal_is_ended_by_the_supervisor(world: World) -> None:
    control = world.have(component("a"), commands={"a": STUBBORN})
    before = world.pids()["a"]
    until(lambda: world.supervisor.states()["a"].state == "RUNNING")
    first = control.restart("k", "a")
    assert (first.phase, first.detail) == (Phase.RUNNING, "a is stopping")
    assert ended(control).phase is Phase.DONE
    assert world.pids()["a"] not in {0, before}


def test_a_service_that_died_by_itself_meanwhile_is_not_replaced_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = world.have(component("a"))
    until(lambda: world.supervisor.states()["a"].state == "RUNNING")
    before = world.pids()["a"]

    def killed_first(self: Supervisor, name: str) -> None:
        os.kill(before, signal.SIGKILL)
        until(lambda: self.states()[name].pid not in {0, before})

    monkeypatch.setattr(Supervisor, "stop", killed_first)
    control.restart("k", "a")
    operation = ended(control)
    assert operation.phase is Phase.DONE
    assert operation.result["before"] == {"a": before}
    assert operation.result["after"] == world.pids()


def test_a_service_that_somebody_stops_while_it_is_started_fails_at_once(world: World) -> None:
    control = world.have(replace(component("a", ready=False), ready_seconds=60))
    control.start("k", "a")
    world.supervisor.stop("a")
    operation = ended(control)
    assert operation.detail == "a was stopped by somebody else meanwhile; start it again"


def refuses(_: Envelope) -> None:
    raise EnvelopeError("no space left")


@pytest.mark.parametrize(
    "part",
    [replace(component("a"), prepare=refuses), replace(component("a"), settle=refuses)],
    ids=["prepare", "settle"],
)
def test_a_service_that_cannot_be_prepared_or_settled_fails_with_the_reason(world: World, part: Component) -> None:
    control = world.have(part)
    control.restart("k", "a")
    operation = ended(control)
    assert (operation.phase, operation.detail) == (Phase.FAILED, "a: no space left; look at its log")


def test_a_supervisor_that_dies_while_it_is_told_something_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = world.have(component("a"), component("b"))
    pid = world.supervisor.pid()
    assert pid is not None

    def gone(self: Supervisor, name: str) -> None:
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.pid() is None)
        raise EnvelopeError(f"the supervisor is gone before {name}")

    with monkeypatch.context() as patched:
        patched.setattr(Supervisor, "start", gone)
        control.restart("k", "a")
        operation = wait(control, "k", 10)
    assert not operation.over
    assert operation.detail == "has to wait: the envelope is not up; `simplicity up` starts it, and this goes on"
    world.have(component("a"), component("b"))
    assert ended(control).phase is Phase.DONE


def test_a_word_to_the_supervisor_that_is_lost_is_said_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    control = world.have(component("a"))
    before = world.pids()["a"]

    def lost(_: Supervisor, __: str) -> None:
        raise ConnectionError("the answer broke off")

    with monkeypatch.context() as patched:
        patched.setattr(Supervisor, "stop", lost)
        assert control.restart("k", "a").detail == "has to wait: the answer broke off"
    assert ended(control).phase is Phase.DONE
    assert world.pids()["a"] != before


def test_a_supervisor_that_dies_between_two_words_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    control = world.have(component("a"))
    states = Supervisor.states
    looks: list[int] = []

    def second_look_sees_nothing(self: Supervisor) -> Mapping[str, object]:
        looks.append(1)
        return {} if len(looks) == 3 else states(self)

    monkeypatch.setattr(Supervisor, "states", second_look_sees_nothing)
    assert control.restart("k", "a").detail.startswith("has to wait: the envelope is not up")
    assert ended(control).phase is Phase.DONE


def test_a_service_that_this_envelope_leaves_out_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    control = world.have(component("a"))
    more = (component("a"), component("left-out"))
    monkeypatch.setattr(component_module, "components", lambda: more)
    with pytest.raises(Refusal, match="left-out is not part of this envelope; `simplicity up` says"):
        control.start("k", "left-out")
    assert control.store.find("k") is None
