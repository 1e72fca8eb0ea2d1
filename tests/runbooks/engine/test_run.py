"""What a run does, in which order, and what becomes of it when something fails."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from runbooks.engine.journal import JOURNAL, Journal, JournalError, all_runs, read_events
from runbooks.engine.lock import BusyError
from runbooks.engine.model import Halt, Look, Unmet
from runbooks.engine.run import RunError, WrongRunError, close, resume, start, take_back
from runbooks.engine.state import Kind, Standing
from tests.runbooks.engine.support import book, place, said, sees, step, trail

if TYPE_CHECKING:
    from pathlib import Path

    from runbooks.engine.model import Context
    from runbooks.engine.run import Place


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return place(tmp_path / "runs")


class Calls:
    """Acts, checks and undos that note that they were called; those named in `broken` fail."""

    def __init__(self, *broken: str) -> None:
        self.all: list[str] = []
        self.contexts: list[Context] = []
        self.broken = set(broken)

    def step(self, name: str, **parts: Any) -> Any:  # noqa: ANN401 - a step
        return step(
            name,
            act=lambda context: {name: self._called("act", context)},
            check=lambda context: f"it holds for {self._called('check', context)}",
            undo=self._undo,
            undo_title=f"Undo {name}",
            **parts,
        )

    def _undo(self, context: Context) -> None:
        self._called("undo", context)

    def _called(self, what: str, context: Context) -> str:
        call = f"{what} {context.step}"
        self.all.append(call)
        self.contexts.append(context)
        if call in self.broken:
            raise Halt(f"{call} is broken")
        return context.key


def _kinds(here: Place, run: str) -> list[str]:
    events = read_events(here.runs / run / JOURNAL)
    return [f"{each.kind} {each.step}".strip() for each in events]


def test_a_run_looks_acts_asserts_and_verifies_in_this_order_and_all_is_in_journal_and_trail(here: Place) -> None:
    calls = Calls()
    ended = start(book(calls.step("first"), calls.step("second")), {}, here)
    assert ended.standing is Standing.DONE
    assert calls.all == ["act first", "check first", "act second", "check second"]
    steps = [f"{kind} {name}" for name in ("first", "second") for kind in ("begun", "acted", "done")]
    assert _kinds(here, ended.id) == ["opened", *steps, "verified", "ended"]
    assert trail(here).of("runbook.step") == [(n, r) for n in ("first", "second") for r in ("begun", "done")]
    assert [result for _, result in trail(here).of("runbook.run")] == ["begun", "done"]
    entry = trail(here).all[2]
    assert (entry.target, entry.run) == ("made-up on made-up/environment", ended.id)
    assert entry.after == {"seen": f"it holds for {ended.id}-first", "facts": {"first": f"{ended.id}-first"}}


def test_facts_reach_the_own_check_and_later_steps_and_an_act_may_record(here: Place) -> None:
    seen: list[Any] = []

    def act(context: Context) -> None:
        seen.append(dict(context.facts))
        context.record("test.changed", "it", before=1, after=2)
        context.progress(1, 2, "halves")
        assert context.folder.is_dir()
        assert 0 < context.remaining() <= 5

    first = step("first", act=lambda _: {"a": 1}, check=lambda context: f"a is {context.facts['a']}")
    ended = start(book(first, step("second", act=act)), {}, here)
    assert seen == [{"a": 1}]
    (own,) = [entry for entry in trail(here).all if entry.action == "test.changed"]
    assert (own.before, own.after, own.run) == (1, 2, ended.id)
    assert said(here).progressed == [(1, 2, "halves")]


def test_a_diagnosis_that_halts_leaves_nothing_and_one_that_cannot_see_goes_on(here: Place) -> None:
    def halts(_: Context) -> str:
        raise Halt("this is another problem; look at the database")

    def breaks(_: Context) -> str:
        raise OSError("broken too")

    def hangs(_: Context) -> str:
        time.sleep(60)
        return ""

    with pytest.raises(RunError, match="nothing was done: this is another problem; look at the database"):
        start(book(diagnosis=(sees(), Look(title="Is it this", see=halts))), {}, here)
    assert not list(here.runs.glob("2*"))
    looks = (Look(title="A", see=breaks), Look(title="B", see=hangs, within=0.1))
    assert start(book(diagnosis=looks), {}, here).standing is Standing.DONE
    assert "A: cannot be told: OSError: broken too" in said(here).lines
    assert "B: cannot be told: no answer within 0.1 s" in said(here).lines


def test_a_check_is_asked_until_it_holds(here: Place) -> None:
    asked: list[float] = []

    def check(_: Context) -> str:
        asked.append(time.monotonic())
        if len(asked) < 4:
            raise Unmet(f"{len(asked)} of 4")
        return "4 of 4"

    assert start(book(step("only", check=check)), {}, here).standing is Standing.DONE
    assert len(asked) == 4


def _hangs(_: Context) -> Any:  # noqa: ANN401 - it never returns
    time.sleep(60)


def _unmet(_: Context) -> str:
    raise Unmet("half of it is missing")


def _leaks(_: Context) -> Any:  # noqa: ANN401 - it never returns
    raise ConnectionError("postgresql://who:hunter2@db/x\nrefused")


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"act": _hangs}, "its act was not over within 0.3 s"),
        ({"check": _hangs}, "not within 0.3 s: its check has not answered"),
        ({"check": _unmet}, "not within 0.3 s: half of it is missing"),
        ({"act": _leaks}, "ConnectionError: postgresql://db/x refused"),
        ({"check": _leaks}, "ConnectionError: postgresql://db/x refused"),
        ({"act": lambda _: {"a": object()}}, "TypeError: Object of type object is not JSON serializable"),
        ({"act": lambda _: exit(3)}, "SystemExit: 3"),  # noqa: PLR1722 - what an act may do
        ({"act": lambda _: next(iter(()))}, "StopIteration"),
    ],
)
def test_a_step_that_fails_or_hangs_stops_the_run_in_time_with_one_line(
    here: Place, parts: dict[str, Any], why: str
) -> None:
    began = time.monotonic()
    ended = start(book(step("first"), step("second", within=0.3, **parts), step("third")), {}, here)
    assert time.monotonic() - began < 3
    assert (ended.standing, ended.step, ended.why) == (Standing.FAILED, "second", why)
    assert "third" not in ended.steps
    assert trail(here).of("runbook.step")[-1] == ("second", f"failed: {why}")
    assert trail(here).of("runbook.run")[-1] == (None, f"failed: second: {why}")
    assert "hunter2" not in (here.runs / ended.id / JOURNAL).read_text()


def test_a_failure_undoes_every_step_that_had_begun_the_last_one_first_where_that_is_wanted(here: Place) -> None:
    calls = Calls("act third")
    steps = [calls.step(name) for name in ("first", "second", "third", "fourth")]
    ended = start(book(*steps, on_failure="undo"), {}, here)
    assert (ended.standing, ended.why) == (Standing.UNDONE, "act third is broken")
    assert [call for call in calls.all if "undo" in call] == ["undo third", "undo second", "undo first"]
    assert [result for _, result in trail(here).of("runbook.run")] == [
        "begun",
        "failed: third: act third is broken",
        "undone",
    ]
    assert calls.contexts[-1].key == f"{ended.id}-first-undo"


def test_what_has_no_undo_is_named_when_the_rest_is_undone(here: Place) -> None:
    calls = Calls("act third")
    steps = (calls.step("first"), step("second"), step("look", reads_only=True), calls.step("third"))
    ended = start(book(*steps, on_failure="undo"), {}, here)
    assert (ended.standing, ended.left) == (Standing.UNDONE, ("second",))
    assert "second: has no undo and was left as it is" in said(here).lines


def test_an_undo_that_fails_is_said_loudly_and_the_run_needs_a_person_until_it_is_resumed(here: Place) -> None:
    calls = Calls("act second", "undo second")
    runbook = book(calls.step("first"), calls.step("second"), on_failure="undo")
    stuck = start(runbook, {}, here)
    assert (stuck.standing, stuck.why) == (Standing.STUCK, "undo of second: undo second is broken")
    assert any(line.startswith("UNDO FAILED, a person is needed: second") for line in said(here).lines)
    with pytest.raises(BusyError, match=f"needs a person at step second.*resume {stuck.id} .*or close"):
        start(runbook, {}, here)
    calls.broken.clear()
    assert resume(runbook, stuck, here).standing is Standing.UNDONE
    assert calls.all[-2:] == ["undo second", "undo first"]
    again = calls.contexts[-2]
    assert (again.again, again.key) == (True, f"{stuck.id}-second-undo-2")


def test_an_undo_that_hangs_is_over_in_time(here: Place) -> None:
    hanging = step("only", act=_leaks, undo=_hangs, undo_title="Hang", within=0.2)
    assert start(book(hanging, on_failure="undo"), {}, here).why == "undo of only: was not over within 0.2 s"
    broken = step("only", act=_leaks, undo=_leaks, undo_title="Break")
    other = replace(here, environment=place(here.runs, name="other").environment)
    assert start(book(broken, on_failure="undo"), {}, other).standing is Standing.STUCK


def test_a_verify_that_does_not_hold_fails_the_run_though_every_step_is_done(here: Place) -> None:
    calls = Calls()
    bad = Look(title="All is well", see=_unmet, within=0.2)
    ended = start(book(calls.step("only"), verify=(sees(), bad)), {}, here)
    assert (ended.standing, ended.step) == (Standing.FAILED, "")
    assert ended.why == "All is well: not within 0.2 s: half of it is missing"
    assert resume(book(calls.step("only")), ended, here).standing is Standing.DONE
    assert calls.all == ["act only", "check only"], "what is done is not done again"


def test_a_failed_step_acts_again_with_a_new_key_and_is_asked_first_where_its_act_was_over(here: Place) -> None:
    calls = Calls("act only")
    runbook = book(calls.step("only"))
    failed = start(runbook, {}, here)
    calls.broken = {"check only"}
    failed = resume(runbook, failed, here)
    assert failed.standing is Standing.FAILED
    first, second, _ = calls.contexts
    assert (first.again, first.key) == (False, f"{failed.id}-only")
    assert (second.again, second.key) == (True, f"{failed.id}-only-2")
    calls.broken, calls.all = set(), []
    assert resume(runbook, failed, here).standing is Standing.DONE
    assert calls.all == ["check only"]


def test_a_run_can_begin_at_a_later_step_and_stays_there_when_it_is_resumed(here: Place) -> None:
    calls = Calls("act second")
    runbook = book(calls.step("first"), calls.step("second"))
    failed = start(runbook, {}, here, "second")
    calls.broken.clear()
    assert resume(runbook, failed, here).standing is Standing.DONE
    assert not any("first" in call for call in calls.all)
    with pytest.raises(WrongRunError, match="made-up has no step 'fourth'; there are first, second"):
        start(runbook, {}, here, "fourth")


def test_an_unfinished_run_blocks_its_target_until_it_is_taken_back_or_closed(here: Place) -> None:
    calls = Calls("act second")
    runbook = book(calls.step("first"), calls.step("second"), target=lambda _: "api-1")
    failed = start(runbook, {}, here)
    with pytest.raises(BusyError, match=f"is failed at step second.*resume {failed.id}, or undo {failed.id} first"):
        start(book(), {}, here)
    assert start(book(target=lambda _: "api-2"), {}, here).standing is Standing.DONE
    undone = take_back(runbook, failed, here)
    assert (undone.standing, calls.all[-2:]) == (Standing.UNDONE, ["undo second", "undo first"])
    failed = start(runbook, {}, here)
    closed = close(runbook, failed, here, "put right with the supervisor")
    assert (closed.standing, closed.why) == (Standing.CLOSED, "put right with the supervisor")
    assert trail(here).of("runbook.run")[-1] == (None, "failed: closed by hand")
    assert [run.standing for run in all_runs(here.runs)].count(Standing.CLOSED) == 1


def test_a_run_is_only_gone_on_with_where_it_belongs(here: Place, tmp_path: Path) -> None:
    calls = Calls("act only")
    runbook = book(calls.step("only"))
    failed = start(runbook, {}, here)
    with pytest.raises(WrongRunError, match="is of made-up, not of other"):
        resume(runbook, failed, place(tmp_path / "runs", name="other"))
    with pytest.raises(WrongRunError, match="has a step only, unknown to this release"):
        resume(book(step("another")), failed, here)
    calls.broken.clear()
    resume(runbook, failed, here)
    with pytest.raises(WrongRunError, match="is done; there is nothing to go on with"):
        resume(runbook, failed, here)


def test_a_runbook_that_names_no_slug_as_its_target_is_refused(here: Place) -> None:
    with pytest.raises(RunError, match="names a target that is no slug"):
        start(book(target=lambda _: "../../etc"), {}, here)


def test_a_trail_that_cannot_be_written_stops_no_runbook(tmp_path: Path) -> None:
    class Broken:
        def record(self, entry: object) -> bool:
            raise OSError("no room", entry)

    here = place(tmp_path / "runs", recorder=Broken())
    acts = step("only", act=lambda context: context.record("test.changed", "it"))
    assert start(book(acts), {}, here).standing is Standing.DONE
    assert any("the audit trail was not written" in line for line in said(here).lines)


def test_ctrl_c_leaves_a_run_that_can_be_resumed(here: Place) -> None:
    def interrupted(_: Context) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(book(step("only", act=interrupted)), {}, here)
    (left,) = all_runs(here.runs)
    assert (left.standing, left.step) == (Standing.UNFINISHED, "only")
    # It is asked whether it holds, and does.
    assert resume(book(step("only")), left, here).standing is Standing.DONE


def test_a_journal_that_cannot_be_written_stops_the_run_before_the_act(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Journal.append

    def full(self: Any, line: Any) -> None:  # noqa: ANN401 - a journal, an event
        if line.kind is Kind.BEGUN:
            raise JournalError("the disk is full")
        whole(self, line)

    monkeypatch.setattr(Journal, "append", full)
    calls = Calls()
    with pytest.raises(JournalError):
        start(book(calls.step("only")), {}, here)
    assert calls.all == []
