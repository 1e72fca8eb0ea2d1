"""A switchover by Patroni: to whom, told once, done when all follow, and gone on with by another process."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from runbooks.drivers import patroni
from runbooks.drivers.operations import OperationStore
from runbooks.drivers.patroni import PatroniFailover, candidate
from runbooks.drivers.patroni_api import Answer, Patroni, servers
from runbooks.drivers.protocols import Member, Phase, Refusal
from runbooks.drivers.remote import RemoteError, UnreachableError
from tests.runbooks.engine.support import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass
class Cluster:
    """A cluster of made-up servers: what it is told it does at once, or as it is made to."""

    roles: dict[str, str] = field(default_factory=lambda: {"db1": "leader", "db2": "sync_standby"})
    states: dict[str, str] = field(default_factory=dict)
    answer: Answer | RemoteError = field(default_factory=lambda: Answer(200, "done"))
    told: list[Mapping[str, Any]] = field(default_factory=list)
    away: bool = False
    obeys: bool = True

    def _member(self, name: str) -> dict[str, object]:
        role = self.roles[name]
        state = self.states.get(name, "running" if role == "leader" else "streaming")
        return {"name": name, "role": role, "state": state, "timeline": 3, "lag": 0}

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, **_: object) -> Answer:
        if self.away:
            raise UnreachableError("db1 does not answer")
        if method == "GET":
            members = [self._member(name) for name in self.roles]
            return Answer(200, json.dumps({"members": members}))
        assert path == "/switchover"
        assert body is not None
        self.told.append(body)
        if isinstance(self.answer, RemoteError):
            raise self.answer
        if self.answer.good and self.obeys:
            self.roles = {name: "leader" if name == body["candidate"] else "sync_standby" for name in self.roles}
        return self.answer


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(Patroni, "call", lambda _, *args, **named: made.call(*args, **named))
    return made


@pytest.fixture
def failover(tmp_path: Path) -> PatroniFailover:
    return PatroniFailover(environment(), OperationStore(tmp_path / "operations"))


def test_members_are_the_primary_first(cluster: Cluster, failover: PatroniFailover) -> None:
    cluster.roles = {"db1": "replica", "db2": "leader"}
    assert failover.members() == [
        Member(name="db2", role="primary", lag=0),
        Member(name="db1", role="replica", lag=0),
    ]


def test_a_switch_is_done_when_the_new_primary_runs_and_the_old_one_follows(
    cluster: Cluster, failover: PatroniFailover
) -> None:
    cluster.states = {"db1": "stopping"}
    begun = failover.switch("k", "db2")
    assert begun.phase is Phase.RUNNING
    assert cluster.told == [{"leader": "db1", "candidate": "db2"}]
    assert failover.poll("k").detail == "db2 leads; waits for db1"
    cluster.states = {}
    done = failover.poll("k")
    assert (done.phase, done.result["was"], done.result["leader"]) == (Phase.DONE, "db1", "db2")
    assert len(cluster.told) == 1


def test_the_same_key_is_the_same_switch_also_when_it_is_done(cluster: Cluster, failover: PatroniFailover) -> None:
    failover.switch("k", "db2")
    failover.poll("k")
    assert failover.switch("k", "db2").phase is Phase.DONE
    assert len(cluster.told) == 1


def test_what_patroni_refuses_is_told_in_its_words(cluster: Cluster, failover: PatroniFailover) -> None:
    cluster.answer = Answer(412, "candidate name does not match with sync_standby")
    failed = failover.switch("k", "db2")
    assert (failed.phase, failed.detail) == (
        Phase.FAILED,
        "Patroni refuses: candidate name does not match with sync_standby",
    )


def test_an_answer_that_is_lost_is_waited_for_then_asked_again_and_given_up_in_the_end(
    cluster: Cluster, failover: PatroniFailover, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 1000.0
    monkeypatch.setattr(time, "time", lambda: moment)
    cluster.answer = UnreachableError("db1 does not answer")
    assert failover.switch("k", "db2").phase is Phase.RUNNING
    assert failover.poll("k").detail == "db1 still leads"
    assert len(cluster.told) == 1
    moment += patroni.TELL_SECONDS + 1
    failover.poll("k")
    assert len(cluster.told) == 2
    cluster.away = True
    moment = 1000.0 + patroni.PATIENCE_SECONDS + 1
    given_up = failover.poll("k")
    assert given_up.phase is Phase.FAILED
    assert "patronictl list" in given_up.detail


@pytest.mark.parametrize(
    ("members", "wanted", "why"),
    [
        ({"db1": "leader", "db2": "sync_standby"}, "db1", "is the primary already"),
        ({"db1": "leader", "db2": "sync_standby"}, "db9", "no member 'db9'; it has db1, db2"),
        ({"db1": "leader", "db2": "replica"}, "db2", "only a synchronous standby"),
        ({"db1": "leader", "db2": "replica"}, "", "no synchronous standby"),
        ({}, "", "the members are none"),
    ],
)
def test_only_a_synchronous_standby_can_take_over(members: dict[str, str], wanted: str, why: str) -> None:
    there = [{"name": name, "role": role, "state": "streaming"} for name, role in members.items()]
    with pytest.raises(Refusal, match=why):
        candidate(servers({"members": there}), wanted)


def test_a_cluster_that_nobody_answers_for_is_refused_in_one_line(cluster: Cluster, failover: PatroniFailover) -> None:
    cluster.away = True
    with pytest.raises(Refusal, match="db1 does not answer"):
        failover.members()
