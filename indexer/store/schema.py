"""The schema's version: brought up to date under a lock, or compared with what this release needs."""

from __future__ import annotations

import re
from importlib.metadata import version as distribution
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
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
_NOTE = "SELECT obj_description('ops.schema_version'::regclass, 'pg_class')"
_FORM = re.compile(r"schema (\w+), for releases since ([0-9.]+)")


def head() -> str:
    """Return the schema version that this release works with."""
    version = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    if version is None:
        raise StoreError("this installation carries no migrations: install the distribution again")
    return version


def migrate(database_url: str, *, reader_role: str | None = None) -> None:
    """Bring the database to this release's schema and let a role read it; waits while another process does the same.

    A later schema is left as it is where whoever made it has said that this release works on it: both colours of a
    deployment run on one schema, and so does the release before, after a roll back. Raises StoreError where it does
    not, or the role does not exist.
    """
    # SQLAlchemy cannot read a URL that names several servers; libpq can.
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database_url), poolclass=NullPool)
    with translated():
        try:
            with engine.connect() as connection:
                # Of the session: a migration commits by itself, and in between where it changes rows in batches.
                connection.execute(text(f"SELECT pg_advisory_lock({LockKey.MIGRATION.sql})"))
                connection.execute(text("CREATE SCHEMA IF NOT EXISTS ops"))
                connection.commit()
                _upgrade(connection)
                if reader_role:
                    _grant_reads(connection, reader_role)
                connection.commit()
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
        _say_who_works_on_it(connection)
    except CommandError as error:
        if _is_later_and_works(connection):
            return
        found = MigrationContext.configure(
            connection, opts={"version_table": "schema_version", "version_table_schema": "ops"}
        ).get_current_revision()
        raise StoreError(
            f"database has schema {found}, this release knows up to {head()}: run that one's release or a later"
        ) from error


def _say_who_works_on_it(connection: Connection) -> None:
    """Note with the schema which releases work on it: those since the one that needs nothing a contract took away."""
    scripts = ScriptDirectory(str(_MIGRATIONS)).walk_revisions()
    since = max((str(getattr(each.module, "after", "0")) for each in scripts), key=_numbers)
    note = f"schema {head()}, for releases since {since}"
    if connection.execute(text(_NOTE)).scalar() != note:
        connection.execute(text(f"COMMENT ON TABLE ops.schema_version IS '{note}'"))


def _is_later_and_works(connection: Connection) -> bool:
    """Say whether the schema's maker noted that this release works on it, and it is still that schema."""
    found = _FORM.fullmatch(str(connection.execute(text(_NOTE)).scalar()))
    now = connection.execute(text("SELECT version_num FROM ops.schema_version")).scalar()
    return found is not None and _works(found, str(now))


def _works(note: re.Match[str], now: str) -> bool:
    return (
        note[1] == now
        and _numbers(now) > _numbers(head())
        and _numbers(distribution("simplicity")) >= _numbers(note[2])
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", version))


def works(connection: StoreConnection) -> bool:
    """Say whether this release works on the schema that the database has: its own, or a later one that says so."""
    now = version(connection)
    if now is None or now == head():
        return now is not None
    row = connection.execute(_NOTE).fetchone()
    found = _FORM.fullmatch(str(row[0])) if row else None
    return found is not None and _works(found, now)


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
