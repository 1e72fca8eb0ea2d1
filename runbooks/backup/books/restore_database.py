"""Restore a backup, prove it beside the live database, and let it take the live one's place."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from runbooks.backup.books.prove_backup import discard, is_proven, restore
from runbooks.backup.driving import finished, place, see_backups, told, work
from runbooks.backup.parameters import BACKUP, CLUSTER, RESTORE_SECONDS, TO
from runbooks.drivers.of_run import drive, services
from runbooks.engine.model import Halt, Look, Runbook, Step, Unmet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runbooks.engine.model import Context, Json

# What uses the database, in the order in which it is stopped; started the other way round.
SERVICES = ("api", "sync", "backup", "postgresql")
RUNNING = frozenset({"running", "not ready"})


def _drive(context: Context, action: str, names: tuple[str, ...]) -> None:
    """Stop or start services, one operation each: the same for whoever comes after a killed process."""
    for name in names:
        context.say(f"{action} {name}")
        drive(context, "start" if action == "start" else "stop", name, f"{context.key}-{action}-{name}")


def _states(context: Context) -> dict[str, str]:
    return {one.name: one.state for one in services(context) if one.name in SERVICES or one.group in SERVICES}


def _paths(context: Context) -> tuple[Path, Path, Path]:
    """Return where the live files are, the restored ones, and where the live ones are kept."""
    from pathlib import Path  # noqa: PLC0415 - as above

    from infra.local.layout import layout  # noqa: PLC0415 - as above

    live = layout().data / "postgresql"
    return live, Path(str(context.facts["restored"])) / "data", live.with_name(f"postgresql.before-{context.run}")


def _stop(context: Context) -> Mapping[str, Json]:
    from audit.anchor import Anchor, AnchorMismatchError  # noqa: PLC0415 - as above
    from audit.chain import ChainError  # noqa: PLC0415 - as above
    from audit.trail import cluster_id  # noqa: PLC0415 - as above
    from runbooks.backup.errors import BackupError  # noqa: PLC0415 - as above

    with told():
        backups = place(context)
        _drive(context, "stop", SERVICES[:-1])
        # Nothing writes any more: what the trail holds now is what has to be in the copy before this database goes.
        try:
            with backups.source.connected() as connection:
                if backups.anchor is not None:
                    # By its own name: the live cluster may be a fresh one, which somebody else's has to replace.
                    Anchor(backups.anchor, cluster_id(connection)).extend(connection)
        except (BackupError, AnchorMismatchError, ChainError) as error:
            context.say(f"the live trail's last entries are not copied: {error}")
        _drive(context, "stop", SERVICES[-1:])
    return {}


def _running(context: Context) -> list[str]:
    return sorted(name for name, state in _states(context).items() if state in RUNNING)


def _stay_stopped(context: Context) -> None:
    """Stop again what somebody has started since: files are never moved under a server that runs."""
    if _running(context):
        _drive(context, f"stop-{secrets.token_hex(2)}", SERVICES)
    if running := _running(context):
        raise Halt(f"{', '.join(running)} runs again; stop it, then resume")


def _are_stopped(context: Context) -> str:
    if running := _running(context):
        raise Unmet(f"still running: {', '.join(running)}")
    return "api, sync, backup and postgresql are stopped"


def _start_again(context: Context) -> None:
    _drive(context, "start", tuple(reversed(SERVICES)))


def _take_place(context: Context) -> Mapping[str, Json]:
    from runbooks.backup.taking_over import prepare, put_in_place  # noqa: PLC0415 - as above

    live, restored, before = _paths(context)
    _stay_stopped(context)
    with told():
        if restored.exists():
            context.say(prepare(place(context), restored, context.folder, context.run))
        put_in_place(live, restored, before)
    return {"before": str(before)}


def _took_place(context: Context) -> str:
    live, restored, before = _paths(context)
    if restored.exists() or not (live / "PG_VERSION").exists():
        raise Unmet(f"{restored} is not in its place yet")
    kept = f"; the old one is kept in {before}" if before.exists() else ""
    return f"the restored database is in {live}{kept}"


def _give_back(context: Context) -> None:
    from runbooks.backup.taking_over import prepare, put_back  # noqa: PLC0415 - as above

    live, restored, before = _paths(context)
    _stay_stopped(context)
    with told():
        put_back(live, restored, before)
        if live.exists():
            # Also where it was not moved, or was moved back by a process that died since: twice does no harm. Its trail
            # has to go on after what the restored one may have written to the copy meanwhile.
            context.say(prepare(place(context), live, context.folder, f"{context.run}-undo"))


def _start(context: Context) -> Mapping[str, Json]:
    _start_again(context)
    return {}


def _are_running(context: Context) -> str:
    away = sorted(f"{name} is {state}" for name, state in _states(context).items() if state != "running")
    if away:
        raise Unmet("; ".join(away))
    return "postgresql, sync, backup and the API answer"


def _stop_again(context: Context) -> None:
    _drive(context, "stop", SERVICES)


def _back_up(context: Context) -> Mapping[str, Json]:
    made = work(context, lambda driver, key: driver.create(key, "full"))
    context.record("backup.create", f"backup {made['backup']}", after=dict(made))
    return {"backup": made["backup"]}


def _is_backed_up(context: Context) -> str:
    return f"{finished(context)['backup']} is the first backup of the restored database"


def _see_services(context: Context) -> str:
    return ", ".join(f"{name} is {state}" for name, state in _states(context).items())


def _is_healthy(context: Context) -> str:
    from runbooks.maintenance.checks import checks_of  # noqa: PLC0415 - as above
    from runbooks.maintenance.health import examine  # noqa: PLC0415 - as above
    from runbooks.maintenance.verdict import Health  # noqa: PLC0415 - as above

    checks = checks_of(context.environment)
    found: list[Any] = examine(context.environment, {name: checks[name] for name in ("database", "sync", "api")})
    bad = [f"{each.component}: {each.verdict.detail}" for each in found if each.verdict.health is not Health.HEALTHY]
    if bad:
        raise Unmet("; ".join(bad))
    return "; ".join(f"{each.component}: {each.verdict.detail}" for each in found)


RUNBOOK = Runbook(
    name="restore-database",
    title="Restore the database in the live one's place",
    meaning="The live database is lost, damaged, or holds what it must not: a restored one has to take its place.",
    impact="The API answers 503 or what it has kept from the moment the services stop until they are back: about the "
    "time of one start. What was written to `ops` after the restored moment (keys, switches) is undone, and listed.",
    diagnosis=(
        Look(title="What backups there are", see=see_backups, by_hand="`simplicity backup list`"),
        Look(title="How the services are", see=_see_services, by_hand="`simplicity status`"),
    ),
    steps=(
        Step(
            name="restore",
            title="Restore beside the live database, and prove the result",
            asserts="state hash and digest are those recorded outside, the tables come to them, the node's blocks too",
            act=restore,
            check=is_proven,
            within=RESTORE_SECONDS,
            by_hand="`simplicity backup restore --to TARGET`",
            undo=discard,
            undo_title="Delete the second database's files",
        ),
        Step(
            name="stop",
            title="Stop the API, sync, the backup agent and PostgreSQL, and copy the last of the audit trail",
            asserts="none of them runs",
            act=_stop,
            check=_are_stopped,
            within=180.0,
            by_hand="`simplicity audit anchor`, then `simplicity down`, which stops the node too",
            undo=_start_again,
            undo_title="Start them again",
        ),
        Step(
            name="take-place",
            title="Let the restored trail go on where its copy ends, and move the files into the live ones' place",
            asserts="the restored files are in the live place, and the old ones are kept beside it",
            act=_take_place,
            check=_took_place,
            within=300.0,
            by_hand="move `local/postgresql` aside and the restored `data` into its place; the trail goes on from its "
            "copy only by this command",
            undo=_give_back,
            undo_title="Move the old files back into their place",
            destroys=True,
        ),
        Step(
            name="start",
            title="Start PostgreSQL, the backup agent, sync and the API",
            asserts="all of them answer",
            act=_start,
            check=_are_running,
            within=300.0,
            by_hand="`simplicity up`",
            undo=_stop_again,
            undo_title="Stop them again",
        ),
        Step(
            name="back-up",
            title="Make the first backup of the restored database",
            asserts="it is in the repository",
            act=_back_up,
            check=_is_backed_up,
            within=600.0,
            by_hand="`simplicity backup create`",
        ),
    ),
    verify=(
        Look(
            title="Database, sync and API are healthy",
            see=_is_healthy,
            by_hand="`simplicity maintenance health`",
            within=120.0,
        ),
    ),
    undo="`simplicity runbook undo` before the end moves the old files back and starts the services on them. "
    "Afterwards the old database lies in `local/postgresql.before-RUN` until somebody deletes it.",
    parameters=(TO, BACKUP, CLUSTER),
    on_failure="undo",
)
