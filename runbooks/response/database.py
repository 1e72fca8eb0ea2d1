"""What the database is at: sessions, who blocks whom, tables that need a vacuum; and how one of these is ended.

Every role of the environment document may see and end its own sessions only, so each is asked by itself.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row

from infra.environment import EnvironmentFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from infra.environment import Environment

STATEMENT_SECONDS = 10
END_MILLISECONDS = 5_000
# What autovacuum would do at its defaults, doubled: a table beyond this is one that it does not keep up with.
DEAD_LEAST, DEAD_SHARE, AGE_SHARE = 1_000, 0.4, 0.5

_SESSIONS = """
    SELECT pid, coalesce(usename, '') AS role, application_name AS application,
        coalesce(client_addr::text, '') AS client, coalesce(state, '') AS state,
        coalesce(backend_start::text, '') AS began,
        coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float8 AS in_transaction,
        coalesce(extract(epoch FROM clock_timestamp() - state_change), 0)::float8 AS in_state,
        coalesce(wait_event_type, '') AS waits_for, left(coalesce(query, ''), 200) AS query,
        pg_blocking_pids(pid) AS blocked_by
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND coalesce(backend_type, 'client backend') = 'client backend'"""
_END = """
    SELECT pg_terminate_backend(pid, %(wait)s) FROM pg_stat_activity
    WHERE pid = %(pid)s AND backend_start = %(began)s::timestamptz"""
_TABLES = """
    SELECT schemaname AS schema, pg_class.relname AS name, n_live_tup AS live, n_dead_tup AS dead,
        coalesce(last_autovacuum::text, 'never') AS last_autovacuum, age(relfrozenxid)::int8 AS age,
        current_setting('autovacuum_freeze_max_age')::int8 AS freeze_at
    FROM pg_stat_all_tables JOIN pg_class ON pg_class.oid = relid
    WHERE relfrozenxid <> '0' AND schemaname <> 'pg_toast' AND NOT relisshared
    ORDER BY n_dead_tup DESC, schemaname, pg_class.relname"""
_FIGURES = """
    SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
        current_setting('max_connections')::int AS max_connections,
        (SELECT sum(deadlocks)::int8 FROM pg_stat_database) AS deadlocks,
        (SELECT max(age(datfrozenxid))::int8 FROM pg_database) AS oldest_transaction_age,
        current_setting('autovacuum_freeze_max_age')::int8 AS freeze_at,
        (SELECT datname FROM pg_database ORDER BY age(datfrozenxid) DESC LIMIT 1) AS oldest_database,
        (SELECT count(*) FROM pg_prepared_xacts) AS prepared_transactions"""


class Refusal(Enum):
    """Why a role does not get in."""

    SECRET = "its secret is not to be had here"  # noqa: S105 # nosec B105 - says what is missing
    PASSWORD = "the server knows it by another password, or not at all"  # noqa: S105 # nosec B105 - the same
    FULL = "every connection is taken"
    OTHER = "something else"


@dataclass(frozen=True, slots=True)
class Refused:
    """A login that failed: `why` is a line; `secret` names the role's secret."""

    kind: Refusal
    why: str
    secret: str

    def __str__(self) -> str:
        return self.why


class NoPasswordError(psycopg.OperationalError):
    """A role's secret is not to be had: one line that names it."""


@dataclass(frozen=True, slots=True)
class Session:
    """A client's session; times in seconds, `began` is when it connected, `state` is empty where nobody may see it."""

    pid: int
    role: str
    application: str
    client: str
    state: str
    began: str
    in_transaction: float
    in_state: float
    waits_for: str
    query: str
    blocked_by: Sequence[int]

    @property
    def idles_in_transaction(self) -> bool:
        """Whether it does nothing and holds what its transaction has taken."""
        return self.state.startswith("idle in transaction")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: rows alive and dead, and its age in transactions; at `freeze_at` PostgreSQL vacuums it by itself."""

    schema: str
    name: str
    live: int
    dead: int
    last_autovacuum: str
    age: int
    freeze_at: int

    @property
    def is_old(self) -> bool:
        """Whether its rows have to be frozen."""
        return self.age > AGE_SHARE * self.freeze_at

    @property
    def needs_vacuum(self) -> bool:
        """Whether it holds more dead rows than it should, or old ones."""
        return self.is_old or self.dead > max(DEAD_LEAST, DEAD_SHARE * self.live)


def roles(environment: Environment) -> dict[str, str]:
    """Return the database's roles that the document names, each with the name of its secret; the writer first."""
    where = environment.endpoints.database
    found = {where.writer_role: "database_writer_password", where.reader_role: "database_reader_password"}
    backup = environment.drivers.get("backup")
    if backup is not None and "role" in backup.settings and "database_backup_password" in environment.secrets:
        found[backup.settings["role"]] = "database_backup_password"
    return found


@contextmanager
def connected(
    environment: Environment, role: str, *, statement_seconds: float = STATEMENT_SECONDS
) -> Iterator[psycopg.Connection[Any]]:
    """Open a connection of a role, in autocommit. Raises psycopg.Error, for a role without a secret too."""
    where = environment.endpoints.database
    try:
        password = environment.secret(roles(environment)[role])
    except KeyError:
        raise NoPasswordError(f"the environment names no password of the role {role}") from None
    except EnvironmentFileError as error:
        raise NoPasswordError(str(error)) from None
    with psycopg.connect(
        host=where.host,
        port=where.port,
        dbname=where.name,
        user=role,
        password=password,
        connect_timeout=3,
        application_name="simplicity runbook",
        options=f"-c statement_timeout={round(statement_seconds * 1000)} -c lock_timeout=5000",
        autocommit=True,
    ) as connection:
        yield connection


# libpq hands on no SQLSTATE of a login that failed, only the server's words: English where the server's locale is C, as
# the local one's is. Words of another language count as OTHER, for which nothing is restarted.
_WORDS = (
    # 28P01, and 28000 for a role that is not there; one without LOGIN or without a line in pg_hba.conf is OTHER: a
    # start does not change that.
    (re.compile(r"password authentication failed for user|role \".*\" does not exist"), Refusal.PASSWORD),
    # 53300
    (re.compile(r"too many (clients|connections)|remaining connection slots are reserved"), Refusal.FULL),
)


def logins(environment: Environment) -> dict[str, Refused | None]:
    """Return for each role what came of logging in: None where that went well."""
    found: dict[str, Refused | None] = {}
    for role, secret in roles(environment).items():
        try:
            with connected(environment, role):
                found[role] = None
        except psycopg.Error as error:
            why = " ".join(str(error).split()) or type(error).__name__
            found[role] = Refused(_kind(error, why), why, secret)
    return found


def _kind(error: psycopg.Error, why: str) -> Refusal:
    if isinstance(error, NoPasswordError):
        return Refusal.SECRET
    return next((kind for words, kind in _WORDS if words.search(why)), Refusal.OTHER)


def sessions(environment: Environment) -> list[Session]:
    """Return the sessions of the database, those longest in a transaction first.

    Of a role that the document does not name only the existence can be seen. Raises psycopg.Error where none gets in.
    """
    found: dict[int, Session] = {}
    failures: list[psycopg.Error] = []
    for role in roles(environment):
        try:
            with (
                connected(environment, role) as connection,
                connection.cursor(row_factory=class_row(Session)) as cursor,
            ):
                for each in cursor.execute(_SESSIONS):
                    # Of another role's session the most is hidden: what the role itself says goes before.
                    found[each.pid] = each if each.role == role else found.get(each.pid, each)
        except psycopg.Error as error:
            failures.append(error)
    if len(failures) == len(roles(environment)):
        raise failures[0]
    return sorted(found.values(), key=lambda each: (-each.in_transaction, each.pid))


def end(environment: Environment, session: Mapping[str, Any]) -> bool:
    """End a session by its `pid`, `began` and `role`, and wait until it is gone; False where it was gone already.

    The moment at which it began is compared: the number may be another session's by now. Raises psycopg.Error.
    """
    values = {"pid": session["pid"], "began": session["began"], "wait": END_MILLISECONDS}
    with connected(environment, str(session["role"])) as connection:
        return connection.execute(_END, values).fetchone() is not None


def is_there(environment: Environment, session: Mapping[str, Any]) -> bool:
    """Tell whether a session is there still. Raises psycopg.Error."""
    return any((each.pid, each.began) == (session["pid"], session["began"]) for each in sessions(environment))


def tables(environment: Environment) -> list[Table]:
    """Return the database's tables, its catalogues too, those with most dead rows first. Raises psycopg.Error."""
    role = environment.endpoints.database.writer_role
    with connected(environment, role) as connection, connection.cursor(row_factory=class_row(Table)) as cursor:
        return cursor.execute(_TABLES).fetchall()


def vacuum(environment: Environment, table: Table, *, within: float) -> None:
    """Vacuum a table, and freeze its rows where it is old; at most `within` seconds. Raises psycopg.Error."""
    options = sql.SQL("ANALYZE, FREEZE" if table.is_old else "ANALYZE")
    command = sql.SQL("VACUUM ({}) {}").format(options, sql.Identifier(table.schema, table.name))
    with connected(environment, environment.endpoints.database.writer_role, statement_seconds=within) as connection:
        connection.execute(command)


def figures(environment: Environment) -> dict[str, Any]:
    """Return connections, deadlocks, and the age of the oldest transaction of the server. Raises psycopg.Error."""
    role = environment.endpoints.database.writer_role
    with connected(environment, role) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return dict(cursor.execute(_FIGURES).fetchone() or {})


def told(session: Session) -> dict[str, Any]:
    """Return a session for the evidence."""
    return asdict(session) | {"blocked_by": list(session.blocked_by)}
