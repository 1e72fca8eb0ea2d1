"""Let another server of a managed database be written to, and say how long it took until AWS said so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from runbooks.engine.model import Halt, Look, Parameter, Runbook, Step, Unmet
from runbooks.infrastructure.asking import drive, drivers, in_words, members

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.drivers.aws_failover import ManagedFailover
    from runbooks.engine.model import Context, Json

ANY = "any"


def _member(text: str) -> Json:
    from runbooks.engine.model import is_slug  # noqa: PLC0415 - beside its only use

    if not is_slug(text, 63):
        raise ValueError("has to be the name of a member, or any")
    return text


def _failover(context: Context) -> ManagedFailover:
    return cast("ManagedFailover", drivers(context).failover)


def _target(context: Context) -> str:
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - a page is shown without what drivers need

    wanted = str(context.arguments["member"])
    there = _failover(context)
    try:
        there.members()  # refuses where there is none, in its own words
        return there.candidate("" if wanted == ANY else wanted)
    except Refusal as error:
        raise Halt(str(error)) from None


def _see(context: Context) -> str:
    _target(context)
    return in_words(members(context))


def _choose(context: Context) -> Mapping[str, Json]:
    """Choose once: after a kill the same member is meant, though it may be written to by now."""
    found = members(context)
    return {
        "from": found[0].name,
        "to": _target(context),
        "before": in_words(found),
        "writer": _failover(context).writer(),
        "chosen_at": round(time.time(), 3),
    }


def _is_chosen(context: Context) -> str:
    if "to" not in context.facts:
        raise Unmet("nobody is chosen yet")
    return f"from {context.facts['from']} to {context.facts['to']}"


def _switch(context: Context) -> Mapping[str, Json]:
    failover, there = _failover(context), str(context.facts["to"])
    if failover.store.find(context.key) is None:
        found = _switched_before(context, failover)
        if found:
            return found
    done = drive(context, failover, lambda: failover.switch(context.key, there))
    result: dict[str, Any] = dict(done.result)
    context.record(
        "database.switch", context.environment.name, before=result["writer_before"], after=result["writer_after"]
    )
    return {name: result[name] for name in ("writer_before", "writer_after", "switch_seconds")}


def _switched_before(context: Context, failover: ManagedFailover) -> Mapping[str, Json]:
    """Return what an attempt before this one has come to, or nothing: a second one must not switch once more."""
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as above

    before = str(context.facts["writer"])
    try:
        if not before or not failover.has_moved(before, float(str(context.facts["chosen_at"]))):
            return {}
        after = failover.writer()
    except Refusal as error:
        raise Halt(str(error)) from None
    context.record("database.switch", context.environment.name, before=before, after=after)
    return {"writer_before": before, "writer_after": after, "switch_seconds": None}


def _has_switched(context: Context) -> str:
    if "writer_after" not in context.facts:
        raise Unmet("it has not been switched yet")
    before, after = context.facts["writer_before"], context.facts["writer_after"]
    seconds = context.facts["switch_seconds"]
    how = "by an attempt before this one" if seconds is None else f"{seconds} s after the call"
    return f"written to: {before} before, {after} now, {how}"


def _all_there(context: Context) -> str:
    found = _failover(context).database.servers()
    lacking = [f"{each.name} {each.state}" for each in found if not each.well]
    if lacking or not found[0].leads:
        raise Unmet(f"not all serve: {', '.join(lacking) or 'no server is written to'}")
    return in_words([each.member for each in found])


RUNBOOK = Runbook(
    name="test-failover-cloud",
    title="Let another server of a managed database be written to",
    meaning="Whether the database can change its server has to be known before a zone is lost.",
    impact="Nothing is written for up to a minute (Aurora) or two (RDS): sync pauses, keys and switches wait; "
    "connections are made anew. Nothing acknowledged is lost: all servers of Aurora have one storage, the standby of "
    "RDS has each commit. What clients saw meanwhile the dashboards show; it makes no writes of its own.",
    diagnosis=(
        Look(title="Who is there, and who can take over", see=_see, by_hand="`simplicity infrastructure status`"),
    ),
    steps=(
        Step(
            name="choose",
            title="Choose who is to be written to",
            asserts="a server that is available is chosen",
            act=_choose,
            check=_is_chosen,
            within=60.0,
            by_hand="`aws rds describe-db-clusters`: a member that is no writer, the lowest promotion tier first",
            reads_only=True,
        ),
        Step(
            name="switch",
            title="Tell AWS, and wait until it is written to and all servers are available",
            asserts="another server is written to",
            act=_switch,
            check=_has_switched,
            within=700.0,
            by_hand="`aws rds failover-db-cluster`; of RDS `aws rds reboot-db-instance --force-failover`",
        ),
    ),
    verify=(
        Look(
            title="All servers are available",
            see=_all_there,
            by_hand="`simplicity infrastructure status`",
            within=300.0,
        ),
    ),
    undo="Nothing has to be taken back: the servers are equals. Carry it out again and the database is where it was.",
    parameters=(
        Parameter(
            name="member",
            help="Who is to be written to; `any` is the first in the order of promotion.",
            parse=_member,
            example="simplicity-staging-database-2",
            default=ANY,
        ),
    ),
)
