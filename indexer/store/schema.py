"""The schema's version: brought up to date under a lock, or compared with what this release needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from indexer.store.connection import LockKey, StoreError, translated

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from indexer.store.connection import Connection as StoreConnection

_MIGRATIONS = Path(__file__).with_name("migrations")


def head() -> str:
    """Return the schema version that this release works with."""
    version = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    if version is None:
        raise StoreError("this installation carries no migrations: install the distribution again")
    return version


def migrate(database_url: str, *, reader_role: str | None = None) -> None:
    """Bring the database to this release's schema and let a role read it; waits while another process does the same.

    Raises StoreError where the schema is newer than this release or the role does not exist.
    """
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)
    with translated():
        try:
            with engine.begin() as connection:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({LockKey.MIGRATION.sql})"))
                connection.execute(text("CREATE SCHEMA IF NOT EXISTS ops"))
                _upgrade(connection)
                if reader_role:
                    _grant_reads(connection, reader_role)
        except DBAPIError as error:
            raise error.orig or error from error
        finally:
            engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        found = MigrationContext.configure(
            connection, opts={"version_table": "schema_version", "version_table_schema": "ops"}
        ).get_current_revision()
        raise StoreError(
            f"database has schema {found}, this release knows up to {head()}: run that one's release or a later"
        ) from error


def _grant_reads(connection: Connection, role: str) -> None:
    """Let a role read the index and what the API needs of `ops`, and nothing else."""
    found = connection.execute(text("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = :role"), {"role": role})
    name = found.scalar()
    if name is None:
        raise StoreError(f"role {role} does not exist; create it or correct DATABASE_READER_ROLE")
    for statement in (
        "GRANT USAGE ON SCHEMA index, ops TO {}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA index TO {}",
        "GRANT SELECT ON ops.schema_version, ops.api_keys, ops.maintenance, ops.orphaned_blocks TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA index GRANT SELECT ON TABLES TO {}",
    ):
        connection.execute(text(statement.format(name)))


def version(connection: StoreConnection) -> str | None:
    """Return the schema version found in the database, None where there is none yet."""
    exists = connection.execute("SELECT to_regclass('ops.schema_version') IS NOT NULL").fetchone()
    if exists is None or not exists[0]:
        return None
    row = connection.execute("SELECT version_num FROM ops.schema_version").fetchone()
    return None if row is None else str(row[0])
