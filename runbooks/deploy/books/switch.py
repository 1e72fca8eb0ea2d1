"""Give all traffic to one colour, whatever the balancers have now: what a person does who knows which one is good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.deploy import acting
from runbooks.deploy.books.release import TARGET
from runbooks.engine.arguments import one_of
from runbooks.engine.model import Halt, Look, Parameter, Runbook, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.engine.model import Context, Json


def _see(context: Context) -> str:
    with acting.told():
        return f"the balancers have {dict(acting.switch(context).weights())}"


def _ready(context: Context) -> Mapping[str, Json]:
    colour = str(context.arguments["colour"])
    release = acting.one_release(acting.hosts(context), colour)
    if not release:
        raise Halt(f"{colour} has no release; `simplicity deploy status`")
    return {"ready": acting.start_again(context, colour, release)}


def _shares(context: Context) -> dict[str, int]:
    from runbooks.deploy.hosts import COLOURS  # noqa: PLC0415 - a page is shown without it

    return {colour: acting.ALL if colour == context.arguments["colour"] else 0 for colour in COLOURS}


def _switch(context: Context) -> None:
    acting.shift(context, _shares(context), context.key)


def _observed(context: Context) -> None:
    acting.observe(context, str(context.arguments["colour"]))


RUNBOOK = Runbook(
    name="deploy-switch",
    title="Give all traffic to one colour",
    meaning="The traffic is split, the balancers differ, or a person knows that the other colour is the good one.",
    impact="Clients reach what that colour has. Neither sync nor the schema is touched.",
    diagnosis=(Look(title="What the balancers have", see=_see, by_hand="`simplicity deploy status`"),),
    steps=(
        Step(
            name="start",
            title="Start the colour where it does not run",
            asserts="each of its processes is ready",
            act=_ready,
            check=lambda context: str(context.facts["ready"]),
            within=90.0,
            by_hand="`systemctl start simplicity-api@COLOUR` on each host of the API",
        ),
        Step(
            name="switch",
            title="Give it all traffic",
            asserts="every balancer says so",
            act=_switch,
            check=lambda context: acting.has_shares(context, _shares(context)),
            within=60.0,
            by_hand="`set server api/HOST-COLOUR weight N` on `/run/haproxy/admin.sock` of every balancer",
        ),
        Step(
            name="observe",
            title="Let Prometheus ask its processes",
            asserts="its list of targets names them",
            act=_observed,
            check=lambda _: "Prometheus has been told",
            by_hand="`/etc/prometheus/targets/api.json` on the host of Prometheus",
            within=30.0,
        ),
    ),
    verify=(Look(title="Every balancer has it", see=_see, by_hand="`simplicity deploy status`"),),
    undo="`simplicity deploy switch` with the other colour.",
    parameters=(Parameter(name="colour", help="Which one.", parse=one_of("blue", "green"), example="blue"),),
    target=lambda _: TARGET,
)
