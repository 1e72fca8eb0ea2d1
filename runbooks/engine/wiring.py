"""The real places that a run's state and trail go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from infra.local.layout import layout, private_directory
from runbooks.engine.run import Place

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.engine.model import Teller
    from runbooks.engine.trail import Recorder


def runs_home() -> Path:
    """Return the directory of all runs, made if it is not there. Raises EnvelopeError where that is impossible."""
    directory = layout().home / "runs"
    private_directory(directory)
    return directory


def place_of(environment: Environment, document: Path, teller: Teller) -> Place:
    """Return where runbooks of an environment are carried out from this machine."""
    runs = runs_home()
    recorder = recorder_of(environment, runs / f"audit-spool-{quote(environment.name, safe='')}.ndjson")
    return Place(environment=environment, document=document, runs=runs, recorder=recorder, teller=teller)


def recorder_of(environment: Environment, spool: Path) -> Recorder:
    """Return the recorder of an environment's trail: entries wait in its own spool while its database is away."""
    from audit.spool import Recorder as Spool  # noqa: PLC0415 - pages are shown without a database's client

    return Spool(spool, lambda: _connected(environment))


def _connected(environment: Environment) -> AbstractContextManager[Any]:
    import psycopg  # noqa: PLC0415 - as above

    from infra.environment import EnvironmentFileError  # noqa: PLC0415 - as above

    where = environment.endpoints.database
    try:
        password = environment.secret("database_writer_password")
    except EnvironmentFileError as error:
        raise psycopg.OperationalError(str(error)) from None
    return psycopg.connect(
        host=where.host,
        port=where.port,
        dbname=where.name,
        user=where.writer_role,
        password=password,
        connect_timeout=2,
        application_name="simplicity runbook",
        options="-c statement_timeout=2000 -c lock_timeout=2000",
    )
