"""Kill a run -9 at every instruction that matters, go on in another process, and count what became of it.

Each step's act has two halves, as has its undo: what is done by halves is seen. Run as a program this is a nursery: it
forks a process for each command it reads, each of which may kill itself at a point it is told.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from runbooks.engine.journal import JOURNAL, Journal, all_runs, line_of, read_events
from runbooks.engine.model import Context, Look, Runbook, Unmet
from runbooks.engine.run import resume, start, take_back
from runbooks.engine.state import Run, Standing, fold
from runbooks.engine.trail import entries_of
from tests.runbooks.engine.support import book, place, step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit.entry import Entry
    from runbooks.engine.state import Event

STEPS = ("first", "second", "third")
ONWARDS = ("torn-begun", "begun", "mid-act", "torn-acted", "acted", "mid-check", "torn-done", "done", "recorded-done")
BACKWARDS = ("torn-undoing", "undoing", "mid-undo", "torn-undone", "undone", "recorded-undone")
OF_THE_RUN = (":opened", ":mid-verify", ":torn-verified", ":verified", ":torn-ended", ":recorded-ended")
NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many kills there were, how many runs were then resumed or rolled back, and what must not be."""

    kills: int = 0
    resumed: int = 0
    rolled_back: int = 0
    half_done: int = 0
    not_in_trail: int = 0
    otherwise: tuple[str, ...] = ()

    def plus(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in asdict(self)})


class World:
    """What the steps change: two files each, and a point at which this process kills itself."""

    def __init__(self, directory: Path, point: str = NEVER, failing: str = "") -> None:
        self.directory, self.point, self.failing = directory, point, failing

    def reach(self, point: str) -> None:
        if point == self.point:
            os.kill(os.getpid(), signal.SIGKILL)

    def halves(self, name: str) -> tuple[bool, bool]:
        return ((self.directory / f"{name}.debit").exists(), (self.directory / f"{name}.credit").exists())

    def act(self, context: Context) -> dict[str, str]:
        (self.directory / f"{context.step}.debit").write_text(context.key)
        self.reach(f"{context.step}:mid-act")
        (self.directory / f"{context.step}.credit").write_text(context.key)
        return {context.step: context.key}

    def check(self, context: Context) -> str:
        self.reach(f"{context.step}:mid-check")
        if context.step == self.failing or self.halves(context.step) != (True, True):
            raise Unmet(f"{context.step} is not whole")
        return "whole"

    def undo(self, context: Context) -> None:
        (self.directory / f"{context.step}.credit").unlink(missing_ok=True)
        self.reach(f"{context.step}:mid-undo")
        (self.directory / f"{context.step}.debit").unlink(missing_ok=True)

    def verify(self, _: Context) -> str:
        self.reach(":mid-verify")
        return "all of it"

    def runbook(self) -> Runbook:
        steps = (
            step(name, act=self.act, check=self.check, undo=self.undo, undo_title=f"Undo {name}", within=5.0)
            for name in STEPS
            if name != self.failing
        )
        bad = [step(self.failing, act=self.act, check=self.check, undo=self.undo, undo_title="Undo it", within=0.1)]
        return book(
            *steps,
            *(bad if self.failing else ()),
            verify=(Look(title="All of it", see=self.verify),),
            on_failure="undo" if self.failing else "stop",
        )


class DurableTrail:
    """A trail on disk, written at once, in which an id counts once."""

    def __init__(self, path: Path, world: World) -> None:
        self.path, self._world = path, world

    def record(self, entry: Entry) -> bool:
        with self.path.open("a") as file:
            file.write(json.dumps(entry.as_dict()) + "\n")
        if entry.action == "runbook.step":
            self._world.reach(f"{entry.arguments['step']}:recorded-{entry.result}")
        elif entry.result in {"done", "undone"}:
            self._world.reach(":recorded-ended")
        return True

    def ids(self) -> list[str]:
        return [json.loads(line)["id"] for line in self.path.read_text().splitlines()]


def _mortal(world: World) -> None:
    """Let this process die while, or right after, it writes a line of the journal."""
    whole = Journal.append

    def append(self: Journal, event: Event) -> None:
        if world.point == f"{event.step}:torn-{event.kind}":
            line = line_of(event)
            os.write(self._file, line[: len(line) // 2])
            world.reach(world.point)
        whole(self, event)
        world.reach(f"{event.step}:{event.kind}")

    Journal.append = append  # type: ignore[method-assign]  # only in this process, which ends after one command


def carry_out(directory: Path, how: str, point: str, failing: str) -> None:
    """Start, resume or undo the run of a directory in this process."""
    world = World(directory / "world", point, failing)
    _mortal(world)
    there = place(directory / "runs", recorder=DurableTrail(directory / "trail.ndjson", world))
    runbook = world.runbook()
    if how == "start":
        start(runbook, {}, there)
        return
    (run,) = all_runs(directory / "runs")
    (resume if how == "resume" else take_back)(runbook, run, there)


def nursery() -> None:
    """Carry out each command that is read in a process of its own; say how that ended, by its status."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                directory, how, point, failing = json.loads(line)
                carry_out(Path(directory), how, point, failing)
                status = 0
            finally:
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201 - its answer


class Nursery:
    """The nursery as its user sees it."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-c", "from tests.runbooks.engine.killing import nursery; nursery()"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=Path(__file__).parents[3], **pipes)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)

    def run(self, directory: Path, how: str, point: str = NEVER, failing: str = "") -> int:
        """Return the exit code, -9 for one that was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(directory), how, point, failing]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def cases() -> Iterator[tuple[str, str, str]]:
    """Every kill: its point, how the run is gone on with, and the step that fails (so that the run turns back)."""
    onwards = [f"{name}:{phase}" for name in STEPS for phase in ONWARDS] + list(OF_THE_RUN)
    for how in ("resume", "undo"):
        yield from ((point, how, "") for point in onwards)
    backwards = [f"{name}:{phase}" for name in STEPS for phase in BACKWARDS] + ["third:torn-failed", "third:failed"]
    yield from ((point, how, "third") for point in backwards for how in ("resume", "undo"))


def kill_matrix(directory: Path) -> Counts:
    """Kill a run at every point in every phase of every step, onwards and on its way back; go on, and count."""
    counts = Counts()
    with Nursery() as processes:
        for number, (point, how, failing) in enumerate(cases()):
            here = directory / f"{number:03}"
            (here / "world").mkdir(parents=True)
            counts = counts.plus(_killed(processes, here, point, how, failing))
    return counts


def _killed(processes: Nursery, here: Path, point: str, how: str, failing: str) -> Counts:
    kills = 0
    first = processes.run(here, "start", point, failing)
    if first != -signal.SIGKILL:
        return Counts(otherwise=(f"{point}: was never reached, exit code {first}",))
    kills += 1
    # Killed once more at the same point, where it comes by there again.
    if processes.run(here, how, point, failing) == -signal.SIGKILL:
        kills += 1
    (run,) = all_runs(here / "runs")
    if not run.is_over:
        processes.run(here, "resume" if run.turned_back else how, NEVER, failing)
    return judged(here, kills, f"{point}, then {how}", undone=bool(failing) or how == "undo")


def judged(here: Path, kills: int, what: str, *, undone: bool) -> Counts:
    """Count what became of one run."""
    (run,) = all_runs(here / "runs")
    wanted = Standing.UNDONE if undone else Standing.DONE
    world = World(here / "world")
    states = [world.halves(name) for name in STEPS]
    missing = _missing(here, run)
    return Counts(
        kills=kills,
        resumed=run.standing is Standing.DONE,
        rolled_back=run.standing is Standing.UNDONE,
        half_done=sum(state != (not undone, not undone) for state in states),
        not_in_trail=len(missing),
        otherwise=() if run.standing is wanted else (f"{what}: {run.sentence}",),
    )


def _missing(here: Path, run: Run) -> set[str]:
    """The ids that the journal's lines stand for and the trail does not have, or has twice with other words."""
    events = read_events(here / "runs" / run.id / JOURNAL)
    wanted = {
        entry.id
        for number in range(len(events))
        for entry in entries_of(fold(run.id, events[: number + 1]), events[number])
    }
    return wanted - set(DurableTrail(here / "trail.ndjson", world=World(here)).ids())
