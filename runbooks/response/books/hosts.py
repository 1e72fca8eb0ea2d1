"""Answers to alerts about the machines: busy, full, with a clock that is wrong."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from runbooks.backup.books.back_up_database import prune
from runbooks.backup.driving import finished
from runbooks.engine.arguments import one_of
from runbooks.engine.model import Halt, Parameter, Step
from runbooks.response.acts import evidence_step, metrics, of_scope, restart_step, service_parameter
from runbooks.response.answering import answer
from runbooks.response.looks import HEALTH, SERVICES, metric_look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.engine.model import Context, Json

SCOPE = ("api", "sync")
# As the alert has it: a scrape may take two seconds.
CLOCK_SECONDS = 5.0
OFFSETS = "process_clock_seconds{HERE} - timestamp(process_clock_seconds{HERE})"
USE = metrics(
    cpu_busy='1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle",HERE}[2m]))',
    load="max by (instance) (node_load1{HERE})",
    memory_in_use="1 - max by (instance) (node_memory_MemAvailable_bytes{HERE} / node_memory_MemTotal_bytes{HERE})",
    files_in_use="max by (instance) (node_filefd_allocated{HERE} / node_filefd_maximum{HERE})",
    process_files_in_use="max by (instance) (process_open_fds{HERE} / process_max_fds{HERE})",
    process_cpu="sum by (instance) (rate(process_cpu_seconds_total{HERE}[2m]))",
    process_memory="max by (instance) (process_resident_memory_bytes{HERE})",
)
FULL = metrics(
    in_use="1 - max by (instance, mountpoint) (node_filesystem_avail_bytes{HERE} / node_filesystem_size_bytes{HERE})",
    free_bytes="min by (instance, mountpoint) (node_filesystem_avail_bytes{HERE})",
    backups="max(simplicity_backup_stored_bytes{HERE})",
)
CLOCKS = metrics(
    processes=OFFSETS,
    machine_offset="max by (instance) (node_timex_offset_seconds{HERE})",
    machine_is_synchronised="min by (instance) (node_timex_sync_status{HERE})",
    prometheus="time()",
)
# Of the checkout, where nobody has said otherwise.
HOME = "${SIMPLICITY_HOME:-.simplicity}"
NO_ROOM = f"""**Where nothing can be written any more** the command below cannot begin either: its journal lies on
that disk too. First make a little room by hand, in the checkout:

1. `df -h; df -i`: which disk is full, of bytes or of files.
2. `ls {HOME}/restored`, then `rm -r` of those whose run is over: databases that were restored to be looked at.
3. `rm {HOME}/local/log/*.log.[0-9]*`: logs that were rotated.
4. `du -xh --max-depth=2 {HOME} | sort -h | tail`: what else is large. Delete nothing in `postgresql`, least of all in
   `pg_wal`: that destroys the database. WAL goes by itself once it is archived, see `answer-wal-archiving`.
5. `lsof +L1`: files that are deleted and still open take room until their process ends.

A few megabytes are enough for the command to begin."""


def _busiest(context: Context) -> Json:
    from runbooks.response.host import busiest  # noqa: PLC0415 - a page is shown without the packages

    return busiest(context)


def _disks(context: Context) -> Json:
    from runbooks.response.host import disks  # noqa: PLC0415 - as above

    return disks(context)


def _clocks(context: Context) -> Json:
    from runbooks.response.host import clocks  # noqa: PLC0415 - as above

    return clocks(context)


def _plan(context: Context) -> Mapping[str, Json]:
    from runbooks.response.retained import planned  # noqa: PLC0415 - as above

    try:
        return {"plan": planned(context)}
    except Halt as error:
        # Who prunes nothing needs no repository.
        return {"plan": None, "why": str(error)}


def _is_planned(context: Context) -> str:
    plan: Any = context.facts["plan"]
    if plan is None:
        return f"what a prune would remove cannot be told: {context.facts['why']}"
    gone = [*plan["removed"], *plan["unfinished"]]
    told = f"{len(gone)} backups ({plan['bytes'] / 1e6:.1f} MB) and {plan['wal_files']} WAL files, {plan['kept']} stay"
    return f"{plan['where']}; prune=yes removes {told}" + "".join(f"\n  {each}" for each in gone)


def _prune(context: Context) -> Mapping[str, Json]:
    from runbooks.response.retained import alone, planned  # noqa: PLC0415 - as above

    if context.arguments["prune"] == "no":
        return {"pruned": "nothing was to be removed"}
    shown: Any = context.facts.get("plan")
    if shown is None:
        raise Halt("what would be removed was not put down; put the repository right, then begin anew")
    with alone(context):
        now: Any = planned(context)
        known = {*shown["removed"], *shown["unfinished"]}
        if more := [each for each in (*now["removed"], *now["unfinished"]) if each not in known]:
            raise Halt(f"{more[0]} would be removed too by now, which was not put down; look, and begin anew")
        return prune(context)


def _was_pruned(context: Context) -> str:
    if context.arguments["prune"] == "no":
        return str(context.facts["pruned"])
    kept: Any = finished(context)["kept"]
    return f"{context.facts['pruned']}; {len(kept)} backups stay"


def wrong_clocks(context: Context) -> list[str]:
    """Return the services whose own clock is another one than Prometheus's.

    Raises Halt where no process is right and all are off alike: it is the machine's clock or Prometheus's, which no
    restart of ours puts right.
    """
    from runbooks.response.prometheus import PrometheusError, ask  # noqa: PLC0415 - as above

    try:
        found = [each for each in ask(context.environment, OFFSETS) if math.isfinite(each.value)]
    except PrometheusError as error:
        raise Halt(f"which clock is wrong cannot be told: {error}") from None
    wrong = {each.labels.get("instance"): each.value for each in found if abs(each.value) > CLOCK_SECONDS}
    if wrong and len(wrong) == len(found) and max(wrong.values()) - min(wrong.values()) <= CLOCK_SECONDS:
        raise Halt(
            f"all {len(found)} processes are {min(wrong.values()):+.0f} s from Prometheus: it is their machine's clock "
            "or Prometheus's; on both `chronyc tracking`, on the wrong one `chronyc makestep`, then resume (a single "
            "process all the same: service=NAME)"
        )
    return [one.name for one in of_scope(context, SCOPE) if one.name in wrong]


PRESSURE = answer(
    "answer-host-pressure",
    title="Answer: a machine runs out of processor, memory or file handles",
    meaning="Processes want more than the machine has. Ours or somebody else's: which ones is seen below.",
    impact="Everything on it is slower. Without memory the kernel kills the largest process, mostly the database; "
    "without file handles new connections are refused.",
    diagnosis=(HEALTH,),
    steps=(
        evidence_step(
            {"use": USE, "processes": _busiest},
            "a process that is not ours: stop it or move it; ours with more to do: lower API_RATE_LIMITS, move it, or "
            "a larger machine; ours that grows without end: `simplicity restart SERVICE`, and a bug to file",
            "`top -o %CPU`, `top -o %MEM`, `ls /proc/PID/fd | wc -l`",
        ),
    ),
    undo="Nothing is changed: what to do about it is a decision.",
)

DISK = answer(
    "answer-disk-full",
    title="Answer: a disk is full, or will be",
    meaning="Files grow faster than they are removed: the index, WAL that is not archived, backups, logs, or somebody "
    "else's files.",
    impact="When it is full PostgreSQL stops, and with it all writing; backups fail.",
    diagnosis=(SERVICES, HEALTH),
    steps=(
        evidence_step(
            {"metrics": FULL, "disks": _disks},
            "`pg_wal` large: answer-wal-archiving, never delete in it; `restored` large: remove the folders of "
            "restores that nobody looks at any more; the index itself: a larger disk; somebody else's files: theirs",
            f"`df -h`, `du -xh --max-depth=2 {HOME} | sort -h | tail`",
        ),
        Step(
            name="plan",
            title="Put down on which disk the backups lie, and which of them retention no longer wants",
            asserts="it is known what a prune would remove, and whether that makes room on the disk that is full",
            act=_plan,
            check=_is_planned,
            within=60.0,
            by_hand="`simplicity backup prune --dry-run`; `df -h` of the repository's directory",
            reads_only=True,
        ),
        Step(
            name="prune",
            title="With prune=yes: remove the backups that were put down, with their WAL",
            asserts="those that retention wants are there still; or nothing was to be removed",
            act=_prune,
            check=_was_pruned,
            within=300.0,
            by_hand="`simplicity backup prune`, where the repository lies on the disk that is full",
            destroys=True,
            spares=lambda arguments: arguments["prune"] == "no",
        ),
    ),
    undo="A backup that was removed cannot be had again; retention names those that stay.",
    parameters=(
        Parameter(
            name="prune",
            help="yes: remove the backups that retention no longer wants, which helps where they lie on the full disk.",
            parse=one_of("yes", "no"),
            example="yes",
            default="no",
        ),
    ),
    before=NO_ROOM,
)

CLOCK = answer(
    "answer-clock-wrong",
    title="Answer: a clock is wrong",
    meaning="A process, or its machine, has another time than Prometheus.",
    impact="Tokens are refused or live too long, ages and lags are wrong, and so are the alerts about them. The index "
    "is not: it goes by the blocks' time.",
    diagnosis=(SERVICES,),
    steps=(
        evidence_step(
            {"metrics": CLOCKS, "here": _clocks},
            "all processes of a machine are off: put its clock right (`chronyc tracking`, `chronyc makestep`), then "
            "restart what runs there; one process only: the next step restarts it",
            "`chronyc tracking`, `timedatectl`; in Prometheus, "
            "`process_clock_seconds - timestamp(process_clock_seconds)`",
        ),
        restart_step(*SCOPE, choose=wrong_clocks, what="what alone has a wrong clock"),
    ),
    verify=(
        metric_look(
            "Every process has the time of Prometheus",
            OFFSETS,
            lambda seconds: abs(seconds) <= CLOCK_SECONDS,
            f"seconds ahead; {CLOCK_SECONDS:g} at most",
            within=60.0,
        ),
    ),
    undo="There is nothing to take back: a restart changes no data.",
    parameters=(service_parameter(*SCOPE, example="api-1"),),
)

RUNBOOKS = (PRESSURE, DISK, CLOCK)
