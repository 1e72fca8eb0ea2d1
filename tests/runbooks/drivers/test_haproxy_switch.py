"""The switch tells every balancer, believes only what they say, and is done or has failed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from infra.environment import Driver, Host
from runbooks.drivers.haproxy_switch import HaproxySwitch, shares
from runbooks.drivers.protocols import Phase, Refusal
from runbooks.drivers.remote import Remote, UnreachableError
from runbooks.drivers.select import Drivers
from tests.runbooks.engine.support import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.environment import Environment
    from runbooks.drivers.operations import OperationStore


class Balancers:
    """Two of them; `gone` do not answer, `deaf` keep what they have."""

    def __init__(self) -> None:
        self.weights = {name: {"blue": 100, "green": 0} for name in ("lb1", "lb2")}
        self.gone: set[str] = set()
        self.deaf: set[str] = set()

    def run(self, host: str, argv: Sequence[str], *, within: float) -> str:
        assert within > 0
        assert argv[:6] == ["sudo", "-n", "-u", "root", "--", "simplicity-weights"]
        if host in self.gone:
            raise UnreachableError(f"{host} does not answer")
        if host not in self.deaf:
            self.weights[host] |= {word.split("=")[0]: int(word.split("=")[1]) for word in argv[6:]}
        servers = {
            f"app{number}-{colour}": {"weight": weight, "up": True}
            for number in (1, 2)
            for colour, weight in self.weights[host].items()
        }
        return json.dumps({"servers": servers, "colours": {}, "changed": True})


@pytest.fixture
def balancers(monkeypatch: pytest.MonkeyPatch) -> Balancers:
    made = Balancers()
    monkeypatch.setattr(Remote, "run", made.run)
    return made


@pytest.fixture
def here() -> Environment:
    hosts = (Host(name="lb1", address="10.0.0.1"), Host(name="lb2", address="10.0.0.2"))
    drivers = {"hosts": Driver(kind="ssh"), "traffic_switch": Driver(kind="haproxy")}
    return environment().model_copy(update={"place": "fleet", "hosts": {"balancer": hosts}, "drivers": drivers})


@pytest.fixture
def switch(here: Environment, store: OperationStore) -> HaproxySwitch:
    return HaproxySwitch(here, store)


def test_all_balancers_are_told_and_asked(switch: HaproxySwitch, balancers: Balancers) -> None:
    done = switch.shift("k", {"blue": 75, "green": 25})
    assert done.phase is Phase.DONE, done.detail
    assert switch.weights() == {"blue": 75, "green": 25}
    assert balancers.weights["lb1"] == balancers.weights["lb2"] == {"blue": 75, "green": 25}
    assert switch.poll("k") == done


def test_one_that_is_away_fails_the_switch_and_the_others_have_it(switch: HaproxySwitch, balancers: Balancers) -> None:
    balancers.gone = {"lb1"}
    done = switch.shift("k", {"blue": 0, "green": 100})
    assert done.phase is Phase.FAILED
    assert "lb1 does not answer" in done.detail
    assert balancers.weights["lb2"]["green"] == 100
    with pytest.raises(Refusal, match="lb1 does not answer"):
        switch.weights()


def test_one_that_does_not_do_it_fails_the_switch(switch: HaproxySwitch, balancers: Balancers) -> None:
    balancers.deaf = {"lb2"}
    done = switch.shift("k", {"blue": 0, "green": 100})
    assert done.phase is Phase.FAILED
    assert "lb2 was told" in done.detail
    with pytest.raises(Refusal, match="the balancers differ"):
        switch.weights()


@pytest.mark.parametrize("wrong", [{"blue": 50, "green": 49}, {"blue": 101, "green": -1}, {}])
def test_shares_come_to_a_hundred(switch: HaproxySwitch, balancers: Balancers, wrong: dict[str, int]) -> None:
    with pytest.raises(Refusal, match="have to come to 100"):
        switch.shift("k", wrong)
    assert balancers.weights["lb1"] == {"blue": 100, "green": 0}


def test_a_colour_that_no_balancer_has_is_refused(switch: HaproxySwitch, balancers: Balancers) -> None:
    del balancers.weights["lb1"]["green"], balancers.weights["lb2"]["green"]
    balancers.deaf = {"lb1", "lb2"}
    assert switch.shift("k", {"blue": 0, "green": 100}).phase is Phase.FAILED


def test_shares_are_of_the_weights() -> None:
    assert shares({"app1-blue": 95, "app2-blue": 95, "app1-green": 5, "app2-green": 5}) == {"blue": 95, "green": 5}
    assert shares({"app1-blue": 0}) == {"blue": 0}


def test_the_document_names_it(here: Environment, store: OperationStore) -> None:
    assert isinstance(Drivers.for_environment(here, store.directory).traffic_switch, HaproxySwitch)
    lacking = here.model_copy(update={"drivers": {}})
    with pytest.raises(Refusal):
        Drivers.for_environment(lacking, store.directory).traffic_switch.weights()
