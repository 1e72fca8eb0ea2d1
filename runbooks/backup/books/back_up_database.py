"""Make a backup, read it back to the last byte, and remove what retention no longer wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from runbooks.backup.driving import engine, finished, see_backups, told, work
from runbooks.engine.arguments import one_of
from runbooks.engine.model import Look, Parameter, Runbook, Step, Unmet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.drivers.protocols import BackupKind
    from runbooks.engine.model import Context, Json


def make(context: Context) -> Mapping[str, Json]:
    """Make a backup of the argument `kind`; the facts have its id as `backup`."""
    kind = cast("BackupKind", context.arguments["kind"])
    made = work(context, lambda driver, key: driver.create(key, kind))
    context.record("backup.create", f"backup {made['backup']}", after=dict(made))
    return made


def is_there(context: Context) -> str:
    """Say that the backup of this step is in the repository. Raises Unmet while it is not."""
    made = finished(context)
    with told():
        there = [each for each in engine(context).backups() if each.id == made["backup"]]
    if not there:
        raise Unmet(f"{made['backup']} is not in the repository, or not signed by its key")
    return f"{there[0].id} is in the repository, signed; {there[0].size} bytes"


def read_back(context: Context) -> Mapping[str, Json]:
    """Read the backup that was made, and the WAL after it, to the last byte."""
    whole: Any = work(context, lambda driver, key: driver.verify(key, str(context.facts["backup"])))
    return {"read": whole["sentence"]}


def was_whole(context: Context) -> str:
    """Say that nothing was missing. Raises Unmet while it is not read."""
    return f"{finished(context)['wal_files']} WAL files follow it without a gap"


def prune(context: Context) -> Mapping[str, Json]:
    """Remove what retention no longer wants."""
    found: Any = work(context, lambda driver, key: driver.prune(key))
    if found["removed"] or found["wal_files"]:
        context.record("backup.prune", context.environment.name, after={"removed": found["removed"]})
    return {"pruned": found["sentence"]}


def _was_pruned(context: Context) -> str:
    kept: Any = finished(context)["kept"]
    if context.facts["backup"] not in kept:
        raise Unmet(f"{context.facts['backup']} is not among those that stay")
    return f"{len(kept)} backups stay"


RUNBOOK = Runbook(
    name="back-up-database",
    title="Back up the database, its configuration and its keys",
    meaning="A new backup is due, or wanted before something risky. `index` could be rebuilt from the chain in hours "
    "or days; keys, switches and the audit trail could not.",
    impact="None for clients. The database reads its files once, and a checkpoint is written.",
    diagnosis=(Look(title="What backups there are", see=see_backups, by_hand="`simplicity backup list`"),),
    steps=(
        Step(
            name="make",
            title="Copy the database, compressed and encrypted, into the repository",
            asserts="its manifest is there and signed by the environment's key",
            act=make,
            check=is_there,
            within=600.0,
            by_hand="`pg_basebackup --format=tar --wal-method=none`, through zstd and age, into the repository; only "
            "this command writes the signed manifest",
        ),
        Step(
            name="read-back",
            title="Read it back to the last byte, with the WAL after it",
            asserts="all bytes are those that were written, and no WAL file is missing",
            act=read_back,
            check=was_whole,
            within=600.0,
            by_hand="`simplicity backup verify ID`",
        ),
        Step(
            name="prune",
            title="Remove what retention no longer wants",
            asserts="the new backup is among those that stay",
            act=prune,
            check=_was_pruned,
            within=300.0,
            by_hand="`simplicity backup prune`",
        ),
    ),
    verify=(Look(title="The backup is listed", see=see_backups, by_hand="`simplicity backup list`"),),
    undo="A backup takes nothing away: there is nothing to take back. One that was cut off has no manifest, is never "
    "used, and goes with a later prune.",
    parameters=(
        Parameter(
            name="kind",
            help="full; incremental: what changed since the last one; differential: since the last full one.",
            parse=one_of("full", "incremental", "differential"),
            example="incremental",
            default="full",
        ),
    ),
    target=lambda _: "backups",
    # One that failed must not stand in the way of the next: a disk that was full for a minute would end all backups.
    on_failure="undo",
)
