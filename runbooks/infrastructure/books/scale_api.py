"""More hosts of the service, or fewer: one that comes gets traffic when it is ready, one that goes has answered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runbooks.deploy import acting
from runbooks.engine.arguments import integer, path, slug
from runbooks.engine.model import Halt, Look, Parameter, Runbook, Step, Unmet
from runbooks.infrastructure import hosts
from runbooks.infrastructure.asking import drive, drivers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.drivers.host_scaler import HostScaler
    from runbooks.engine.model import Context, Json

GROUP = "api"
OWN, NEWEST = "own", "newest"
MOST = 20


def _scaler(context: Context) -> HostScaler:
    """Return who adds and removes hosts. Raises Halt where nobody does, with what is to be done instead."""
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - a page is shown without what drivers need

    found = drivers(context).scaler
    try:
        found.size(GROUP)
    except Refusal as error:
        raise Halt(str(error)) from None
    return cast("HostScaler", found)


def _now(context: Context) -> Context:
    """Return the context with the hosts that there are by now."""
    return hosts.at(context, _scaler(context).now())


def _names(context: Context, fact: str) -> list[str]:
    found: Any = context.facts.get(fact, [])
    return list(found)


def _see(context: Context) -> str:
    names = _scaler(context).machines(GROUP)
    live, _ = acting.live_colour(context)
    return f"{len(names)} hosts: {', '.join(names)}; {live} is live"


def _choose(context: Context) -> Mapping[str, Json]:
    """Find out who goes, and which releases whoever comes has to run: those of the hosts that are there."""
    wanted = str(context.arguments["remove"])
    names = sorted(_scaler(context).machines(GROUP), key=lambda name: name == wanted)
    if wanted not in {NEWEST, *names}:
        raise Halt(f"there is no host {wanted} of the service; there are {', '.join(names)}")
    live, idle = acting.live_colour(context)
    found = acting.hosts(context)
    current = {state.current for state in found.values()}
    if len(current) != 1:
        raise Halt(
            f"sync is not of one release on all hosts: {', '.join(sorted(current))}; finish the deployment first"
        )
    return {
        "before": list(names),
        "leaving": list(names[cast("int", context.arguments["size"]) :]),
        "live": live,
        "live_release": acting.one_release(found, live),
        "other_release": acting.one_release(found, idle),
        "current": current.pop(),
    }


def _is_chosen(context: Context) -> str:
    if "before" not in context.facts:
        raise Unmet("nothing is chosen yet")
    size, before, leaving = context.arguments["size"], _names(context, "before"), _names(context, "leaving")
    going = f"; {', '.join(leaving)} will go" if leaving else ""
    return f"from {len(before)} to {size}{going}; releases {context.facts['live_release']}, {context.facts['current']}"


def _drain(context: Context) -> None:
    for name in _names(context, "leaving"):
        context.say(hosts.drain(context, name))
        hosts.stop(context, name)


def _is_drained(context: Context) -> str:
    leaving = _names(context, "leaving")
    return f"{', '.join(leaving)}: stopped" if leaving else "nobody goes"


def _bring_back(context: Context) -> None:
    """Let those that were to go serve again, where they are still there."""
    there = {host.name for host in _now(context).environment.hosts[GROUP]}
    live = str(context.facts["live"])
    for name in set(_names(context, "leaving")) & there:
        from runbooks.drivers.remote import Remote, as_user  # noqa: PLC0415 - a page needs it not

        units = ("simplicity-sync", f"simplicity-api@{live}")
        Remote(context.environment).run(name, as_user("root", "systemctl", "start", *units), within=60)
        hosts.undrain(context, name)


def _machines(context: Context) -> Mapping[str, Json]:
    scaler, size = _scaler(context), cast("int", context.arguments["size"])
    leaving = _names(context, "leaving")
    if leaving:
        scaler.goes_first(GROUP, leaving[-1])
    result = drive(context, scaler, lambda: scaler.scale(context.key, GROUP, size)).result
    names: Any = result["hosts"]
    added = [name for name in names if name not in _names(context, "before")]
    context.record("hosts.scale", f"{GROUP} on {context.environment.name}", before=context.facts["before"], after=names)
    return {"hosts": list(names), "added": added}


def _are_there(context: Context) -> str:
    names = _scaler(context).machines(GROUP)
    if len(names) != context.arguments["size"]:
        raise Unmet(f"there are {len(names)}: {', '.join(names)}")
    return f"{len(names)} hosts: {', '.join(names)}"


def _as_before(context: Context) -> None:
    """Remove the machines that were added; one that was removed does not come back by itself."""
    scaler, before = _scaler(context), _names(context, "before")
    if scaler.size(GROUP) > len(before):
        drive(context, scaler, lambda: scaler.scale(context.key, GROUP, len(before)))
        _tell(_now(context), {})


def _apply(context: Context) -> Mapping[str, Json]:
    facts = context.facts
    added = _names(context, "added")
    variables: dict[str, str] = {}
    if added:
        place = _artifacts(context)
        other = str(facts["other_release"])
        variables = {
            "fresh": ",".join(added),
            "artifacts": str(place),
            "current": str(facts["current"]),
            "live": str(facts["live_release"]),
            "colour": str(facts["live"]),
            # A roll back finds it there; where its artifact is gone there is nothing to be rolled back to.
            "other": other if (place / other / "manifest.json").is_file() else "",
        }
        lacking = [each for each in (variables["live"], variables["current"]) if not (place / each).is_dir()]
        if lacking:
            raise Halt(f"{place} has no artifact of {lacking[0]}, which is live: build it again, or deploy another one")
    _tell(_now(context), variables)
    return {"played": True}


def _artifacts(context: Context) -> Path:
    """Return where the artifacts of releases lie."""
    from runbooks.deploy.store import store  # noqa: PLC0415 - a page needs it not

    given = str(context.arguments["artifacts"])
    return store().home if given == OWN else Path(given)


def _where(text: str) -> Json:
    return text if text == OWN else path()(text)


def _tell(context: Context, variables: Mapping[str, str]) -> None:
    done = acting.run_playbook(context, "scale.yaml", variables)
    if done.failed:
        raise Halt(done.failed)
    acting.observe(context, str(context.facts["live"]))


def _serves(context: Context) -> str:
    if "live" not in context.facts:
        raise Unmet("nothing is chosen yet")
    return hosts.serve(_now(context), str(context.facts["live"]))


RUNBOOK = Runbook(
    name="scale-api",
    title="Run the service on more hosts, or on fewer",
    meaning="The hosts of the service have too much to do, or one is to be taken away.",
    impact="None for clients. A host that comes gets traffic when it is ready; one that goes is sent nothing new, and "
    "answers what it is at before it is stopped. Where it wrote the index, another one takes over.",
    diagnosis=(Look(title="Which hosts there are", see=_see, by_hand="`simplicity infrastructure status`"),),
    steps=(
        Step(
            name="choose",
            title="Choose who goes, and what runs on those that come",
            asserts="it is known",
            act=_choose,
            check=_is_chosen,
            within=60.0,
            by_hand="`simplicity deploy status`: the releases; the host that came last goes first",
            reads_only=True,
        ),
        Step(
            name="drain",
            title="Send nothing more to those that go, and stop the service there",
            asserts="they have answered what they were at",
            act=_drain,
            check=_is_drained,
            within=300.0,
            by_hand="on each balancer: `set server api/HOST-COLOUR state drain` by HAProxy's socket; on the host "
            "`systemctl stop simplicity-sync simplicity-api@blue simplicity-api@green`",
            undo=_bring_back,
            undo_title="Start the service there again, and send to it",
        ),
        Step(
            name="machines",
            title="Add hosts, or remove them",
            asserts="there are as many as wanted",
            act=_machines,
            check=_are_there,
            within=300.0,
            by_hand="`simplicity fleet add application`, `simplicity fleet remove HOST`",
            undo=_as_before,
            undo_title="Remove those that were added",
        ),
        Step(
            name="apply",
            title="Make those that came ready, and let all others know",
            asserts="each host of the API is ready and has traffic",
            act=_apply,
            check=_serves,
            within=600.0,
            by_hand="`ansible-playbook scale.yaml`: its first lines say with what",
        ),
    ),
    verify=(Look(title="Each host serves", see=_serves, by_hand="`simplicity infrastructure status`", within=60.0),),
    undo="Scale to the number that there was before: a host that was removed held nothing that another one has not.",
    parameters=(
        Parameter(
            name="size", help="How many hosts of the service there are to be.", parse=integer(1, MOST), example="3"
        ),
        Parameter(
            name="artifacts",
            help="Where the artifacts of the releases lie; `own` is the store of `simplicity deploy`.",
            parse=_where,
            example="/srv/releases",
            default=OWN,
        ),
        Parameter(
            name="remove",
            help="Which host goes first, where there are to be fewer; `newest` is the one that came last.",
            parse=slug(),
            example="app1",
            default=NEWEST,
        ),
    ),
)
