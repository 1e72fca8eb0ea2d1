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

# A host that loses its power says no goodbye. Without these the server would keep a dead writer's lock for two hours,
# and a writer would wait a quarter of an hour for a dead server.
_USER_TIMEOUT = 30_000  # milliseconds
LIVELINESS: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": _USER_TIMEOUT,
}
OPTIONS = (
    "-c client_encoding=UTF8 -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
    f" -c tcp_user_timeout={_USER_TIMEOUT}"
)


# connection lost, transaction rolled back, out of resources (a full disk), operator intervention, system error
_PASSING_CLASSES = frozenset({"08", "40", "53", "57", "58"})
_PASSING = frozenset({"25006", "55P03"})  # read-only after a failover, lock not available


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
            options=f"{OPTIONS} -c statement_timeout={statement_timeout * 1000}",
            **LIVELINESS,
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
    where = f"database {place(database_url)}"
    if "password authentication failed" in said or "no password supplied" in said:
        return StoreError(f"{where} refused the user or password; correct DATABASE_URL")
    refused = said.partition("FATAL: ")[2].strip()
    if any(words in refused for words in ("does not exist", "no pg_hba.conf entry", "not permitted to log in")):
        return StoreError(f"{where}: {refused}; create or allow it, or correct DATABASE_URL")
    reason = refused or said.rpartition("failed: ")[2]
    return StoreUnavailableError(f"{where} cannot be reached ({reason}); start it or correct DATABASE_URL")


def require_utf8(connection: Connection) -> None:
    """Raise StoreError where the database cannot hold every ticker."""
    row = connection.execute("SHOW server_encoding").fetchone()
    if row is None or row[0] not in {"UTF8", b"UTF8"}:
        raise StoreError(f"database has the encoding {row and row[0]}; create it with ENCODING 'UTF8'")


@contextmanager
def translated() -> Iterator[None]:
    """Turn what a lost, full or read-only server raises into one error that says: wait and connect anew."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            f"database user of DATABASE_URL may not do this ({error.diag.message_primary}); "
            "use the owner of the database"
        ) from error
    except psycopg.Error as error:
        if not _may_pass(error):
            raise
        raise StoreUnavailableError(" ".join(str(error).split())) from error


def _may_pass(error: psycopg.Error) -> bool:
    # A connection that is gone has no SQLSTATE. Everything else that psycopg files under "operational" is judged by
    # its class: a limit that a row exceeds (54) would be tried again for ever if it passed for an outage.
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate[:2] in _PASSING_CLASSES or error.sqlstate in _PASSING


def place(database_url: str) -> str:
    """Return where a URL leads, without the password: fit for a log."""
    parts = conninfo_to_dict(database_url)
    return f"{parts.get('user', '')}@{parts.get('host', '')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"
