"""Return to the release before: its colour is installed still, so it is started, asked, and given the traffic."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runbooks.deploy import acting, looking, releasing
from runbooks.deploy.books.release import TARGET
from runbooks.engine.model import Halt, Look, Runbook, Step, Unmet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.engine.model import Context, Json


def _preflight(context: Context) -> Mapping[str, Json]:
    from runbooks.deploy.migrations import keeps_from_going_back  # noqa: PLC0415 - a page is shown without it

    found = acting.hosts(context)
    live, idle = acting.live_colour(context)
    old, back = acting.one_release(found, live), acting.one_release(found, idle)
    if not back or back == old:
        raise Halt(f"there is nothing to return to: {idle} has {back or 'no release'}, {live} has {old or 'none'}")
    state = next(iter(found.values()))
    with acting.told():
        refused = keeps_from_going_back(state.manifest(old), state.manifest(back))
    if refused:
        raise Halt("; ".join(refused))
    return {"live": live, "idle": idle, "old_release": old, "back_release": back, "began": time.time()}


def _is_known(context: Context) -> str:
    facts = context.facts
    return f"{facts['idle']} has {facts['back_release']}, which takes the place of {facts['old_release']}"


def _start(context: Context) -> None:
    acting.start_again(context, acting.fact(context, "idle"), acting.fact(context, "back_release"))


def _runs(context: Context) -> str:
    return acting.await_ready(context, acting.fact(context, "idle"), acting.fact(context, "back_release"))


def _stop(context: Context) -> None:
    from runbooks.deploy.hosts import unit  # noqa: PLC0415 - as in _preflight()

    if "idle" in context.facts:
        acting.give_back(context)
        with acting.told():
            unit(context.environment, "stop", acting.fact(context, "idle"))


def _shares(context: Context) -> dict[str, int]:
    return {acting.fact(context, "live"): 0, acting.fact(context, "idle"): acting.ALL}


def _switch(context: Context) -> Mapping[str, Json]:
    acting.shift(context, _shares(context), context.key)
    seconds = round(time.time() - float(acting.fact(context, "began")), 1)
    context.say(f"clients reach {context.facts['back_release']} after {seconds} s")
    return {"switched_seconds": seconds}


def _is_switched(context: Context) -> str:
    return f"{acting.has_shares(context, _shares(context))}, after {context.facts['switched_seconds']} s"


def _sync(context: Context) -> None:
    acting.play(context, "sync", release=acting.fact(context, "back_release"))
    acting.observe(context, acting.fact(context, "idle"))


def _syncs(context: Context) -> str:
    return releasing.has_sync(context, acting.fact(context, "back_release"))


def _retire(context: Context) -> Mapping[str, Json]:
    return {"drained": acting.retired(context, acting.fact(context, "live"))}


def _settled(context: Context) -> Mapping[str, Json]:
    found = acting.hosts(context)
    live, idle = acting.live_colour(context)
    # Named as a roll back names them: `idle` was idle before it.
    return {"live": idle, "idle": live, "back_release": acting.one_release(found, live)}


def _answers(context: Context) -> str:
    from runbooks.deploy.asking import ask  # noqa: PLC0415 - as in _preflight()

    with acting.told():
        answer = ask(context.environment, f"{context.environment.endpoints.api}/health/ready")
    if answer.release != context.facts["back_release"]:
        raise Unmet(f"clients reach {answer.release or 'no release'}")
    return f"clients reach {answer.release}"


RUNBOOK = Runbook(
    name="deploy-rollback",
    title="Return to the release before",
    meaning="The release that is live does harm that its gates and its watch did not see.",
    impact="None for clients but that the release before answers again. Its colour is started and has the traffic in "
    "seconds; sync follows.",
    diagnosis=(Look(title="What is live", see=looking.see_live, by_hand="`simplicity deploy status`"),),
    steps=(
        Step(
            name="preflight",
            title="See what there is to return to",
            asserts="the other colour has a release that can work on the schema",
            act=_preflight,
            check=_is_known,
            within=60.0,
            reads_only=True,
            by_hand="`simplicity deploy status`",
        ),
        Step(
            name="start",
            title="Start the colour of the release before",
            asserts="each of its processes is ready",
            act=_start,
            check=_runs,
            within=90.0,
            undo=_stop,
            undo_title="Leave the traffic where it was, and stop that colour",
            by_hand="`systemctl start simplicity-api@COLOUR` on each host of the API",
        ),
        Step(
            name="switch",
            title="Give it all traffic",
            asserts="every balancer says so",
            act=_switch,
            check=_is_switched,
            within=60.0,
            undo=acting.give_back,
            undo_title="Give the traffic back",
            by_hand="`simplicity deploy switch COLOUR`",
        ),
    ),
    verify=(
        Look(title="Clients reach the release before", see=_answers, by_hand="`curl -I https://API/health/ready`"),
    ),
    undo="`simplicity deploy release ID` brings the later release again.",
    target=lambda _: TARGET,
    on_failure="undo",
)

# What has no hurry, once clients are served: a failure of it must not move them again.
AFTERWARDS = Runbook(
    name="deploy-settle",
    title="Let sync follow a roll back, and stop the colour that was left",
    meaning="Clients reach the release before again; sync still runs the one that was left.",
    impact="None for clients. Sync is handed over, the standby first.",
    diagnosis=(Look(title="What is live", see=looking.see_live, by_hand="`simplicity deploy status`"),),
    steps=(
        Step(
            name="preflight",
            title="See which colour is live",
            asserts="all traffic is at one colour",
            act=_settled,
            check=lambda context: f"{context.facts['idle']} is live with {context.facts['back_release']}",
            within=60.0,
            reads_only=True,
            by_hand="`simplicity deploy status`",
        ),
        Step(
            name="sync",
            title="Let sync run the release that is live, the standby first",
            asserts="it runs on all hosts",
            act=_sync,
            check=_syncs,
            within=300.0,
            by_hand="`ansible-playbook release.yaml -e step=sync -e release=ID`",
        ),
        Step(
            name="retire",
            title="Stop the colour that has no traffic",
            asserts="it does not run",
            act=_retire,
            check=lambda context: str(context.facts["drained"]),
            within=120.0,
            by_hand="`systemctl stop simplicity-api@COLOUR` on each host of the API",
        ),
    ),
    verify=(Look(title="Clients reach the live release", see=_answers, by_hand="`curl -I https://API/health/ready`"),),
    undo="There is nothing to take back: `simplicity runbook resume` goes on where it stopped.",
    target=lambda _: TARGET,
)


RUNBOOKS = (RUNBOOK, AFTERWARDS)
