"""More hosts of a group in the cloud, fewer, or hosts of another type: by auto scaling, until all of them serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from runbooks.engine.arguments import matching, one_of
from runbooks.engine.model import Halt, Look, Parameter, Runbook, Step, Unmet
from runbooks.infrastructure.asking import drive, drivers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.drivers.aws_groups import Group
    from runbooks.drivers.aws_scaler import AutoscalingScaler
    from runbooks.engine.model import Context, Json

SAME = "same"


def _scaler(context: Context) -> AutoscalingScaler:
    from runbooks.drivers.protocols import Refusal, require  # noqa: PLC0415 - a page is shown without what drivers need

    found = drivers(context).scaler
    try:
        require(found, "up")
    except Refusal as error:
        raise Halt(f"{error}: hosts of a fleet are added by `simplicity infrastructure scale`") from None
    return cast("AutoscalingScaler", found)


def _group(context: Context, name: str = "") -> Group:
    """Return the group as it is: that of the run once it is chosen. Raises Halt."""
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as above

    try:
        return _scaler(context).group(name or str(context.facts["group"]))
    except Refusal as error:
        raise Halt(str(error)) from None


def _see(context: Context) -> str:
    return _group(context, str(context.arguments["group"])).sentence


def _choose(context: Context) -> Mapping[str, Json]:
    """Choose once: the group stays the same though the traffic may be switched meanwhile."""
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as above

    try:
        name = _scaler(context).which(str(context.arguments["group"]))
    except Refusal as error:
        raise Halt(str(error)) from None
    group = _group(context, name)
    return {"group": name, "size": group.desired, "types": sorted({each.type for each in group.machines})}


def _is_chosen(context: Context) -> str:
    if "group" not in context.facts:
        raise Unmet("no group is chosen yet")
    return f"{context.facts['group']}: {context.facts['size']} hosts of {_types(context.facts['types'])}"


def _types(found: Any) -> str:  # noqa: ANN401 - a journal's JSON
    return "/".join(found) or "no type"


def _resize(context: Context) -> Mapping[str, Json]:
    if context.arguments["size"] == SAME:
        return {"resized": False}
    return {"resized": _sized(context, int(str(context.arguments["size"])))}


def _sized(context: Context, size: int) -> bool:
    scaler, name = _scaler(context), str(context.facts["group"])
    drive(context, scaler, lambda: scaler.scale(context.key, name, size))
    context.record("hosts.scale", f"{name} on {context.environment.name}", before=context.facts["size"], after=size)
    return True


def _serve(context: Context) -> str:
    group = _group(context)
    if not group.settled:
        raise Unmet(group.sentence)
    return group.sentence


def _size_back(context: Context) -> None:
    if context.arguments["size"] != SAME:
        _sized(context, int(str(context.facts["size"])))


def _retype(context: Context) -> Mapping[str, Json]:
    wanted = str(context.arguments["type"])
    if wanted == SAME:
        return {"retyped": False}
    return {"retyped": _typed(context, wanted)}


def _typed(context: Context, wanted: str) -> bool:
    scaler, name = _scaler(context), str(context.facts["group"])
    drive(context, scaler, lambda: scaler.retype(context.key, name, wanted))
    context.record("hosts.retype", f"{name} on {context.environment.name}", before=context.facts["types"], after=wanted)
    return True


def _are_of_type(context: Context) -> str:
    wanted, group = str(context.arguments["type"]), _group(context)
    there = sorted({each.type for each in group.machines})
    if wanted not in {SAME, *there} or (wanted != SAME and len(there) != 1):
        raise Unmet(f"{group.name}: hosts are {_types(there)}")
    return f"{_serve(context)}, {_types(there)}"


def _type_back(context: Context) -> None:
    types: Any = context.facts["types"]
    if context.arguments["type"] != SAME and len(types) == 1:
        _typed(context, str(types[0]))


RUNBOOK = Runbook(
    name="scale-cloud",
    title="Run a group on more hosts in the cloud, on fewer, or on larger ones",
    meaning="The hosts of a group have too much to do or too little, or one is to be looked at with more of them.",
    impact="None for clients: a host that comes gets traffic when the balancer finds it ready, one that goes answers "
    "first what it is at. The group's scaling policies go on from the new number; a type lasts until the next "
    "`pulumi up`, unless the stack's configuration has it too.",
    diagnosis=(Look(title="How many serve", see=_see, by_hand="`simplicity infrastructure status`"),),
    steps=(
        Step(
            name="choose",
            title="Choose the group: of the API, that of the colour with the traffic",
            asserts="it is known, and what it has now",
            act=_choose,
            check=_is_chosen,
            within=60.0,
            by_hand="the rows `api` of `simplicity infrastructure status`",
            reads_only=True,
        ),
        Step(
            name="size",
            title="Let the group have so many hosts",
            asserts="as many serve, and no other one comes or goes",
            act=_resize,
            check=_serve,
            within=1_300.0,
            by_hand="`aws autoscaling set-desired-capacity`",
            undo=_size_back,
            undo_title="Let it have as many as before",
        ),
        Step(
            name="type",
            title="Replace its hosts one after the other by those of the type; one more is started first",
            asserts="all are of the type, and serve",
            act=_retype,
            check=_are_of_type,
            within=3_700.0,
            by_hand="a version of the launch template with the type, then `aws autoscaling start-instance-refresh`",
            undo=_type_back,
            undo_title="Replace them by those of the former type",
        ),
    ),
    verify=(Look(title="Its hosts serve", see=_serve, by_hand="`simplicity infrastructure status`", within=300.0),),
    undo="Scale to the number, or the type, that the journal has as the former one.",
    parameters=(
        Parameter(
            name="group",
            help="Which: `api` is the colour that has the traffic.",
            parse=one_of("api", "api-blue", "api-green", "sync"),
            example="api",
        ),
        Parameter(
            name="size",
            help="How many hosts there are to be; `same` leaves it.",
            parse=matching(rf"{SAME}|0|[1-9]\d?", "a number, or same"),
            example="4",
            default=SAME,
        ),
        Parameter(
            name="type",
            help="The type of instance they are to be of; `same` leaves it.",
            parse=matching(rf"{SAME}|[a-z][a-z0-9-]*\.[a-z0-9]+", "a type like c7g.xlarge, or same"),
            example="c7g.xlarge",
            default=SAME,
        ),
    ),
)
