"""Restore a backup into a second database, prove it, and keep or delete that database: what runs is not touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbooks.backup.driving import engine, finished, see_backups, told, work
from runbooks.backup.parameters import BACKUP, CLUSTER, RESTORE_SECONDS, TO
from runbooks.engine.arguments import one_of
from runbooks.engine.model import Look, Parameter, Runbook, Step, Unmet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.engine.model import Context, Json


def restore(context: Context) -> Mapping[str, Json]:
    """Restore beside the live database, up to the proof."""
    backup = str(context.arguments["backup"])
    wanted = None if backup == "best" else backup
    found = work(context, lambda driver, key: driver.restore(key, wanted, str(context.arguments["to"])))
    context.record("backup.restore", f"backup {found['backup']}", after=dict(found))
    return {"restored": found["folder"], "operation": found["operation"], "proof": dict(found)}


def is_proven(context: Context) -> str:
    """Return what the proof saw. Raises Unmet while there is none."""
    found: Any = finished(context)
    return "; ".join(f"{name}: {what}" for name, what in found["checks"].items())


def discard(context: Context) -> None:
    """Delete the second database's files, whatever of them is there."""
    with told():
        engine(context).discard(context.run)


def _clean_up(context: Context) -> Mapping[str, Json]:
    if context.arguments["keep"] == "yes":
        return {"kept": context.facts["restored"]}
    discard(context)
    return {"kept": ""}


def _is_clean(context: Context) -> str:
    folder = str(context.facts["restored"])
    if context.arguments["keep"] == "yes":
        return f"the second database stays in {folder}; `simplicity backup open {folder}` starts it"
    with told():
        left = engine(context).left(context.run)
    if left:
        raise Unmet(f"{left[0]} is still there")
    return f"{folder} is gone"


RUNBOOK = Runbook(
    name="prove-backup",
    title="Restore a backup beside the live database and prove it",
    meaning="A backup that was never restored is a hope. Or the index of an earlier moment is wanted, to look at.",
    impact="None for clients: the second database listens on no port. It needs the disk space of the database and, for "
    "a while, both cores' time.",
    diagnosis=(Look(title="What backups there are", see=see_backups, by_hand="`simplicity backup list`"),),
    steps=(
        Step(
            name="restore",
            title="Fetch the backup and its WAL, check every byte, recover to the target, compare and catch up",
            asserts="state hash and digest are those recorded outside, the tables come to them, the node's blocks too",
            act=restore,
            check=is_proven,
            within=RESTORE_SECONDS,
            by_hand="there is no way by hand that proves it; `simplicity state verify --from-chain` does a part",
            undo=discard,
            undo_title="Delete the second database's files",
        ),
        Step(
            name="clean-up",
            title="Delete the second database, unless it is to be kept",
            asserts="its files are gone, or kept on purpose",
            act=_clean_up,
            check=_is_clean,
            within=120.0,
            by_hand="`rm -r` of the folder that the command named",
        ),
    ),
    verify=(Look(title="The backup is listed as proven", see=see_backups, by_hand="`simplicity backup list`"),),
    undo="The second database's files are deleted. The live database was never touched.",
    parameters=(
        TO,
        BACKUP,
        CLUSTER,
        Parameter(
            name="keep",
            help="yes: leave the second database's files, to look at them.",
            parse=one_of("yes", "no"),
            example="yes",
            default="no",
        ),
    ),
    target=lambda _: "restored",
    on_failure="undo",
)
