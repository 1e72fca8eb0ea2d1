from __future__ import annotations

import json
from dataclasses import replace

import pytest

from infra.local.component import Component, Probe
from infra.local.supervisor import State
from runbooks.drivers.stepping import Action, Move, Progress, Seen, Step, begun, decide

ONE = Component(
    name="one",
    command=lambda _: (),
    probe=lambda _: Probe(ready=True, detail=""),
    url=lambda _: "",
    hint="look at its log",
    stop_seconds=5,
    ready_seconds=20,
)
READY, LATER = Probe(ready=True, detail="it answers"), Probe(ready=False, detail="no answer")


def state(word: str, pid: int = 0) -> State:
    return State("one", word, pid, "")


def at(step: Step, before: int = 7) -> Progress:
    return Progress(members=("one", "two"), at=0, step=step, since=100, before={"one": before}, after={})


@pytest.mark.parametrize(
    ("record", "seen", "probe", "moment", "decided"),
    [
        ((Action.STOP, Step.STOP), state("RUNNING", 7), None, 900, (Move.TELL_STOP, None)),
        ((Action.STOP, Step.STOP), state("RUNNING", 8), None, 100, (Move.TELL_STOP, None)),
        ((Action.STOP, Step.STOP), state("BACKOFF"), None, 100, (Move.TELL_STOP, None)),
        ((Action.STOP, Step.STOP), state("STOPPING", 7), None, 115, (Move.WAIT, None)),
        ((Action.STOP, Step.STOP), state("STOPPING", 7), None, 116, (Move.FAIL, None)),
        # The supervisor will start it again in a moment: it must not count as stopped.
        ((Action.STOP, Step.STOP), state("EXITED"), None, 100, (Move.WAIT, None)),
        ((Action.STOP, Step.STOP), state("STOPPED"), None, 900, (Move.NEXT, None)),
        ((Action.STOP, Step.STOP), state("FATAL"), None, 100, (Move.NEXT, None)),
        ((Action.RESTART, Step.STOP), state("STARTING", 7), None, 100, (Move.TELL_STOP, None)),
        ((Action.RESTART, Step.STOP), state("RUNNING", 8), None, 100, (Move.STEP, Step.START)),
        ((Action.RESTART, Step.STOP), state("EXITED"), None, 100, (Move.STEP, Step.START)),
        ((Action.RESTART, Step.STOP), state("STOPPED"), None, 900, (Move.STEP, Step.START)),
        ((Action.RESTART, Step.STOP), state("STOPPING", 7), None, 101, (Move.WAIT, None)),
        ((Action.RESTART, Step.START), state("STOPPED"), None, 900, (Move.START, None)),
        ((Action.RESTART, Step.START), state("RUNNING", 8), None, 900, (Move.STEP, Step.READY)),
        ((Action.START, Step.START), state("BACKOFF"), None, 100, (Move.STEP, Step.READY)),
        ((Action.START, Step.START), state("FATAL"), None, 100, (Move.START, None)),
        ((Action.START, Step.START), state("STOPPING", 7), None, 101, (Move.WAIT, None)),
        ((Action.START, Step.START), state("STOPPING", 7), None, 116, (Move.FAIL, None)),
        # Whoever comes back late looks first: what is ready is ready, however long that took.
        ((Action.START, Step.READY), state("RUNNING", 8), READY, 900, (Move.NEXT, None)),
        ((Action.START, Step.READY), state("RUNNING", 8), LATER, 120, (Move.WAIT, None)),
        ((Action.START, Step.READY), state("RUNNING", 8), LATER, 121, (Move.FAIL, None)),
        ((Action.START, Step.READY), state("FATAL"), LATER, 101, (Move.FAIL, None)),
        ((Action.START, Step.READY), state("STOPPED"), LATER, 101, (Move.FAIL, None)),
    ],
)
def test_the_next_move_follows_from_the_record_and_the_world(
    record: tuple[Action, Step],
    seen: State,
    probe: Probe | None,
    moment: float,
    decided: tuple[Move, Step | None],
) -> None:
    action, step = record
    decision = decide(action, at(step), Seen(ONE, seen, probe), moment)
    assert (decision.move, decision.step) == decided
    assert "one" in decision.detail
    assert "\n" not in decision.detail


def test_what_fails_says_what_was_seen_and_what_to_do() -> None:
    late = decide(Action.START, at(Step.READY), Seen(ONE, state("RUNNING", 8), LATER), 130)
    assert late.detail == "one is not ready after 30 s: no answer; look at its log"
    stays = decide(Action.STOP, at(Step.STOP), Seen(ONE, state("STOPPING", 7), None), 130)
    assert stays.detail == "one does not stop within 30 s; `simplicity down` ends it by force"


def test_members_take_turns_and_each_one_s_process_is_noted_before_it_is_touched() -> None:
    states = {"one": state("RUNNING", 7), "two": state("RUNNING", 9)}
    first = begun(("one", "two", "three"), Action.RESTART, states, 5)
    assert (first.member, first.step, first.before, first.after) == ("one", Step.STOP, {"one": 7}, {})
    second = first.stepped(Step.READY, 6).turned(Action.RESTART, 8, states, 7)
    assert second is not None
    assert (second.member, second.step, second.since) == ("two", Step.STOP, 7)
    assert (second.before, second.after) == ({"one": 7, "two": 9}, {"one": 8})
    third = second.turned(Action.RESTART, 10, states, 8)
    assert third is not None
    assert third.before["three"] == 0, "what is not known has no process"
    assert third.turned(Action.RESTART, 11, states, 9) is None


def test_progress_is_read_back_from_its_record() -> None:
    progress = replace(at(Step.READY), after={"one": 9})
    assert Progress.of(json.loads(json.dumps(progress.record()))) == progress
    assert Progress.of({}) is None
