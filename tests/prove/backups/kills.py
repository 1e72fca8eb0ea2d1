"""The runbook that changes most, killed -9 at each of its steps: gone on with, or taken back, never half done."""

from __future__ import annotations

import shutil
import time
from itertools import product
from typing import TYPE_CHECKING, Any

import psycopg

from audit import trail
from runbooks.backup.books.restore_database import RUNBOOK
from runbooks.engine.journal import JOURNAL, read_events
from runbooks.engine.state import Kind
from tests.bench.progress import Progress

if TYPE_CHECKING:
    import random

    from tests.prove.backups.figures import Figures
    from tests.prove.backups.site import Site

STEPS = tuple(step.name for step in RUNBOOK.steps)
# Seconds into a step at the most: long enough to be in the middle of what it does.
INTO = {"restore": 6.0, "stop": 6.0, "take-place": 2.5, "start": 6.0, "back-up": 2.0}


def prove(figures: Figures, here: Site, rng: random.Random, *, steps: tuple[str, ...] = STEPS) -> None:
    """Kill a restore into the live place at each step: once to resume it, once to undo it."""
    kills = resumed = undone = told = 0
    with Progress("killing restores", 2 * len(steps)) as progress:
        for step, back in product(steps, (False, True)):
            progress.at(kills)
            run = _killed_in(here, step, rng.random() * INTO[step])
            kills += 1
            done = here.run("runbook", "undo" if back else "resume", run, timeout=900)
            assert done.returncode == 0, f"{step}: {done.stdout[-1500:]}{done.stderr[-3000:]}"
            resumed += not back and _is_whole(here, run, "done")
            undone += back and _is_whole(here, run, "undone")
            told += _is_told(here, run)
            _clear(here)
    figures.count(
        "restore-database killed -9 in a step, then resumed: done, the index grows, health is good", resumed, kills // 2
    )
    figures.count("the same, then undone: the old database serves, the index grows, health is good", undone, kills // 2)
    figures.count("of these runs wholly in the audit trail, which is intact and as its copy", told, kills)


def _killed_in(here: Site, step: str, seconds: float) -> str:
    """Begin a run and kill it so many seconds after a step began, sooner where it was over by then; return its id."""
    while True:
        run = _begun(here, step, seconds)
        if not any(event.kind is Kind.ENDED for event in _events(here, run)):
            return run
        seconds /= 2


def _begun(here: Site, step: str, seconds: float) -> str:
    before = set(_runs(here))
    running = here.begin("backup", "restore", "--replace-live", "--yes")
    try:
        deadline = time.monotonic() + 600
        while True:
            fresh = set(_runs(here)) - before
            if fresh and any(e.kind is Kind.BEGUN and e.step == step for e in _events(here, next(iter(fresh)))):
                break
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline, f"step {step} has not begun"
            time.sleep(0.02)
        time.sleep(seconds)  # the moment of the kill is what varies: there is nothing to wait for
    finally:
        running.kill()
        running.communicate()
    return next(iter(fresh))


def _runs(here: Site) -> list[str]:
    return [path.name for path in (here.home / "runs").iterdir() if (path / JOURNAL).exists()]


def _events(here: Site, run: str) -> list[Any]:
    return read_events(here.home / "runs" / run / JOURNAL)


def _is_whole(here: Site, run: str, result: str) -> bool:
    """One end in the journal, the services healthy, and blocks that go on being indexed."""
    ends = [event.data["result"] for event in _events(here, run) if event.kind is Kind.ENDED]
    here.reaches(here.tip() + 2, within=60)
    health = here.run("maintenance", "health")
    return ends == [result] and health.returncode == 0 and (here.layout.data / "postgresql" / "PG_VERSION").exists()


def _is_told(here: Site, run: str) -> bool:
    """Every step that the journal has begun is in the trail, which is intact and has the same entries as its copy."""
    here.anchored()
    where = here.environment.endpoints.database
    with psycopg.connect(
        host=where.host,
        port=where.port,
        dbname=where.name,
        user=where.writer_role,
        password=here.environment.secret("database_writer_password"),
        autocommit=True,
    ) as connection:
        facts = [link.facts for link in trail.links(connection)]
    told = {(each["arguments"].get("step"), each["result"]) for each in facts if each["run"] == run}
    begun = {(event.step, "begun") for event in _events(here, run) if event.kind is Kind.BEGUN}
    anchor = here.environment.drivers["audit"].settings["url"]
    intact = here.run("audit", "verify", f"--anchor={anchor}", f"--env-file={here.env_file}")
    return begun <= told and intact.returncode == 0


def _clear(here: Site) -> None:
    """Delete the databases that the runs have kept beside the live one: a proof needs the space of a few only."""
    for kept in here.layout.data.glob("postgresql.before-*"):
        shutil.rmtree(kept)
