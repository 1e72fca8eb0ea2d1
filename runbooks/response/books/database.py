"""Answers to alerts about PostgreSQL: down, under pressure, slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.engine.model import Halt, Look, Unmet
from runbooks.response.acts import (
    evidence_step,
    health,
    lasting,
    metrics,
    restart_step,
    service_parameter,
    unwell,
)
from runbooks.response.answering import answer
from runbooks.response.looks import HEALTH, SERVICES, healthy_look, metric_look
from runbooks.response.sessions import (
    BLOCKING,
    IDLE,
    VACUUM,
    choose_step,
    end_parameter,
    end_step,
    gather_database,
    older_parameter,
    see_sessions,
    vacuum_step,
)

if TYPE_CHECKING:
    from runbooks.engine.model import Context

SEE_SESSIONS = Look(
    title="What the sessions are at",
    see=see_sessions,
    by_hand="in psql, as the superuser: `SELECT pid, usename, state, xact_start, pg_blocking_pids(pid), query FROM "
    "pg_stat_activity ORDER BY xact_start`",
)
QUERY_P95 = (
    'histogram_quantile(0.95, sum by (le) (rate(database_query_duration_seconds_bucket{query!~".*_all",HERE}[2m])))'
)
SQL_LIMIT = "sql-latency"
LOAD = metrics(
    query_p95_seconds="histogram_quantile(0.95, sum by (query, le) "
    "(rate(database_query_duration_seconds_bucket{HERE}[5m])))",
    queries_a_second="sum by (query) (rate(database_query_duration_seconds_count{HERE}[5m]))",
    pool_in_use="sum by (instance, pool) (database_connections_active{HERE})"
    " / sum by (instance, pool) (database_connections_max{HERE})",
    pool_waits="sum by (instance, pool) (database_pool_queue{HERE})",
)


def _see_logins(context: Context) -> str:
    from runbooks.response.database import logins  # noqa: PLC0415 - a page is shown without the database's client

    return "".join(f"\n  {role}: {refusal or 'gets in'}" for role, refusal in logins(context.environment).items())


def refused(context: Context) -> list[str]:
    """Return PostgreSQL where it does not answer, or where it refuses passwords that its start sets anew.

    Raises Halt where it answers and refuses a role for another reason: a restart would break every session for nothing.
    """
    from runbooks.response.database import Refusal, logins  # noqa: PLC0415 - as in _see_logins()

    if found := unwell(context, ("postgresql",)):
        return found
    outside = {role: refusal for role, refusal in logins(context.environment).items() if refusal}
    for role, refusal in outside.items():
        if refusal.kind is Refusal.SECRET:
            raise Halt(f"{role}: {refusal}; put the secret {refusal.secret} back, then resume")
        if refusal.kind is Refusal.FULL:
            raise Halt(f"{role}: {refusal}; `simplicity runbook run answer-database-pressure` first, then resume")
        if refusal.kind is Refusal.OTHER:
            look = "`simplicity logs postgresql` says why; a restart all the same: service=postgresql"
            raise Halt(f"{role}: {refusal}; a restart is no way out of that by itself: {look}")
        if context.environment.place != "local":
            right = f"put the secret {refusal.secret} right, or as a superuser `ALTER ROLE {role} PASSWORD`"
            raise Halt(f"{role}: {refusal}; no start sets passwords here: {right}, then resume")
    return ["postgresql"] if outside else []


def _all_get_in(context: Context) -> str:
    from runbooks.response.database import logins  # noqa: PLC0415 - as in _see_logins()

    found = logins(context.environment)
    outside = [f"{role}: {refusal}" for role, refusal in found.items() if refusal]
    if outside:
        raise Unmet("; ".join(outside))
    return f"{', '.join(found)} get in"


def _sql_limit() -> float:
    from alerts.slo import slo  # noqa: PLC0415 - as in _see_logins()

    limit = slo()[SQL_LIMIT].limit_seconds
    if limit is None:
        raise Halt(f"the objective {SQL_LIMIT} has no limit; put limit_seconds into alerts/slo.yaml")
    return limit


DOWN = answer(
    "answer-database-down",
    title="Answer: the database is down or lets nobody in",
    meaning="PostgreSQL does not answer, hangs, has no connection left, or refuses a role's password.",
    impact="The API answers what it has kept, and errors to everything else; the index stands still; nothing is backed "
    "up. What was committed is on disk.",
    diagnosis=(
        SERVICES,
        HEALTH,
        Look(
            title="Who gets in",
            see=_see_logins,
            by_hand="`psql` with `-c 'SELECT 1'`, as the writer, the reader and the role of the backups",
            within=30.0,
        ),
    ),
    steps=(
        restart_step(
            "postgresql",
            choose=refused,
            what="the database where it does not answer, or refuses a password that its start sets anew, as the local "
            "one's does",
        ),
        # What lost its connections for long enough may have given up.
        restart_step(
            "sync",
            "api",
            "backup",
            choose=lambda context: lasting(context, ("sync", "api", "backup"), 30.0),
            name="restart-clients",
            what="what has not found the database again",
        ),
    ),
    verify=(
        Look(title="Every role gets in", see=_all_get_in, by_hand="`psql` as each of them again", within=60.0),
        healthy_look("database", "sync", "api"),
    ),
    undo="There is nothing to take back: what was committed outlasts a restart. A database that does not start, with "
    "its log naming damage: `simplicity runbook run restore-database`.",
    parameters=(service_parameter("postgresql", "sync", "api", "backup", example="postgresql"),),
)

PRESSURE = answer(
    "answer-database-pressure",
    title="Answer: the database runs out of connections, transactions or room for change",
    meaning="Somebody holds what others need: a session that idles in a transaction keeps connections, locks and dead "
    "rows; or autovacuum does not keep up, and tables swell or transaction numbers run out.",
    impact="Requests wait for a connection, then fail. Dead rows slow every query down. At the end of the transaction "
    "numbers PostgreSQL takes no more writes.",
    diagnosis=(HEALTH, SEE_SESSIONS),
    steps=(
        evidence_step(
            {"database": gather_database, "load": LOAD},
            "many sessions of one application: it leaks them, restart it; deadlocks: two statements of `query` take "
            "the same rows in another order, which is a bug to file; an old database other than the index's: "
            "`vacuumdb --freeze --all` as a superuser",
            "in psql: `SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3`; "
            "`SELECT datname, deadlocks FROM pg_stat_database`; `SELECT datname, age(datfrozenxid) FROM pg_database`",
        ),
        choose_step(),
        end_step(),
        vacuum_step(),
    ),
    verify=(healthy_look("database"),),
    undo="An ended session's uncommitted work is rolled back and cannot be had again: its client has to repeat it. A "
    "vacuum takes nothing away that anybody could see.",
    parameters=(end_parameter(IDLE), older_parameter("5m"), VACUUM),
)

SLOW = answer(
    "answer-slow-database",
    title="Answer: queries are slow",
    meaning="Queries of the API take longer than they may: they wait for a lock, a table has swollen, the cache of the "
    "database is too small, or the machine is busy with something else.",
    impact="Answers that are not cached come late; slow queries hold the pool's connections until none is left.",
    diagnosis=(HEALTH, SEE_SESSIONS),
    steps=(
        evidence_step(
            {"health": health, "database": gather_database, "load": LOAD},
            "one query slow: ask PostgreSQL for its plan (`EXPLAIN (ANALYZE, BUFFERS)`); all of them: "
            "answer-host-pressure",
            "in Prometheus, the 0.95 quantile of `database_query_duration_seconds` by query; in psql, "
            "`pg_stat_activity` and `pg_stat_user_tables`",
        ),
        choose_step(),
        end_step(),
        vacuum_step(),
    ),
    verify=(
        healthy_look("database"),
        metric_look(
            "Queries meet the objective at the 95th percentile",
            QUERY_P95,
            lambda seconds: not seconds > _sql_limit(),
            "seconds at the 95th percentile; the objective of query latency is the limit",
        ),
    ),
    undo="An ended session's uncommitted work is rolled back and cannot be had again: its client has to repeat it.",
    parameters=(end_parameter(BLOCKING), older_parameter("30s"), VACUUM),
)

RUNBOOKS = (DOWN, PRESSURE, SLOW)
