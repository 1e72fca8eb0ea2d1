"""The database: whether it is reached, what waits for it, what it does."""

from __future__ import annotations

from dashboards.model import Dashboard, Panel, Query, Row, Unit
from dashboards.writing import above, below, limit, one, quantile

CLIENTS = 'backend_type="client backend"'
# The service's database, whatever its name is; not the server's own.
OURS = 'cluster="$cluster", datname!~"template.*|postgres|"'

REACHED = Row(
    title="Is it reached",
    panels=(
        Panel(
            title="Reached by the API",
            description="1 while the API's processes reach the database; at the worst of them.",
            unit=Unit.BOOLEAN,
            queries=one('min by (database) (database_reachable{cluster="$cluster"})', "{{database}}"),
            witness="database-stopped",
            lines=(below(1, "DatabaseUnreachable", "critical"),),
        ),
        Panel(
            title="Pool in use",
            description="The share of a pool's connections in use; the pool of bulk lists is left out, it may be full."
            " Full: requests wait; look at the time of queries and for locks before the pool is made larger.",
            unit=Unit.RATIO,
            queries=one(
                'max by (instance, pool) (database_connections_active{cluster="$cluster", pool!="bulk"}'
                ' / database_connections_max{cluster="$cluster"})',
                "{{instance}} {{pool}}",
            ),
            witness="slow-queries",
            lines=(above(0.8, "ConnectionPoolFilling"), above(0.9, "ConnectionPoolExhausted")),
        ),
        Panel(
            title="Connections of the server",
            description="The share of each server's connections that are taken, all and by state; the line is for all.",
            unit=Unit.RATIO,
            queries=(
                Query(
                    expr=f'sum by (cluster, instance) (pg_stat_activity_count{{cluster="$cluster", {CLIENTS}}})'
                    ' / on (cluster, instance) pg_settings_max_connections{cluster="$cluster"}',
                    legend="{{instance}} all",
                ),
                Query(
                    expr=f'sum by (cluster, instance, state) (pg_stat_activity_count{{cluster="$cluster", {CLIENTS}}})'
                    ' / on (cluster, instance) group_left () pg_settings_max_connections{cluster="$cluster"}',
                    legend="{{instance}} {{state}}",
                ),
            ),
            witness="slow-queries",
            lines=(above(0.8, "DatabaseConnectionsNearLimit"),),
        ),
    ),
)

QUERIES = Row(
    title="Queries and transactions",
    panels=(
        Panel(
            title="Time of queries",
            description="The 95th percentile of the five queries that are slowest at each moment, without the wait for"
            " a connection.",
            unit=Unit.SECONDS,
            queries=one(
                f"topk(5, {quantile(0.95, 'database_query_duration_seconds', by=('query',))} > 0)", "{{query}}"
            ),
            witness="slow-queries",
            lines=(limit("sql-latency"),),
        ),
        Panel(
            title="Longest transaction",
            description="The age of the oldest transaction that is open. It keeps dead rows from being cleaned, and"
            " whoever holds its locks waits with it.",
            unit=Unit.SECONDS,
            queries=one(f"max by (datname) (pg_stat_activity_max_tx_duration{{{OURS}, {CLIENTS}}})", "{{datname}}"),
            witness="long-transaction",
            lines=(above(3_600, "LongTransaction"),),
        ),
        Panel(
            title="Locks",
            description="Locks that are held or waited for, of the kinds that keep others out.",
            unit=Unit.NUMBER,
            queries=one(
                f'sum by (mode) (pg_locks_count{{{OURS}, mode=~"accessexclusivelock|exclusivelock|share.*"}})',
                "{{mode}}",
            ),
            witness="slow-queries",
        ),
        Panel(
            title="Deadlocks",
            description="Transactions that waited for one another and of which one was broken off, in the last"
            " interval. Each is an error somebody got.",
            unit=Unit.NUMBER,
            queries=one(
                f"sum by (datname) (increase(pg_stat_database_deadlocks{{{OURS}}}[$__rate_interval]))", "{{datname}}"
            ),
            witness="deadlock",
        ),
    ),
)

STORAGE = Row(
    title="Rows and files",
    panels=(
        Panel(
            title="Rows written",
            description="Rows inserted, changed and deleted a second.",
            unit=Unit.OPERATIONS_PER_SECOND,
            queries=one(
                f"sum by (datname) (rate(pg_stat_database_tup_inserted{{{OURS}}}[$__rate_interval]))", "{{datname}}"
            ),
            witness="blocks",
        ),
        Panel(
            title="Dead rows",
            description="Dead rows for each live one, of the five tables that have most at each moment; small tables"
            " count as having 20 000. It grows where autovacuum is kept away: look for a long transaction.",
            unit=Unit.RATIO,
            queries=one(
                f"topk(5, max by (relname) (pg_stat_user_tables_n_dead_tup{{{OURS}}}"
                f" / clamp_min(pg_stat_user_tables_n_live_tup{{{OURS}}}, 20000)))",
                "{{relname}}",
            ),
            witness="dead-rows",
            lines=(above(0.5, "TableBloat"),),
        ),
        Panel(
            title="Growth",
            description="Bytes a second by which the database grows.",
            unit=Unit.BYTES_PER_SECOND,
            queries=one(f"sum by (datname) (deriv(pg_database_size_bytes{{{OURS}}}[$__rate_interval]))", "{{datname}}"),
            witness="dead-rows",
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="database",
    title="Database",
    description="Whether the database is reached, what waits for it, and what it does.",
    rows=(REACHED, QUERIES, STORAGE),
)
