"""Answers to alerts about backups, the WAL after them, and the audit trail's copy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runbooks.backup.books import back_up_database as backing_up
from runbooks.backup.books.prove_backup import discard, is_proven
from runbooks.backup.driving import engine, place, see_backups, told, work
from runbooks.backup.parameters import RESTORE_SECONDS
from runbooks.engine.arguments import one_of
from runbooks.engine.model import Halt, Look, Parameter, Step, Unmet
from runbooks.response.acts import restart_step, service_parameter
from runbooks.response.answering import answer
from runbooks.response.looks import HEALTH, SERVICES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.engine.model import Context, Json

YES, NO, AUTO = "yes", "no", "auto"
ARCHIVE_SECONDS = 120.0
MISSING = "max(simplicity_wal_missing_segments{HERE})"


def _see_backups(context: Context) -> str:
    try:
        return see_backups(context)
    except Halt as error:
        return f"the repository cannot be read: {error}"


SEE = Look(title="What backups there are", see=_see_backups, by_hand="`simplicity backup list`")
KIND = Parameter(
    name="kind",
    help="full; incremental: what changed since the last one; differential: since the last full one.",
    parse=one_of("full", "incremental", "differential"),
    example="full",
    default="full",
)


def _choice(name: str, text: str) -> Parameter:
    return Parameter(name=name, help=text, parse=one_of(YES, NO), example=NO, default=YES)


def _make(context: Context) -> Mapping[str, Json]:
    if context.arguments["make"] == NO or (context.arguments["make"] == AUTO and not _has_a_gap(context)):
        return {"backup": ""}
    return backing_up.make(context)


def _has_a_gap(context: Context) -> bool:
    """Tell whether WAL is missing after the newest backup; where nobody can tell, a new backup does no harm."""
    from runbooks.response.prometheus import PrometheusError, value  # noqa: PLC0415 - a page is shown without packages

    try:
        missing = value(context.environment, MISSING)
    except PrometheusError as error:
        context.say(f"whether WAL is missing cannot be told: {error}")
        return True
    return math.isnan(missing) or missing > 0


def _is_made(context: Context) -> str:
    return backing_up.is_there(context) if context.facts["backup"] else "no backup was to be made"


def _prove(context: Context) -> Mapping[str, Json]:
    if context.arguments["prove"] == NO:
        return {"proven": ""}
    backup = str(context.facts["backup"]) or None
    found = work(context, lambda driver, key: driver.restore(key, backup, "latest"))
    context.record("backup.restore", f"backup {found['backup']}", after=dict(found))
    return {"proven": found["backup"]}


def _is_proven(context: Context) -> str:
    return is_proven(context) if context.facts["proven"] else "no restore was to be made"


def _clean_up(context: Context) -> None:
    discard(context)


def _is_clean(context: Context) -> str:
    with told():
        left = engine(context).left(context.run)
    if left:
        raise Unmet(f"{left[0]} is still there")
    return "nothing is left of the second database"


def _make_step() -> Step:
    return Step(
        name="make",
        title="Make a backup",
        asserts="its manifest is in the repository and signed by the environment's key; or none was to be made",
        act=_make,
        check=_is_made,
        within=backing_up.RUNBOOK.steps[0].within,
        by_hand="`simplicity backup create`",
    )


TOO_OLD = answer(
    "answer-backup-too-old",
    title="Answer: there is no backup that is new enough and proven",
    meaning="No backup ended within its time, none was proven for days, one is damaged, the repository cannot be read, "
    "or the agent that tells of all this is gone.",
    impact="None for clients now. If the database were lost now, keys, switches and the audit trail since the last "
    "backup would come from WAL alone, or not at all.",
    diagnosis=(SERVICES, HEALTH, SEE),
    steps=(
        restart_step("backup", what="the agent where it hangs"),
        _make_step(),
        Step(
            name="prove",
            title="Restore it beside the live database, and compare it with what was recorded outside",
            asserts="state hash and digest are those recorded outside, the tables come to them; or none was asked for",
            act=_prove,
            check=_is_proven,
            within=RESTORE_SECONDS,
            by_hand="`simplicity backup verify --prove ID`",
            undo=discard,
            undo_title="Delete the second database's files",
        ),
        Step(
            name="clean-up",
            title="Delete the second database",
            asserts="its files are gone",
            act=_clean_up,
            check=_is_clean,
            within=120.0,
            by_hand="`rm -r` of the folder that the restore named",
        ),
    ),
    undo="A backup takes nothing away. One that must not be used stays until a person has looked at it: "
    "`simplicity backup list` says why; then remove it from the repository.",
    parameters=(
        KIND,
        _choice("make", "no: no new backup, only what else is wrong is put right."),
        _choice("prove", "no: the backup is not restored; it stays unproven."),
        service_parameter("backup", example="backup"),
    ),
    target="backups",
)


def _archive(context: Context) -> Mapping[str, Json]:
    with told():
        said = engine(context).archive_now(max(1.0, context.remaining() - 5))
    if not said.endswith("is archived"):
        raise Halt(f"{said}; `simplicity logs postgresql` says why: is the repository full, away, or refused?")
    return {"archived": said}


def _is_archived(context: Context) -> str:
    if "archived" not in context.facts:
        raise Unmet("nothing has been archived yet")
    return str(context.facts["archived"])


def _see_archiver(context: Context) -> str:
    from psycopg.rows import dict_row  # noqa: PLC0415 - as in _has_a_gap()

    try:
        with told(), place(context, "`pgbackrest check` on the leader says it").source.connected() as connection:
            row = connection.cursor(row_factory=dict_row).execute(
                "SELECT archived_count, last_archived_wal, last_archived_time::text, failed_count, last_failed_wal,"
                " last_failed_time::text FROM pg_stat_archiver"
            )
            found = row.fetchone() or {}
    except Halt as error:
        return f"cannot be told: {error}"
    return ", ".join(f"{name} {value}" for name, value in found.items())


WAL = answer(
    "answer-wal-archiving",
    title="Answer: the WAL after the backups has a gap, or is not archived",
    meaning="PostgreSQL cannot hand its log to the repository (full, away, wrong credentials), or files of it are "
    "missing there.",
    impact="What is committed now could not be restored. PostgreSQL keeps what is not archived: its disk fills.",
    diagnosis=(
        SERVICES,
        Look(
            title="What PostgreSQL says of its archiving",
            see=_see_archiver,
            by_hand="in psql: `SELECT * FROM pg_stat_archiver`",
        ),
        SEE,
    ),
    steps=(
        Step(
            name="archive",
            title="Let PostgreSQL close its current WAL file, and wait until it is archived",
            asserts="the repository has all WAL up to now; else the run stops, and the log names what is in the way",
            act=_archive,
            check=_is_archived,
            within=ARCHIVE_SECONDS,
            by_hand="in psql, as the role of the backups: `SELECT pg_switch_wal()`, then `SELECT last_archived_wal "
            "FROM pg_stat_archiver`",
        ),
        _make_step(),
    ),
    undo="There is nothing to take back. A gap stays in the older backups: a restore from them ends before it; the new "
    "backup begins after it.",
    parameters=(
        KIND,
        Parameter(
            name="make",
            help="auto: a new backup where WAL is missing after the last one; yes: in any case; no: none.",
            parse=one_of(AUTO, YES, NO),
            example=YES,
            default=AUTO,
        ),
    ),
    target="backups",
)


def _examine(context: Context) -> Mapping[str, Json]:
    from runbooks.response.trail import examined  # noqa: PLC0415 - as in _has_a_gap()

    return examined(context)


def _is_examined(context: Context) -> str:
    return f"{context.facts['verdict']}; the trail and its copy are in {context.folder}"


def _copy(context: Context) -> Mapping[str, Json]:
    from runbooks.response.trail import copied  # noqa: PLC0415 - as in _has_a_gap()

    if context.facts.get("forged"):
        raise Halt(
            f"the trail contradicts its copy, nothing is copied: {context.facts['verdict']}; this is for whoever "
            "answers for security: who could write to the database? Keep both files, then close this run"
        )
    return {"copied": copied(context)}


def _is_copied(context: Context) -> str:
    if "copied" not in context.facts:
        raise Unmet("nothing has been copied yet")
    return f"{context.facts['copied']} entries were copied; the copy has all of them"


AUDIT = answer(
    "answer-audit-mismatch",
    title="Answer: the audit trail and its copy differ",
    meaning="An entry of the trail is not what was copied to its second place, or is missing: somebody changed rows, "
    "or a restore was done by hand. Or entries wait to be copied, as the agent or the second place is away.",
    impact="While they differ nobody can prove who did what. What is not copied yet can be changed without a trace.",
    diagnosis=(SERVICES,),
    steps=(
        Step(
            name="examine",
            title="Compare the trail with its copy, entry by entry, and keep both in the run's folder",
            asserts="it is known whether they differ, and in which entries",
            act=_examine,
            check=_is_examined,
            within=600.0,
            by_hand="`simplicity audit verify --anchor URL --env-file FILE`, `simplicity audit export -o trail.ndjson`",
            reads_only=True,
        ),
        restart_step("backup", what="the agent where it hangs"),
        Step(
            name="copy",
            title="Copy what waits to the second place, unless the two contradict each other",
            asserts="the copy has all entries",
            act=_copy,
            check=_is_copied,
            within=600.0,
            by_hand="`simplicity audit anchor --anchor URL --env-file FILE`",
        ),
    ),
    undo="What is copied stays. A trail that was forged is not put right: it is evidence.",
    parameters=(service_parameter("backup", example="backup"),),
)

RUNBOOKS = (TOO_OLD, WAL, AUDIT)
