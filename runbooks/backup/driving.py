"""How a runbook's step uses the backup engine: one operation a step, which a new process goes on with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runbooks.engine.model import Halt, Unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from indexer.progress import Advance
    from runbooks.backup.engines import ProvingEngine
    from runbooks.backup.place import Backups
    from runbooks.drivers.protocols import Operation
    from runbooks.engine.model import Context, Json

# The engine gives up this much earlier than the step: then its reason is told, not that time is up.
_MARGIN = 5.0
REPLACED_BY_HAND = (
    "on hosts the live database is replaced by hand: `patronictl pause`, stop Patroni everywhere, `pgbackrest restore`"
    " on one host, `patronictl remove`, then start it there first"
)


def engine(context: Context) -> ProvingEngine:
    """Return the engine of the run's environment, which tells the run how far it is. Raises Halt."""
    from audit.objects import ObjectStoreError  # noqa: PLC0415 - a page is shown without the envelope's packages
    from runbooks.backup.engines import engine_of  # noqa: PLC0415 - as above
    from runbooks.backup.errors import BackupError  # noqa: PLC0415 - as above
    from runbooks.drivers.operations import OperationStore  # noqa: PLC0415 - as above
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as above

    @contextmanager
    def progress(what: str, total: int) -> Iterator[Advance]:
        yield lambda done: context.progress(done, total, what)

    try:
        made = engine_of(context.environment, OperationStore(context.folder / "operations"))
    except (BackupError, ObjectStoreError, Refusal) as error:
        raise Halt(str(error)) from None
    made.progress, made.tell = progress, context.say
    made.within = max(1.0, context.remaining() - _MARGIN)
    made.cluster = str(context.arguments["cluster"]) if context.arguments.get("cluster") else None
    return made


def place(context: Context, otherwise: str = REPLACED_BY_HAND) -> Backups:
    """Return the backups of a local envelope. Raises Halt, with what to do instead, where they are pgBackRest's."""
    from runbooks.backup.engines import is_on_hosts  # noqa: PLC0415 - as in engine()
    from runbooks.backup.place import Backups  # noqa: PLC0415 - as above

    if is_on_hosts(context.environment):
        raise Halt(otherwise)
    return Backups(context.environment)


def work(context: Context, begin: Callable[[ProvingEngine, str], Operation]) -> Mapping[str, Json]:
    """Begin this step's operation, or go on with it, and return what it came to. Raises Halt where it failed."""
    from runbooks.drivers.operations import wait  # noqa: PLC0415 - as in engine()
    from runbooks.drivers.protocols import Phase, Refusal  # noqa: PLC0415 - as above

    with told():
        driver = engine(context)
        try:
            begin(driver, context.key)
            done = wait(driver, context.key, context.remaining())
        except Refusal as error:
            raise Halt(str(error)) from None
    if done.phase is not Phase.DONE:
        raise Halt(done.detail)
    return {"sentence": done.detail, "operation": done.key, **done.result}


def finished(context: Context) -> dict[str, Any]:
    """Return what this step's operation came to. Raises Unmet while it is not done."""
    from runbooks.drivers.operations import OperationStore  # noqa: PLC0415 - as in engine()
    from runbooks.drivers.protocols import Phase  # noqa: PLC0415 - as above

    found = OperationStore(context.folder / "operations").find(context.key)
    if found is None or found.phase is not Phase.DONE:
        raise Unmet("it is not done" if found is None else found.detail)
    return dict(found.result)


@contextmanager
def told() -> Iterator[None]:
    """Make a Halt of what the repository or the keys do not let happen."""
    from audit.objects import ObjectStoreError  # noqa: PLC0415 - as in engine()
    from runbooks.backup.errors import BackupError  # noqa: PLC0415 - as above

    try:
        yield
    except (BackupError, ObjectStoreError) as error:
        raise Halt(str(error)) from None


def see_backups(context: Context) -> str:
    """Say which backups there are."""
    with told():
        there = engine(context).backups()
    if not there:
        return "there is no backup yet"
    proven = sum(each.proven_at is not None for each in there)
    last = there[-1]
    return f"{len(there)} backups, {proven} of them proven; the last one is {last.id}, ended {last.ended_at}"
