"""Move the database to another host in order, while a writer looks on: nothing acknowledged may be lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runbooks.engine.model import Halt, Look, Parameter, Runbook, Step, Unmet
from runbooks.infrastructure.asking import drive, drivers, in_words, members

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runbooks.engine.model import Context, Json

BEFORE, AFTER = 10, 30
PREFIX = "test-failover"
ANY = "any"


def _member(text: str) -> Json:
    from runbooks.engine.model import is_slug  # noqa: PLC0415 - beside its only use

    if not is_slug(text):
        raise ValueError("has to be the name of a member, like db2, or any")
    return text


def _see(context: Context) -> str:
    found = members(context)
    _target(context)
    return in_words(found)


def _target(context: Context) -> str:
    """Return who is to be the primary. Raises Halt where nobody can be."""
    from runbooks.drivers.patroni import candidate  # noqa: PLC0415 - a page is shown without what drivers need
    from runbooks.drivers.patroni_api import Patroni  # noqa: PLC0415 - as above
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as above
    from runbooks.drivers.remote import RemoteError  # noqa: PLC0415 - as above

    wanted = str(context.arguments["member"])
    try:
        return candidate(Patroni(context.environment).servers(), "" if wanted == ANY else wanted).name
    except (Refusal, RemoteError) as error:
        raise Halt(str(error)) from None


def _plan(context: Context) -> Mapping[str, Json]:
    """Choose once: after a kill the same member is meant, though it may lead by now."""
    found = members(context)
    host = context.environment.hosts["indexer"][0].name
    return {"from": found[0].name, "to": _target(context), "before": in_words(found), "writer": host}


def _is_planned(context: Context) -> str:
    if "to" not in context.facts:
        raise Unmet("nobody is chosen yet")
    return f"from {context.facts['from']} to {context.facts['to']}, writes from {context.facts['writer']}"


def _file(context: Context) -> Path:
    return context.folder / "writes.json"


def _switch(context: Context) -> Mapping[str, Json]:
    """Switch over while keys are made; what was acknowledged is on disk before the step is done."""
    from runbooks.infrastructure.writing import pause, writing  # noqa: PLC0415 - a page needs it not

    name, host = f"{PREFIX}-{context.run[-12:]}", str(context.facts["writer"])
    there, failover = str(context.facts["to"]), drivers(context).failover
    with writing(context.environment, host, name) as writer:
        if not writer.until(BEFORE, within=30):
            said = writer.said[-1] if writer.said else f"{len(writer.writes)} writes in 30 s"
            raise Halt(f"nothing can be written from {host} as it is: {said}")
        context.say(f"{len(writer.writes)} keys made; switches over")
        try:
            done = drive(context, failover, lambda: failover.switch(context.key, there))
        finally:
            writer.listen(0.0)
            _file(context).write_text(json.dumps([each.id for each in writer.writes if each.id]), encoding="utf-8")
        if not writer.until(AFTER, within=30, after=writer.writes[-1].ended):
            raise Halt(f"{there} leads, and nothing can be written; look: simplicity infrastructure status")
    _file(context).write_text(json.dumps([each.id for each in writer.writes if each.id]), encoding="utf-8")
    seen = pause(writer.writes)
    result: dict[str, Any] = dict(done.result)
    context.record("database.switch", context.environment.name, before=context.facts["from"], after=there)
    return {
        "name": name,
        "acknowledged": seen.acknowledged,
        "refused": seen.failed,
        "pause_seconds": seen.seconds,
        "timeline_before": result.get("timeline_before"),
        "timeline": result.get("timeline"),
    }


def _has_switched(context: Context) -> str:
    found = members(context)
    if "acknowledged" not in context.facts:
        raise Unmet("it has not been measured yet")
    if found[0].name != context.facts["to"] or found[0].role != "primary":
        raise Unmet(f"{found[0].name} is the first: {in_words(found)}")
    return (
        f"{in_words(found)}; writes were accepted again after {context.facts['pause_seconds']} s,"
        f" {context.facts['refused']} were refused meanwhile"
    )


def _count(context: Context) -> Mapping[str, Json]:
    """Look for each acknowledged write, by another connection, and end the keys: nobody has them."""
    from runbooks.drivers.remote import RemoteError  # noqa: PLC0415 - a page needs it not
    from runbooks.infrastructure.writing import count  # noqa: PLC0415 - as above

    wanted: list[str] = json.loads(_file(context).read_text(encoding="utf-8"))
    try:
        found = count(context.environment, str(context.facts["writer"]), str(context.facts["name"]), wanted)
    except RemoteError as error:
        raise Halt(str(error)) from None
    return {"lost": list(found["lost"]), "missing_in_trail": list(found["untold"])}


def _is_whole(context: Context) -> str:
    lost: Any = context.facts.get("lost")
    untold: Any = context.facts.get("missing_in_trail")
    if lost is None or untold is None:
        raise Unmet("nobody has counted yet")
    if lost or untold:
        raise Halt(f"{len(lost)} acknowledged keys are lost, {len(untold)} are missing in the audit trail: {lost[:5]}")
    return f"{context.facts['acknowledged']} keys were acknowledged: all are there, and in the audit trail; 0 lost"


def _follow(context: Context) -> str:
    found = members(context)
    behind = [each.name for each in found[1:] if each.lag != 0]
    if found[0].role != "primary" or behind:
        raise Unmet(f"not all follow: {in_words(found)}")
    return in_words(found)


RUNBOOK = Runbook(
    name="test-failover",
    title="Move the database to another host, and count what was written meanwhile",
    meaning="Whether the database can change its host has to be known before a host is lost or taken away.",
    impact="For a few seconds nothing is written: sync pauses, keys and switches wait. Reads go on by what is cached "
    "and by connections made anew. It makes a few hundred API keys that nobody has, and revokes them at the end.",
    diagnosis=(
        Look(title="Who is there, and who can take over", see=_see, by_hand="`simplicity infrastructure status`"),
    ),
    steps=(
        Step(
            name="choose",
            title="Choose who is to be the primary",
            asserts="a synchronous standby that streams is chosen",
            act=_plan,
            check=_is_planned,
            within=60.0,
            by_hand="`patronictl -c /etc/patroni/config.yml list` on a database host: the row `Sync Standby`",
            reads_only=True,
        ),
        Step(
            name="switch",
            title="Make API keys one after the other, and switch over meanwhile",
            asserts="the chosen member is the primary, and keys are made again",
            act=_switch,
            check=_has_switched,
            within=300.0,
            by_hand="`patronictl -c /etc/patroni/config.yml switchover --candidate MEMBER --force` on a database host",
        ),
        Step(
            name="count",
            title="Look for every key that was acknowledged, and revoke them",
            asserts="none is lost, and each is in the audit trail",
            act=_count,
            check=_is_whole,
            within=180.0,
            by_hand="`simplicity auth keys list` on a host of the service",
        ),
    ),
    verify=(
        Look(
            title="All members follow the new primary",
            see=_follow,
            by_hand="`simplicity infrastructure status`",
            within=60.0,
        ),
    ),
    undo="Nothing has to be taken back: the members are equals. Carry it out again and the database is where it was.",
    parameters=(
        Parameter(
            name="member",
            help="Who is to be the primary; `any` is the synchronous standby.",
            parse=_member,
            example="db2",
            default=ANY,
        ),
    ),
)
