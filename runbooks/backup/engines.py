"""Which backup engine an environment has: its own base backups locally, pgBackRest on hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from infra.environment import Environment
    from runbooks.backup.engine import LocalBackupEngine
    from runbooks.backup.pgbackrest import PgBackRestEngine
    from runbooks.drivers.operations import OperationStore

    # As runbooks use it: it tells how far it is, and takes away what its proofs leave.
    ProvingEngine: TypeAlias = LocalBackupEngine | PgBackRestEngine

PGBACKREST = "pgbackrest"


def is_on_hosts(environment: Environment) -> bool:
    """Say whether an environment's backups are pgBackRest's."""
    driver = environment.drivers.get("backup")
    return driver is not None and driver.kind == PGBACKREST


def engine_of(environment: Environment, store: OperationStore) -> ProvingEngine:
    """Return the engine of an environment; nothing is asked of it yet. Raises Refusal where its hosts are not named."""
    if is_on_hosts(environment):
        from runbooks.backup.pgbackrest import pgbackrest_engine  # noqa: PLC0415 - of no use elsewhere

        return pgbackrest_engine(environment, store)
    from runbooks.backup.engine import local_backup_engine  # noqa: PLC0415 - as above

    return local_backup_engine(environment, store)
