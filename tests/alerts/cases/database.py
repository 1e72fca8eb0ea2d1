"""Cases of PostgreSQL's alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Firing
from tests.alerts.series import CLUSTER, fires, fires_when_due, growing, labels, series, silent, up, vanishes

if TYPE_CHECKING:
    from tests.alerts.case import Case

JOB, NAME = "postgresql", "postgresql-1"
SERVER = labels(JOB, NAME)


def _of(name: str, *, instance: str = NAME, **more: str) -> str:
    """Return a series of the exporter."""
    return series(name, JOB, instance, **more)


def _reached(*, primary: tuple[str, str]) -> dict[str, str]:
    """Return what two processes of the API reach; the replica answers both."""
    found: dict[str, str] = {}
    for name, values in zip(("api-1", "api-2"), primary, strict=True):
        found |= {series("database_reachable", "api", name, database="primary"): values}
        found |= {series("database_reachable", "api", name, database="replica"): "1x20"}
    return found


# --- answering -------------------------------------------------------------------------------------------------------
def _down() -> tuple[Case, ...]:
    name = "DatabaseDown"
    firing = Firing(summary="PostgreSQL behind postgresql-1 in main does not answer (up is 0)", labels=SERVER)
    watched = {up(JOB, NAME): "1x20", _of("pg_up", instance="postgresql-2"): "1x20"}
    refused = {_of("pg_up"): "1x2 0x10"} | watched
    gone = refused | _reached(primary=("1x2 0x10", "1x2 0x10"))
    password = refused | _reached(primary=("0x20", "1x20"))
    hangs = {_of("pg_up"): "1x2 stale", up(JOB, NAME): "1x2 0x10"} | _reached(primary=("1x2 0x10", "1x2 0x10"))
    exporter = {_of("pg_up"): "1x2 stale", up(JOB, NAME): "1x2 0x10"} | _reached(primary=("1x20", "0x20"))
    api = {_of("pg_up"): "1x20", up("api", "api-1"): "0x20"} | watched | _reached(primary=("0x20", "0x20"))
    vanished = {up(JOB, NAME): "1x2 stale", up("api", "api-1"): "1x20"}
    return (
        *fires_when_due(name, "its exporter and the API are refused", gone, firing, due="150s", interval="30s"),
        *fires_when_due(
            name, "its exporter is refused, and no API is there", refused, firing, due="150s", interval="30s"
        ),
        *silent(name, "its exporter is refused, and a process of the API is not", password, at="5m", interval="30s"),
        *fires_when_due(name, "its exporter and the API get no answer", hangs, firing, due="150s", interval="30s"),
        *silent(name, "the exporter is gone alone", exporter, at="5m", interval="30s"),
        *silent(name, "the API is away, or does not reach it", api, at="5m", interval="30s"),
        *vanishes(name, 'up{job="postgresql"}', vanished, due="150s", interval="30s", job=JOB),
    )


def _unreachable() -> tuple[Case, ...]:
    given = _reached(primary=("1x2 0x10", "1x20")) | {
        series("database_reachable", "api", "api-2", database="replica"): "0x20"
    }
    firing = Firing(
        summary="api-1 of the API in main does not reach its database",
        labels=labels("api", "api-1", database="primary"),
    )
    return fires_when_due("DatabaseUnreachable", "for one of two", given, firing, due="150s", interval="30s")


# --- connections -----------------------------------------------------------------------------------------------------
def _pools(active: str) -> dict[str, str]:
    """Return a pool of twenty, and full ones for bulk lists."""
    return {
        series("database_connections_active", "api", "api-1", pool="primary"): active,
        series("database_connections_max", "api", "api-1", pool="primary"): "20x20",
        series("database_connections_active", "api", "api-1", pool="bulk"): "2x20",
        series("database_connections_max", "api", "api-1", pool="bulk"): "2x20",
        series("database_connections_active", "api", "api-1", pool="bulk_replica"): "2x20",
        series("database_connections_max", "api", "api-1", pool="bulk_replica"): "2x20",
    }


def _in_use(share: str) -> Firing:
    return Firing(
        summary=f"{share} of the pool primary of api-1 in main are in use",
        labels=labels("api", "api-1", pool="primary"),
    )


def _pool() -> tuple[Case, ...]:
    full, filling = "ConnectionPoolExhausted", "ConnectionPoolFilling"
    return (
        *fires_when_due(full, "19 of 20", _pools("5x2 19x10"), _in_use("95%"), due="5m"),
        *silent(full, "18 of 20", _pools("18x20"), at="20m"),
        *fires_when_due(filling, "17 of 20", _pools("5x2 17x10"), _in_use("85%"), due="8m"),
        *silent(filling, "16 of 20", _pools("16x20"), at="20m"),
    )


def _backends(ours: str, others: str) -> dict[str, str]:
    """Return how many sessions of two users there are, and workers of the server's own."""
    name, where = "pg_stat_activity_count", {"datname": "simplicity", "state": "idle"}
    return {
        _of(name, backend_type="client backend", usename="simplicity_api", **where): ours,
        _of(name, backend_type="client backend", usename="simplicity_sync", **where): others,
        _of(name, backend_type="parallel worker", usename="simplicity_api", **where): "50x20",
        _of("pg_settings_max_connections", server="127.0.0.1:5432"): "100x20",
    }


def _near_limit() -> tuple[Case, ...]:
    name = "DatabaseConnectionsNearLimit"
    summary = "83% of the connections of PostgreSQL behind postgresql-1 in main are taken"
    firing = Firing(summary=summary, labels={"cluster": CLUSTER, "instance": NAME})
    return (
        *fires_when_due(name, "83 of 100", _backends("20x2 43x10", "40x20"), firing, due="8m"),
        *silent(name, "80 of 100", _backends("40x20", "40x20"), at="20m"),
    )


# --- transactions ----------------------------------------------------------------------------------------------------
def _longest(values: str) -> dict[str, str]:
    """Return how long transactions are open: one in question, one that is fresh, and a vacuum."""
    name, where = "pg_stat_activity_max_tx_duration", {"datname": "simplicity", "usename": "simplicity_sync"}
    return {
        _of(name, backend_type="client backend", state="idle in transaction", **where): values,
        _of(name, backend_type="client backend", state="active", **where): "1x20",
        _of(name, backend_type="autovacuum worker", state="active", datname="simplicity", usename=""): "90000x20",
    }


def _long() -> tuple[Case, ...]:
    name = "LongTransaction"
    where = {"cluster": CLUSTER, "instance": NAME, "datname": "simplicity", "usename": "simplicity_sync"}
    summary = "A transaction of simplicity_sync in simplicity of main has been open for 1h 1m 40s"
    return (
        *fires_when_due(
            name, "an hour", _longest("1x2 3700x10"), Firing(summary=summary, labels=where), due="150s", interval="30s"
        ),
        *silent(name, "an hour at the most", _longest("3600x20"), at="10m", interval="30s"),
    )


def _deadlocks() -> tuple[Case, ...]:
    name, where = "Deadlocks", labels(JOB, NAME, datid="6", datname="simplicity")
    given = {
        _of("pg_stat_database_deadlocks", datid="5", datname="postgres"): "3x40",
        _of("pg_stat_database_deadlocks", datid="6", datname="simplicity"): "0x14 1x30",
    }
    firing = Firing(summary="Transactions in simplicity of main waited for one another", labels=where)
    return (
        *fires_when_due(name, "the first one", given, firing, due="15m"),
        *fires(name, "eight minutes ago", given, firing, at="23m"),
        *silent(name, "twelve minutes ago", given, at="27m"),
    )


def _ages(values: str) -> dict[str, str]:
    return {
        _of("pg_database_wraparound_age_datfrozenxid_seconds", datname="simplicity"): values,
        _of("pg_database_wraparound_age_datfrozenxid_seconds", datname="template0"): "100x20",
        _of("pg_settings_autovacuum_freeze_max_age", server="127.0.0.1:5432"): "200000000x20",
    }


def _wraparound() -> tuple[Case, ...]:
    name, summary = "TransactionIdWraparound", "The oldest transaction id in simplicity of main is at 1.25 times"
    firing = Firing(summary=f"{summary} autovacuum_freeze_max_age", labels=labels(JOB, NAME, datname="simplicity"))
    return (
        *fires_when_due(name, "a quarter over", _ages("100x2 250000000x20"), firing, due="90m", interval="10m"),
        *silent(name, "a fifth over", _ages("240000000x20"), at="3h", interval="10m"),
    )


# --- storage ---------------------------------------------------------------------------------------------------------
def _rows(dead: str, live: str) -> dict[str, str]:
    where = {"datname": "simplicity", "schemaname": "index", "relname": "balances"}
    return {
        _of("pg_stat_user_tables_n_dead_tup", **where): dead,
        _of("pg_stat_user_tables_n_live_tup", **where): live,
    }


def _bloat() -> tuple[Case, ...]:
    name = "TableBloat"
    where = labels(JOB, NAME, datname="simplicity", schemaname="index", relname="balances")
    firing = Firing(summary="index.balances in main has 52.5% as many dead rows as live ones", labels=where)
    return (
        *fires_when_due(name, "half", _rows("1x2 10500x20", "20000x20"), firing, due="90m", interval="10m"),
        *silent(name, "half of them at the most", _rows("20000x20", "40000x20"), at="3h", interval="10m"),
        *silent(name, "a small table", _rows("10000x20", "100x20"), at="3h", interval="10m"),
    )


def _archiver(failed: str, archived: str) -> dict[str, str]:
    return {
        _of("pg_stat_archiver_failed_count", server="127.0.0.1:5432"): failed,
        _of("pg_stat_archiver_archived_count", server="127.0.0.1:5432"): archived,
    }


def _archiving() -> tuple[Case, ...]:
    name = "WalArchivingFailing"
    firing = Firing(
        summary="PostgreSQL behind postgresql-1 in main cannot write its WAL to the repository",
        labels=SERVER | {"server": "127.0.0.1:5432"},
    )
    failing, once = growing((60, 3)), growing((11, 0), (1, 1), (40, 0))
    return (
        *fires_when_due(
            name,
            "the last success was a quarter of an hour ago",
            _archiver(failing, growing((10, 1), (50, 0))),
            firing,
            due="25m",
        ),
        *fires(name, "the only failure was eight minutes ago", _archiver(once, "7x50"), firing, at="20m"),
        *silent(name, "the only failure was twelve minutes ago", _archiver(once, "7x50"), at="24m"),
        *silent(name, "some need a second try", _archiver(failing, growing((60, 1))), at="40m"),
        *silent(name, "nothing is to be archived", _archiver("3x50", "7x50"), at="40m"),
    )


CASES: tuple[Case, ...] = (
    *_down(),
    *_unreachable(),
    *_pool(),
    *_near_limit(),
    *_long(),
    *_deadlocks(),
    *_wraparound(),
    *_bloat(),
    *_archiving(),
)
