"""One pass: quiet, then each fault with its alerts and its panels, on one envelope."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import psutil

from alerts.burn import WINDOWS
from alerts.model import Scale, seconds
from alerts.slo import slo
from dashboards.catalog import dashboards
from tests.prove.observability import panels
from tests.prove.observability.stage import MAKING_A_BACKUP, SCALE, STEP_SECONDS, Visitors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dashboards.model import Dashboard, Panel
    from tests.prove.observability.drills import Drill
    from tests.prove.observability.stage import Delivered, Stage

BACKUP_EVERY = 200.0  # seconds: well below what is too old at this scale
BACKUP_AGAIN = 15.0
CALM_SECONDS = 120.0
AFTER_SECONDS = 10.0  # in which a fault still shows: what it held up ends only now, and rates look back
BACK_SECONDS = 60.0
QUIET_TRIES = 3
OTHERS_SHARE = 0.08
BACKUP_AGE, BACKUP_SPARE = 90.0, 40.0  # seconds
# They are raised by whatever runs here beside the envelope; a drill that fires one waits for its end by itself.
OF_THE_MACHINE = frozenset({"HighCpu"})
FEW = 5  # samples

Times: TypeAlias = "tuple[float, float]"


@dataclass(slots=True)
class Seen:
    """What became of one alert under one fault; seconds since the fault began, or since it was lifted."""

    alert: str
    drill: str
    fired: float | None = None
    delivered: float | None = None
    resolved: float | None = None
    text: str = ""
    hidden: bool = False  # by a worse one: then it fires, and Alertmanager tells nobody
    inhibited: bool = False

    @property
    def holds(self) -> bool:
        if self.fired is None:
            return False
        return self.inhibited if self.hidden else None not in {self.delivered, self.resolved}


@dataclass(slots=True)
class Pass:
    """All that one pass has seen."""

    alerts: list[Seen] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    raised_in_quiet: set[str] = field(default_factory=set)
    quiet_seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.time)


def longest_window() -> float:
    """Return the longest window of the burn-rate alerts at this scale, in seconds."""
    return max(Scale(SCALE).range(seconds(window.long)) for window in WINDOWS)


def rehearse(stage: Stage, drills: Iterable[Drill], *, with_panels: bool) -> Pass:
    """Run the drills one after the other."""
    found = Pass()
    with Visitors(stage.environment.endpoints.api):
        found.alerts += _never_backed_up(stage)
        stage.done("runbook", "run", "prove-backup", "--yes")
        quiet = _quiet(stage, found)
        with backed_up(stage):
            for drill in drills:
                try:
                    _one(stage, drill, found, quiet if with_panels else None)
                except Exception as error:  # noqa: BLE001 - the other drills have figures of their own
                    found.broken.append(f"{drill.name}: {type(error).__name__}: {error}"[:500])
                    _say(f"{found.broken[-1]}")
            # What is counted over the whole window of the budgets is back when that has passed.
            _await_back(found.trials, within=Scale(SCALE).range(seconds(slo().window)) + CALM_SECONDS)
    return found


def _never_backed_up(stage: Stage) -> list[Seen]:
    """A new envelope has no backup: that is the fault, and making one lifts it."""
    what = "no backup ever made"
    seen = [Seen("BackupTooOld", what), Seen("BackupFreshnessBurn", what, hidden=True)]
    began = time.time()
    _await(stage, seen, began, within=90)
    stage.done("backup", "create")
    _await_resolved(stage, seen, began, time.time(), within=CALM_SECONDS)
    return seen


def calm(stage: Stage) -> None:
    """Wait until no alert fires but those of a machine that others use too."""
    stage.until(lambda: stage.firing() <= OF_THE_MACHINE, f"no alert: {stage.firing()}", within=CALM_SECONDS)


@contextmanager
def backed_up(stage: Stage) -> Iterator[None]:
    """Make a backup every few minutes, as a healthy environment does each day."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            with MAKING_A_BACKUP:
                # It fails while the database is away or the disk full: then it is tried again soon, as a timer does.
                made = stage.run("backup", "create", "--kind=incremental").returncode == 0
            over.wait(BACKUP_EVERY if made else BACKUP_AGAIN)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)


def _quiet(stage: Stage, found: Pass) -> Times:
    """Watch healthy load for twice the longest window; return from when to when.

    Where somebody else took this machine's processors meanwhile that is no healthy machine, and it begins again.
    """
    found.quiet_seconds = 2 * longest_window()
    for left in reversed(range(QUIET_TRIES)):
        _backed_up_a_while_ago(stage)
        calm(stage)
        began, others = time.time(), Others(stage)
        found.raised_in_quiet = set()
        while time.time() - began < found.quiet_seconds:
            found.raised_in_quiet |= stage.firing()
            time.sleep(STEP_SECONDS)
        share = others.share()
        _say(
            f"quiet for {found.quiet_seconds:.0f} s: raised {found.raised_in_quiet or 'none'}; others took {share:.0%}"
        )
        if not left or share < OTHERS_SHARE or not found.raised_in_quiet or not found.raised_in_quiet <= OF_THE_MACHINE:
            break
    return began, time.time()


def _backed_up_a_while_ago(stage: Stage) -> None:
    """Let the newest backup be old enough that a new one is seen, and not so old that it gets too old meanwhile."""
    if _age_of_backup(stage) > BACKUP_AGE + BACKUP_SPARE:
        stage.done("backup", "create")
    stage.until(lambda: _age_of_backup(stage) > BACKUP_AGE, "the newest backup is of some age", within=2 * BACKUP_AGE)


def _age_of_backup(stage: Stage) -> float:
    return stage.now("time() - max(simplicity_backup_last_timestamp_seconds)")[0].value


class Others:
    """How much of the processors' time was taken by what is not of the envelope, since this was made."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._busy, self._ours, self._at = stage, _busy(), _ours(stage), time.monotonic()

    def share(self) -> float:
        passed = (time.monotonic() - self._at) * (psutil.cpu_count() or 1)
        return max(0.0, (_busy() - self._busy) - (_ours(self._stage) - self._ours)) / passed


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait)


def _ours(stage: Stage) -> float:
    total = 0.0
    for pid in stage.processes():
        with suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
    return total


def _one(stage: Stage, drill: Drill, found: Pass, quiet: Times | None) -> None:
    _say(f"{drill.name}: begun")
    seen = [Seen(alert, drill.name) for alert in drill.alerts]
    seen += [Seen(alert, drill.name, hidden=True) for alert in drill.hidden]
    began = time.time()
    with drill.fault(stage):
        _await(stage, seen, began, within=drill.within, late=drill.late)
        time.sleep(max(0.0, drill.lasts - (time.time() - began)))  # so that panels have something to show
    lifted = time.time()
    _await_resolved(stage, seen, began, lifted, within=drill.resolves)
    found.alerts += seen
    calm(stage)
    for each in seen:
        told = f"fired {_s(each.fired)}, delivered {_s(each.delivered)}, resolved {_s(each.resolved)}"
        _say(f"{drill.name}: {each.alert} {told}")
    if quiet is not None:
        time.sleep(max(0.0, AFTER_SECONDS - (time.time() - lifted)))
        during = began, lifted + AFTER_SECONDS
        trials = [Trial(stage, *each, quiet, during) for each in panels.of_witness(drill.name)]
        found.trials += trials
        _await_back(trials, within=BACK_SECONDS)
        for trial in trials:
            _say(f"{drill.name}: {trial.verdict.said}")


@dataclass(slots=True)
class Trial:
    """A panel after its witness: it has moved, or not, and is looked at until it is back."""

    stage: Stage
    board: Dashboard
    panel: Panel
    quiet: Times
    during: Times
    verdict: panels.Verdict = field(init=False)
    moved: list[panels.Move] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.verdict = panels.Verdict(self.board.uid, self.panel)
        try:
            seen = panels.values(self.stage, self.panel, *self.during)
            self.moved = panels.moves(panels.values(self.stage, self.panel, *self.quiet), seen)
        except AssertionError as error:
            self.verdict.errors.append(str(error))
            return
        self.verdict.filled, self.verdict.moved = bool(seen), bool(self.moved)

    def look(self) -> bool:
        """Look once more; return whether there is nothing left to wait for."""
        if self.verdict.errors or not self.moved or self.verdict.returned:
            return True
        now = time.time()
        latest = panels.values(self.stage, self.panel, now - FEW * STEP_SECONDS, now)
        self.verdict.returned = panels.returned(self.moved, latest)
        return self.verdict.returned


def _await_back(trials: list[Trial], within: float) -> None:
    ends = time.time() + within
    while [trial for trial in trials if not trial.look()] and time.time() < ends:
        time.sleep(STEP_SECONDS)


def _await(stage: Stage, seen: list[Seen], began: float, within: float, *, late: bool = False) -> None:
    """Wait until each alert fires, and unless it is hidden, or late, is delivered."""

    def waits(each: Seen) -> bool:
        if each.hidden:
            return not (each.fired and each.inhibited)
        return each.fired is None or (each.delivered is None and not late)

    while time.time() - began < within and any(waits(each) for each in seen):
        firing, inhibited = stage.firing(), stage.inhibited() if any(each.hidden for each in seen) else set()
        for each in seen:
            each.inhibited |= each.hidden and each.alert in inhibited
            if each.fired is None and each.alert in firing:
                each.fired = time.time() - began
            given = stage.first(each.alert, "firing", began)
            if each.delivered is None and given is not None:
                each.fired = each.fired or given.at - began
                each.delivered, each.text = given.at - began, given.annotations["summary"]
        time.sleep(0.3)


def _await_resolved(stage: Stage, seen: list[Seen], began: float, lifted: float, within: float) -> None:
    """Wait until the receiver has been told that each alert is over; one may be delivered only now."""
    told = [each for each in seen if not each.hidden and each.fired]
    while time.time() - lifted < within and any(each.resolved is None for each in told):
        given = stage.delivered(began)
        for each in told:
            late = next((d for d in given if d.labels["alertname"] == each.alert and d.status == "firing"), None)
            if each.delivered is None and late is not None:
                each.delivered, each.text = late.at - began, late.annotations["summary"]
            each.resolved = _over(given, each.alert, lifted)
        time.sleep(0.3)


def _over(given: list[Delivered], alert: str, lifted: float) -> float | None:
    """Return how long after a fault the last instance of an alert was told to be over; 0 where it was before."""
    last = {tuple(sorted(d.labels.items())): d for d in given if d.labels["alertname"] == alert}
    if not last or any(d.status != "resolved" for d in last.values()):
        return None
    return max(0.0, max(d.at for d in last.values()) - lifted)


def all_panels() -> int:
    """Return how many panels there are."""
    return sum(len(board.panels) for board in dashboards())


def _s(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
