"""Machines that come and go, one at a time; whoever goes on after a killed process finishes what was half done."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from infra.environment import Driver
from infra.fleet.plan import Plan
from infra.local.layout import EnvelopeError, layout
from runbooks.drivers import host_scaler
from runbooks.drivers.host_scaler import HostScaler
from runbooks.drivers.operations import OperationStore, wait
from runbooks.drivers.protocols import Phase, Refusal
from tests.runbooks.engine.support import environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.fleet.plan import Machine, Role
    from infra.fleet.storage import Storage


class Lab:
    """A fleet of no machines: what is added is there at once, unless `half` is set."""

    def __init__(self) -> None:
        self.plan, self.answers, self.half, self.done = Plan(), {host.name for host in Plan().hosts}, False, list[str]()

    def loaded(self, _: Storage) -> SimpleNamespace:
        return SimpleNamespace(plan=self.plan)

    def status(self, _: Storage) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=each.name, answers=each.name in self.answers) for each in self.plan.hosts]

    def add(self, _: Storage, role: Role, __: Callable[[str], None]) -> Machine:
        fresh = self.plan.fresh(role)
        self.plan = Plan(hosts=(*self.plan.hosts, fresh))
        self.done.append(f"add {fresh.name}")
        if self.half:
            raise KeyboardInterrupt
        self.answers.add(fresh.name)
        return fresh

    def rebuild(self, _: Storage, name: str, __: Callable[[str], None]) -> None:
        self.answers.add(name)
        self.done.append(f"rebuild {name}")

    def remove(self, _: Storage, name: str) -> None:
        self.plan = Plan(hosts=tuple(each for each in self.plan.hosts if each.name != name))
        self.done.append(f"remove {name}")


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lab:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    made = Lab()
    monkeypatch.setattr(host_scaler, "lab", made)
    monkeypatch.setattr(host_scaler, "exclusive", lambda *_: nullcontext())
    return made


@pytest.fixture
def scaler(lab: Lab, tmp_path: Path) -> HostScaler:  # noqa: ARG001 - sets the home
    config = str(layout().home / "fleet/run/ssh_config")
    there = environment().model_copy(update={"drivers": {"hosts": Driver(kind="ssh", settings={"config": config})}})
    return HostScaler(there, OperationStore(tmp_path / "operations"))


def test_scaling_out_adds_machines_until_there_are_enough(lab: Lab, scaler: HostScaler) -> None:
    scaler.scale("k", "api", 4)
    done = wait(scaler, "k", 5)
    assert (done.phase, done.result["added"], done.result["removed"]) == (Phase.DONE, ["app3", "app4"], [])
    assert lab.done == ["add app3", "add app4"]
    assert scaler.size("api") == 4


def test_scaling_in_removes_what_came_last(lab: Lab, scaler: HostScaler) -> None:
    scaler.scale("k", "api", 3)
    wait(scaler, "k", 5)
    scaler.scale("l", "api", 1)
    done = wait(scaler, "l", 5)
    assert (done.result["removed"], scaler.machines("api")) == (["app2", "app3"], ("app1",))
    assert lab.done == ["add app3", "remove app3", "remove app2"]


def test_a_machine_that_a_killed_process_left_half_made_is_made_anew_not_twice(lab: Lab, scaler: HostScaler) -> None:
    lab.half = True
    with pytest.raises(KeyboardInterrupt):
        scaler.scale("k", "api", 3)
    lab.half = False
    done = wait(scaler, "k", 5)
    assert (done.phase, done.result["added"]) == (Phase.DONE, ["app3"])
    assert lab.done == ["add app3", "rebuild app3"]


def test_a_machine_that_was_there_before_and_is_off_is_left_alone(lab: Lab, scaler: HostScaler) -> None:
    lab.answers.discard("app2")
    scaler.scale("k", "api", 3)
    assert wait(scaler, "k", 5).phase is Phase.DONE
    assert lab.done == ["add app3"]


@pytest.mark.parametrize(("group", "size", "why"), [("database", 3, "cannot be scaled"), ("api", 0, "1 to 20")])
def test_what_cannot_be_scaled_is_refused(scaler: HostScaler, group: str, size: int, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        scaler.scale("k", group, size)


def test_a_machine_that_does_not_boot_fails_the_operation_in_one_line(
    lab: Lab, scaler: HostScaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise EnvelopeError("app3 does not answer")

    monkeypatch.setattr(lab, "add", fail)
    failed = scaler.scale("k", "api", 3)
    assert (failed.phase, failed.detail) == (Phase.FAILED, "app3 does not answer")


def test_a_document_of_another_fleet_is_refused(lab: Lab, tmp_path: Path) -> None:  # noqa: ARG001 - sets the home
    other = environment().model_copy(update={"drivers": {"hosts": Driver(kind="ssh", settings={"config": "/x"})}})
    with pytest.raises(Refusal, match="set SIMPLICITY_HOME"):
        HostScaler(other, OperationStore(tmp_path)).size("api")
