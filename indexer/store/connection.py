"""Connections as the store uses them: bounded waits, and amounts as integers of 10⁻⁸ units."""

from __future__ import annotations

from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.abc import AdaptContext, Buffer

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

CONNECT_TIMEOUT = 5  # seconds


class StoreError(Exception):
    """The database does not fit: one line that says what is wrong and what to do."""


class StoreUnavailableError(Exception):
    """The database cannot be reached, or the connection was lost."""


class LockKey(Enum):
    """Advisory locks: they are per database, so the keys need only differ from one another."""

    WRITER = 1
    MIGRATION = 2

    @property
    def sql(self) -> str:
        """Return the lock's two-part key as SQL; the first part keeps clear of other programs' keys."""
        return f"{0x42524332}, {self.value}"


class _UnitsLoader(Loader):
    """numeric(38, 8) to an integer of units; a Decimal would round beyond 28 digits in the next operation."""

    format = Format.TEXT

    def load(self, data: Buffer) -> int:
        whole, _, fraction = bytes(data).partition(b".")
        return int(whole + fraction.ljust(8, b"0"))


def adapt(context: AdaptContext) -> None:
    """Make a connection or cursor read numeric columns as units."""
    context.adapters.register_loader("numeric", _UnitsLoader)


def connect(database_url: str, *, statement_timeout: int = 0) -> Connection:
    """Open a connection that dies with its peer; `statement_timeout` in seconds, 0 for none.

    Raises StoreError where the URL cannot work, StoreUnavailableError where it may work later.
    """
    try:
        connection = psycopg.connect(
            database_url,
            connect_timeout=CONNECT_TIMEOUT,
            options=f"-c statement_timeout={statement_timeout * 1000} -c client_encoding=UTF8",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            application_name="simplicity",
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        raise describe(error, database_url) from error
    adapt(connection)
    return connection


def describe(error: psycopg.OperationalError, database_url: str) -> StoreError | StoreUnavailableError:
    """Say in one line why a connection failed and what to do, without the password."""
    # The server's answer to a failed login carries no SQLSTATE on the client's side: its words are all there is.
    said = " ".join(str(error).split())
    place = _place(database_url)
    if "password authentication failed" in said or "no password supplied" in said:
        return StoreError(f"database {place} refused the user or password; correct DATABASE_URL")
    if "does not exist" in said:
        missing = said.partition("FATAL:")[2].strip() or said
        return StoreError(f"database {place}: {missing}; create it or correct DATABASE_URL")
    if "no pg_hba.conf entry" in said:
        return StoreError(f"database {place} does not let this host in; add it to pg_hba.conf or correct DATABASE_URL")
    return StoreUnavailableError(f"database {place} cannot be reached; start it or correct DATABASE_URL")


@contextmanager
def translated() -> Iterator[None]:
    """Turn what a lost or read-only server raises into one error that says: wait and connect anew."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction) as error:
        raise StoreUnavailableError(" ".join(str(error).split())) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            f"database user of DATABASE_URL may not do this ({error.diag.message_primary}); "
            "use the owner of the database"
        ) from error


def _place(database_url: str) -> str:
    parts = conninfo_to_dict(database_url)
    return f"{parts.get('user', '')}@{parts.get('host', '')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"
