"""Answers to alerts about what is in the index: of a chain that was left, or not what was recorded of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.drivers.of_run import drive
from runbooks.engine.arguments import one_of
from runbooks.engine.model import Halt, Look, Parameter, Step, Unmet
from runbooks.response.acts import evidence_step, metrics, once
from runbooks.response.answering import answer
from runbooks.response.looks import HEALTH, SERVICES, healthy_look

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runbooks.engine.model import Context, Json

# Recomputing a long chain takes hours.
MEND_SECONDS = 21_600.0
COMPARE = (
    "`SELECT height, encode(hash, 'hex') FROM index.blocks ORDER BY height DESC LIMIT 200` in psql, against "
    "`bitcoin-cli getblockhash HEIGHT` (its bytes reversed)"
)
MEND = Parameter(
    name="mend",
    help="yes: take away what is wrong and index it anew; no: only say what is wrong.",
    parse=one_of("yes", "no"),
    example="yes",
    default="no",
)


def _see_fork(context: Context) -> str:
    from runbooks.response.index import fork  # noqa: PLC0415 - a page is shown without the database's client

    try:
        return fork(context).sentence
    except Halt as error:
        return f"cannot be told: {error}"


def _mend_fork(context: Context) -> Mapping[str, Json]:
    from runbooks.response.index import fork  # noqa: PLC0415 - as in _see_fork()

    def first() -> int | None:
        found = fork(context)
        return found.common + 1 if found.is_too_deep else None

    return _mended(context, first)


def _mend_rows(context: Context) -> Mapping[str, Json]:
    return _mended(context, lambda: None if context.facts["consistent"] else context.facts["wrong_from"])


def _mended(context: Context, find: Callable[[], Json]) -> Mapping[str, Json]:
    """Stop sync, take away the blocks from the height that `find` finds, None for no need, and start sync again.

    Doing it again comes to the same: good blocks stay, and sync is started whatever came before.
    """
    from runbooks.response.index import mended  # noqa: PLC0415 - as in _see_fork()

    if context.arguments["mend"] == "no":
        return {"mended": "nothing was changed, as mend=no"}
    told = "there is nothing to mend"
    height = once(context, "height", find)
    try:
        if height is not None:
            context.record("index.mend", context.environment.name, after={"from_height": height})
            drive(context, "stop", "sync", f"{context.key}-stop")
            outcome = mended(context, height)
            told = f"kept up to block {outcome.plan.good} of {outcome.plan.stood}; sync indexes the rest anew"
    finally:
        # Whatever came of it: the index is as it was, or good and shorter.
        drive(context, "start", "sync", f"{context.key}-start")
    return {"mended": told}


def _is_mended(context: Context) -> str:
    if "mended" not in context.facts:
        raise Unmet("it is not done")
    return str(context.facts["mended"])


def _recompute(context: Context) -> Mapping[str, Json]:
    from runbooks.response.index import verified  # noqa: PLC0415 - as in _see_fork()

    report = verified(context)
    return {
        "consistent": report.is_consistent,
        "wrong_from": report.last_good + 1,
        "counts": dict(report.findings.counts),
    }


def _is_recomputed(context: Context) -> str:
    if context.facts["consistent"]:
        return "the tables are what the rules make of the recorded operations"
    return f"good up to the block before {context.facts['wrong_from']}; rows that differ: {context.facts['counts']}"


def _mend_step(what: str, act: Callable[[Context], Mapping[str, Json]]) -> Step:
    return Step(
        name="mend",
        title=f"With mend=yes: stop sync, take {what} away, and let sync index them anew",
        asserts="the index is good up to there and sync runs; or nothing was to be mended",
        act=act,
        check=_is_mended,
        within=MEND_SECONDS,
        by_hand="`simplicity state repair --env-file FILE` says what it would do; stop sync, then the same with "
        "`--yes --no-replay` (and `--from-height HEIGHT`), then start sync",
        destroys=True,
        spares=lambda arguments: arguments["mend"] == "no",
    )


def _on_chain(context: Context) -> str:
    from runbooks.response.index import fork  # noqa: PLC0415 - as in _see_fork()

    try:
        found = fork(context)
    except Halt as error:
        raise Unmet(str(error)) from None
    if found.depth:
        raise Unmet(found.sentence)
    return found.sentence


REORG = answer(
    "answer-reorg",
    title="Answer: the chain has left the indexed one",
    meaning="The node's chain parted from the indexed one unusually deep. Down to the blocks for which undo data is "
    "kept sync takes them back by itself, and there is nothing to do but to ask why. Below that it stops and waits.",
    impact="Operations of blocks that are no longer of the chain did not happen: whoever relied on them is deceived. "
    "While it is too deep the index stands still.",
    diagnosis=(SERVICES, HEALTH, Look(title="Where the chains part", see=_see_fork, by_hand=COMPARE)),
    steps=(
        evidence_step(
            {
                "fork": _see_fork,
                "depth": metrics(
                    too_deep="max(simplicity_reorg_too_deep{HERE})",
                    last_depth="max(simplicity_last_reorg_depth{HERE})",
                    in_an_hour="sum(increase(simplicity_reorgs_total{HERE}[1h]))",
                ),
            },
            "is the node's chain the right one? Compare its best block with two nodes of others. Only then mend=yes",
            f"`bitcoin-cli getchaintips`; {COMPARE}",
        ),
        _mend_step("the blocks after the last common one", _mend_fork),
    ),
    verify=(
        healthy_look("sync", within=MEND_SECONDS),
        Look(title="The index is on the node's chain", see=_on_chain, by_hand=COMPARE, within=600.0),
    ),
    undo="What was taken away is indexed anew from the node. There is no way back to the chain that was left.",
    parameters=(MEND,),
    target="index",
)


MISMATCH = answer(
    "answer-state-mismatch",
    title="Answer: the index is not what was recorded of it",
    meaning="A block's state hash in the database differs from the one that the backup agent recorded outside of it, "
    "at the same height and block: a row was changed by something other than sync, or a disk has lied.",
    impact="Answers may be wrong. A wrong balance is worse than none: consider the maintenance switch for the routes "
    "concerned until it is mended.",
    diagnosis=(SERVICES, HEALTH),
    steps=(
        Step(
            name="recompute",
            title="Recompute every block's operations, hashes and digest by the rules, and compare all tables",
            asserts="it is known from which block on the index is wrong. Then decide: who could write there? Keep the "
            "database's log, `simplicity audit show`, and a backup of it as it is; only then mend=yes",
            act=_recompute,
            check=_is_recomputed,
            within=MEND_SECONDS,
            by_hand="`simplicity state verify --env-file FILE`; `simplicity api maintenance --help` closes routes",
            reads_only=True,
        ),
        _mend_step("the blocks from the first wrong one on", _mend_rows),
    ),
    verify=(healthy_look("database", "sync", within=MEND_SECONDS),),
    undo="What was taken away is indexed anew from the node. A backup that was made before holds the wrong rows.",
    parameters=(MEND,),
    target="index",
)

RUNBOOKS = (REORG, MISMATCH)
