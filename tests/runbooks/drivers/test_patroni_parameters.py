"""Who is restarted when a parameter needs it: replicas first, the leader once another one can take over."""

from __future__ import annotations

import time

import pytest

from runbooks.drivers.patroni_api import Answer, Patroni, Server
from runbooks.drivers.patroni_parameters import Parameters, following
from tests.runbooks.engine.support import environment


def _server(name: str, *, leads: bool = False, waits: bool = False) -> Server:
    role, state = ("leader", "running") if leads else ("sync_standby", "streaming")
    return Server(name=name, role=role, state=state, timeline=1, lag=0, pending_restart=waits)


@pytest.mark.parametrize(
    ("leader_waits", "replica_waits", "restarted", "expected"),
    [
        (False, False, set(), None),
        (True, True, set(), "db2"),
        (True, False, set(), "db1"),
        # A value that becomes lower: the replica waits on, and the leader's turn has come.
        (True, True, {("db2", "db1")}, "db1"),
        (False, True, {("db2", "db1")}, None),
        # Another one leads since: it may be restarted again.
        (False, True, {("db2", "db9")}, "db2"),
    ],
)
def test_who_is_next(
    *, leader_waits: bool, replica_waits: bool, restarted: set[tuple[str, str]], expected: str | None
) -> None:
    servers = [_server("db1", leads=True, waits=leader_waits), _server("db2", waits=replica_waits)]
    found = following(servers, restarted)
    assert (found.name if found else None) == expected


class Cluster:
    """Two servers that Patroni restarts: a replica keeps the higher one of its own value and its primary's."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.leader, self.done = wanted, "db1", list[str]()
        self.has = {"db1": 100, "db2": 100}

    def servers(self) -> list[Server]:
        found = [
            _server(name, leads=name == self.leader, waits=value != self.wanted) for name, value in self.has.items()
        ]
        return sorted(found, key=lambda each: not each.leads)

    def call(self, method: str, path: str, *_: object, of: str = "", **__: object) -> Answer:
        assert (method, path) == ("POST", "/restart")
        self.has[of] = self.wanted if of == self.leader else max(self.wanted, self.has[self.leader])
        self.done.append(f"restart {of}")
        return Answer(200, "")

    def switch(self, name: str) -> None:
        self.leader = name
        self.done.append(f"switch {name}")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (100, []),
        # Higher: nothing is written for the moment of a switchover alone.
        (120, ["restart db2", "switch db2", "restart db1"]),
        # Lower: the replica is tried, waits on, and follows the primary that was restarted where it is.
        (80, ["restart db2", "restart db1", "restart db2"]),
    ],
)
def test_a_parameter_comes_into_force_on_all_servers(
    wanted: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(wanted)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(Patroni, "servers", lambda _: cluster.servers())
    monkeypatch.setattr(Patroni, "call", lambda _, *args, **named: cluster.call(*args, **named))
    Parameters(environment()).settle(cluster.switch, lambda _: None)
    assert cluster.done == expected
    assert set(cluster.has.values()) == {wanted}
