"""The process that is the load: `python -m loadtests.engine`, a plan on standard input, JSON lines on standard output.

Alone it runs the users itself; a master has workers run them, on this machine or others. A line a second says how it
goes, the last one what was counted. SIGTERM ends it early and cleanly; so does the end of the process that began it.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

# Before all that makes a thread, a lock or a socket: gevent has to take their place first.
from locust.env import Environment

from loadtests import metrics
from loadtests.plan import decode
from loadtests.running import Following, Run, Stop, say
from loadtests.spread import Master, work
from loadtests.users import SECONDS, Desk, user_classes

if TYPE_CHECKING:
    from loadtests.plan import Plan

# In which users finish what they have asked: longer than an answer may take, so that all are counted as what they were.
STOP_SECONDS = SECONDS + 1.0


def main() -> None:
    """Do the part that standard input tells."""
    stop = Stop()
    plan = decode(sys.stdin.read())
    desk = Desk(plan.keys)
    if plan.role == "worker":
        work(plan, desk, stop)
    else:
        lead(plan, desk, stop)


def lead(plan: Plan, desk: Desk, stop: Stop) -> None:
    """Run a test alone, or lead workers through it; such a plan has a course and work."""
    if plan.course is None or plan.work is None:
        raise ValueError("a plan without course and work")
    desk.give(plan.work)
    shape = Following(plan.course)
    environment = Environment(
        user_classes=[*user_classes(desk)], shape_class=shape, host=plan.work.host, stop_timeout=STOP_SECONDS
    )
    if plan.role == "master":
        master = Master(environment, plan, desk)
        run = Run(master.runner, shape, desk, lambda: dict(master.runner.reported_user_classes_count))
        _carry_out(plan, run, stop, master)
    else:
        alone = environment.create_local_runner()
        _carry_out(plan, Run(alone, shape, desk, lambda: alone.user_classes_count), stop, None)


def _carry_out(plan: Plan, run: Run, stop: Stop, master: Master | None) -> None:
    with ExitStack() as stack:
        if plan.targets:
            exported = metrics.Exported(run.total, run.users, run.target)
            stack.enter_context(metrics.announced(exported, Path(plan.targets), dict(plan.labels)))
        if master is None or master.gather(stop):
            run.go(stop)
        if master is not None:
            master.finish()
    run.take()
    say(
        done=run.total.rows(),
        seconds=run.seconds,
        early=stop.now,
        lost=0 if master is None else master.lost,
        busy=run.is_busy,
        errors=run.errors,
    )


if __name__ == "__main__":
    main()
