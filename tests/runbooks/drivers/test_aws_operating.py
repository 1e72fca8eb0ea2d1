"""When an operation of the cloud is looked at, and when it moves the world no more."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from runbooks.drivers import aws_operating
from runbooks.drivers.aws import AwsError, BusyError, CredentialsError
from runbooks.drivers.aws_operating import Seen, Way, go_on
from runbooks.drivers.protocols import Operation, Phase

if TYPE_CHECKING:
    from runbooks.drivers.operations import OperationStore


@dataclass
class World:
    """What each look comes to, one after the other: the last one again and again."""

    store: OperationStore
    answers: list[Seen | Exception]
    looks: list[str] = field(default_factory=list)

    def look(self, operation: Operation) -> Seen:
        self.looks.append(operation.key)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    def poll(self, patience: float = 60.0, *, moves: bool = True) -> Operation:
        way = Way(look=self.look, patience=patience, hint="look there", moves=moves)
        return go_on(self.store, "d", "k", way, pause=0.0)


@pytest.fixture
def world(store: OperationStore) -> World:
    store.begin("k", driver="d", action="a", target="t")
    return World(store, [Seen("waits")])


def _begun_yesterday(world: World) -> None:
    path = world.store.directory / "k.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"began": "2026-01-01T00:00:00.000+00:00"}))


def test_what_somebody_has_left_and_goes_on_with_the_next_day_moves_nothing(world: World) -> None:
    _begun_yesterday(world)
    done = world.poll()
    assert (done.phase, world.looks) == (Phase.FAILED, [])
    assert done.detail.endswith("s: begun; look there")


def test_what_it_was_at_is_told_when_its_time_is_over(world: World) -> None:
    world.poll()
    done = world.poll(patience=-1.0)
    assert (done.phase, world.looks) == (Phase.FAILED, ["k"])
    assert done.detail.endswith("s: waits; look there")


def test_what_only_looks_is_told_how_it_ended_however_late(world: World) -> None:
    _begun_yesterday(world)
    world.answers = [Seen("is there", over=True)]
    assert world.poll(moves=False).phase is Phase.DONE


@pytest.mark.parametrize("error", [BusyError("AWS is busy"), CredentialsError("log in again")])
def test_what_passes_only_delays_an_operation(world: World, error: AwsError) -> None:
    world.answers = [error, Seen("done", over=True)]
    delayed = world.poll()
    assert (delayed.phase, delayed.detail) == (Phase.RUNNING, str(error))
    assert world.poll().phase is Phase.DONE


def test_after_credentials_that_were_over_those_of_the_next_login_are_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[str] = []
    monkeypatch.setattr(aws_operating, "forget", lambda: forgotten.append("all"))
    world.answers = [CredentialsError("log in again")]
    world.poll()
    assert forgotten == ["all"]


def test_what_does_not_pass_ends_an_operation(world: World) -> None:
    world.answers = [AwsError("these credentials may not do that")]
    assert world.poll().phase is Phase.FAILED
