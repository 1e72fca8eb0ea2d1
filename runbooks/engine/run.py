"""Carry a runbook out: every step journaled, bounded in time, resumable after a kill, undone where that is wanted."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runbooks.engine import attempt
from runbooks.engine.journal import Journal, all_runs, event, new_run_id
from runbooks.engine.lock import BusyError, in_the_way, locked
from runbooks.engine.model import TARGET_LIMIT, Context, Silent, is_slug
from runbooks.engine.state import Kind, Run, StepState, after
from runbooks.engine.trail import entries_of, entry_of_act

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.engine.model import Json, Runbook, Step, Teller
    from runbooks.engine.state import Event
    from runbooks.engine.trail import Recorder

RESUMABLE = frozenset({Kind.BEGUN, Kind.ACTED, Kind.FAILED})


class RunError(Exception):
    """A run that did not begin: one line that says why."""


class WrongRunError(Exception):
    """A run or step that is not there to be begun or gone on with: one line that says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where runs are carried out. `runs` holds a directory each; `document` is the environment's, for the journal."""

    environment: Environment
    document: Path
    runs: Path
    recorder: Recorder
    teller: Teller = field(default_factory=Silent)


def start(book: Runbook, arguments: Mapping[str, Json], place: Place, first: str = "") -> Run:
    """Carry a runbook out from its first step, or from the step `first`; return how the run stands then.

    Raises BusyError while its target is held or another run was left unfinished there, RunError where the diagnosis
    stops it, WrongRunError for a step that is not there, JournalError where nothing can be written.
    """
    check_first(book, first)
    target = target_of(book, arguments)
    run_id = new_run_id(book.name)
    name = place.environment.name
    with locked(place.runs, name, target, f"run {run_id}"):
        unfinished = in_the_way(list(all_runs(place.runs)), name, target)
        if unfinished:
            raise BusyError(f"{unfinished.sentence}; {ways_on(unfinished)} first")
        with _closing(Journal.create(place.runs, run_id)) as journal:
            carrying = _Carrying(book, place, journal, Run(id=run_id, arguments=arguments))
            carrying.diagnose()
            carrying.note(
                Kind.OPENED,
                runbook=book.name,
                environment=name,
                document=str(place.document),
                target=target,
                arguments=arguments,
                first=first,
            )
            return carrying.forward()


def check_first(book: Runbook, first: str) -> None:
    """Raise WrongRunError for a first step that a runbook does not have; "" is none."""
    names = [step.name for step in book.steps]
    if first and first not in names:
        raise WrongRunError(f"{book.name} has no step {first[:60]!r}; there are {', '.join(names)}")


def resume(book: Runbook, run: Run, place: Place) -> Run:
    """Go on with a run whose process died or that failed: onwards, or back where it had turned back.

    Raises as `start` does.
    """
    with _taken_up(book, run, place) as carrying:
        carrying.note(Kind.RESUMED)
        return carrying.back() if carrying.run.turned_back else carrying.forward()


def take_back(book: Runbook, run: Run, place: Place) -> Run:
    """Undo every step of an unfinished run that had begun, the last one first. Raises as `start` does."""
    with _taken_up(book, run, place) as carrying:
        carrying.note(Kind.TURNED)
        return carrying.back()


def close(book: Runbook, run: Run, place: Place, why: str) -> Run:
    """End a run that a person has put right by hand; nothing is done. Raises as `start` does."""
    with _taken_up(book, run, place) as carrying:
        carrying.note(Kind.ENDED, result="closed", why=why, left=list(run.steps))
        return carrying.run


def ways_on(run: Run) -> str:
    """Say by which commands a run is gone on with."""
    if run.turned_back:
        return f"simplicity runbook resume {run.id} (undoes what is left), or close {run.id} once it is put right"
    return f"simplicity runbook resume {run.id}, or undo {run.id}"


def target_of(book: Runbook, arguments: Mapping[str, Json]) -> str:
    """Return what a run has for itself. Raises RunError where the runbook names no slug."""
    target = book.target(arguments)
    if not is_slug(target, TARGET_LIMIT):
        raise RunError(f"{book.name} names a target that is no slug: {target!r}; this is a bug of the runbook")
    return target


@contextmanager
def _closing(journal: Journal) -> Iterator[Journal]:
    try:
        yield journal
    finally:
        journal.close()
        if not journal.events:
            shutil.rmtree(journal.directory)  # it never began


@contextmanager
def _taken_up(book: Runbook, run: Run, place: Place) -> Iterator[_Carrying]:
    """Take an unfinished run up as it stands once its target is ours."""
    if place.environment.name != run.environment:
        raise WrongRunError(f"run {run.id} is of {run.environment}, not of {place.environment.name}; name its document")
    with (
        locked(place.runs, run.environment, run.target, f"run {run.id}"),
        _closing(Journal.open(place.runs, run.id)) as journal,
    ):
        now = journal.run
        if now.is_over:
            raise WrongRunError(f"{now.sentence}; there is nothing to go on with")
        strange = sorted(set(now.steps) - {step.name for step in book.steps})
        if strange:
            raise WrongRunError(
                f"run {run.id} has a step {strange[0]}, unknown to this release; use the one that began it"
            )
        carrying = _Carrying(book, place, journal, now)
        carrying.record_last()
        yield carrying


class _Carrying:
    """A run in this process. What is decided is decided from `run`, which only changes by a line of the journal."""

    def __init__(self, book: Runbook, place: Place, journal: Journal, run: Run) -> None:
        self._book, self._place, self._journal, self.run = book, place, journal, run

    def note(self, kind: Kind, step: str = "", **data: Json) -> None:
        """Write a line, and then its entry to the trail; only a run's end is recorded first, as nobody takes it up."""
        line = event(kind, step, **data)
        then = after(self.run, line)
        if kind is Kind.ENDED:
            self._record(then, line)
        self._journal.append(line)
        self.run = then
        if kind is not Kind.ENDED:
            self._record(then, line)

    def record_last(self) -> None:
        """Record the last line: a process may have died between it and its entry, and the same id is recorded once."""
        self._record(self.run, self._journal.events[-1])

    def _record(self, run: Run, line: Event) -> None:
        try:
            for entry in entries_of(run, line):
                self._place.recorder.record(entry)
        except Exception as error:  # noqa: BLE001 - a trail that is away must not stop what puts it right
            self._place.teller.say(f"the audit trail was not written: {attempt.reason(error)}; the journal has it")

    def diagnose(self) -> None:
        """Look at how things are. Raises RunError where a look says that the runbook is not for this."""
        for look in self._book.diagnosis:
            seen, halted = attempt.look(look, self._context("diagnosis", look.within))
            self._place.teller.say(f"{look.title}: {seen}")
            if halted:
                raise RunError(f"{self._book.name} did not begin, nothing was done: {seen}")

    def forward(self) -> Run:
        """Carry out what is not done yet, and verify."""
        names = [step.name for step in self._book.steps]
        for step in self._book.steps[names.index(self.run.first) if self.run.first else 0 :]:
            if self.run.is_done(step.name):
                continue
            try:
                self._carry_out(step)
            except attempt.Failure as failure:
                return self._failed(str(failure), step.name)
        for look in self._book.verify:
            try:
                seen = attempt.until(look.see, self._context("verify", look.within), look.within)
            except attempt.Failure as failure:
                return self._failed(f"{look.title}: {failure}")
            self.note(Kind.VERIFIED, title=look.title, seen=seen)
            self._place.teller.say(f"verified: {look.title}: {seen}")
        self.note(Kind.ENDED, result="done")
        return self.run

    def _failed(self, why: str, step: str = "") -> Run:
        self._place.teller.say(f"FAILED: {step or 'verify'}: {why}")
        self.note(Kind.FAILED, step, why=why, undo=self._book.on_failure == "undo")
        return self.back() if self.run.turned_back else self.run

    def _carry_out(self, step: Step) -> None:
        """Take a step as far as done. Raises Failure."""
        old = self.run.steps.get(step.name)
        again = old is not None and old.phase in RESUMABLE
        if old is not None and again and old.acted:
            # Its act was over and its facts are known. The key of the attempt that was left: what it began may have
            # come to its end meanwhile.
            seen = attempt.holds(step, self._of_step(step, again=True, number=max(1, old.failures)))
            if seen is not None:
                self._place.teller.say(f"{step.name}: holds already: {seen}")
                self.note(Kind.DONE, step.name, seen=seen)
                return
        self._place.teller.say(f"{step.name}: {step.title}")
        self.note(Kind.BEGUN, step.name)
        context = self._of_step(step, again=again, number=1 + (old.failures if old else 0))
        facts = attempt.act(step, context)
        self.note(Kind.ACTED, step.name, facts=facts)
        seen = attempt.until(step.check, replace(context, facts=self.run.facts), step.within)
        self.note(Kind.DONE, step.name, seen=seen)
        self._place.teller.say(f"{step.name}: done: {seen}")

    def back(self) -> Run:
        """Undo every step that had begun, the last one first; stop at the first that cannot be undone."""
        begun = [step for step in reversed(self._book.steps) if step.name in self.run.steps]
        for step in begun:
            if step.undo is None or self.run.steps[step.name].phase is Kind.UNDONE:
                continue
            self._place.teller.say(f"undo {step.name}: {step.undo_title}")
            old = self.run.steps[step.name]
            self.note(Kind.UNDOING, step.name)
            try:
                attempt.undo(step.undo, self._of_undo(step, old), step.within)
            except attempt.Failure as failure:
                self._place.teller.say(f"UNDO FAILED, a person is needed: {step.name}: {failure}")
                self.note(Kind.STUCK, step.name, why=f"undo of {step.name}: {failure}")
                return self.run
            self.note(Kind.UNDONE, step.name)
        left = [step.name for step in begun if step.undo is None and not step.reads_only]
        for name in left:
            self._place.teller.say(f"{name}: has no undo and was left as it is")
        self.note(Kind.ENDED, result="undone", left=left)
        return self.run

    def _of_step(self, step: Step, *, again: bool, number: int) -> Context:
        return replace(self._context(step.name, step.within), again=again, attempt=number)

    def _of_undo(self, step: Step, old: StepState) -> Context:
        again = old.phase in {Kind.UNDOING, Kind.STUCK}
        context = self._context(step.name, step.within)
        return replace(context, undoing=True, again=again, attempt=1 + old.undo_failures)

    def _context(self, step: str, within: float) -> Context:
        return Context(
            environment=self._place.environment,
            arguments=self.run.arguments,
            run=self.run.id,
            folder=self._journal.folder,
            facts=self.run.facts,
            step=step,
            deadline=time.monotonic() + within,
            teller=self._place.teller,
            scribe=self._scribe,
        )

    def _scribe(self, action: str, target: str, before: Json, after: Json) -> None:
        try:
            self._place.recorder.record(entry_of_act(self.run, action, target, before, after))
        except Exception as error:  # noqa: BLE001 - as for the run's own entries
            self._place.teller.say(f"the audit trail was not written: {attempt.reason(error)}")
