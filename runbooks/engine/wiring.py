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
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - as above

    from infra.environment import EnvironmentFileError  # noqa: PLC0415 - as above
    from runbooks.deploy.errors import DeployError  # noqa: PLC0415 - as above
    from runbooks.deploy.network import enter  # noqa: PLC0415 - as above

    where = environment.endpoints.database
    try:
        password = environment.secret("database_writer_password")
        enter(environment)
    except (EnvironmentFileError, DeployError) as error:
        raise psycopg.OperationalError(str(error)) from None
    conninfo = make_conninfo(
        host=where.host,
        port=where.port,
        dbname=where.name,
        user=where.writer_role,
        password=password,
        connect_timeout=2,
        application_name="simplicity runbook",
        options="-c statement_timeout=2000 -c lock_timeout=2000",
        **_of_hosts(environment),
    )
    return psycopg.connect(conninfo)


def _of_hosts(environment: Environment) -> dict[str, str]:
    """Return how the database is reached where it is on hosts: whichever of them leads, and by our own authority."""
    authority = environment.drivers.get("certificates")
    if authority is None:
        return {}
    certificate = f"{authority.settings['directory']}/ca.pem"
    return {"target_session_attrs": "read-write", "sslmode": "verify-full", "sslrootcert": certificate}
