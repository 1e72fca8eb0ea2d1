"""Alerts of PostgreSQL: whether it answers, and what it runs out of."""

from __future__ import annotations

from alerts.model import Alert, Group, Severity

ANSWERING = (
    Alert(
        name="DatabaseDown",
        severity=Severity.CRITICAL,
        team="database",
        expr="""
            (pg_up == 0 unless on (cluster) max by (cluster) (database_reachable{database="primary"}) == 1)
            or (
                up{job="postgresql"} == 0
                and on (cluster) max by (cluster) (database_reachable{database="primary"}) == 0
            )
        """,
        hold="1m",
        reason=(
            "A restart with recovery takes seconds. It is not down while a process of the API reaches it: an exporter "
            "whose login fails, or that dies alone, pages nobody (TargetDown warns). A server that hangs makes its "
            "exporter hang as well; then it is down if no process of the API reaches it either."
        ),
        summary=(
            "PostgreSQL behind {{ $labels.instance }} in {{ $labels.cluster }} does not answer (up is {{ $value }})"
        ),
        description="Everyone: nothing is indexed, and the API has only answers that it kept, then none.",
        runbook="answer-database-down",
        dashboard="database",
        absent='up{job="postgresql"}',
    ),
    Alert(
        name="DatabaseUnreachable",
        severity=Severity.CRITICAL,
        team="database",
        expr='database_reachable{database="primary"} == 0',
        hold="1m",
        reason=(
            "The process tries again every second. What keeps it away for a minute is a password, a network, or a "
            "server that hangs."
        ),
        summary="{{ $labels.instance }} of the API in {{ $labels.cluster }} does not reach its database",
        description="Clients of this process get answers that it kept, then errors; of all, where none reaches it.",
        runbook="answer-database-down",
        dashboard="database",
    ),
)

# The pools for bulk lists are meant to be full when two clients fetch one: who waits there waits behind the like.
CONNECTIONS = (
    Alert(
        name="ConnectionPoolExhausted",
        severity=Severity.WARNING,
        team="database",
        expr='database_connections_active{pool!~"bulk.*"} / database_connections_max > 0.9',
        hold="2m",
        reason="Above 90 % the next requests wait for a connection; two minutes are no burst of cold caches.",
        summary=(
            "{{ $value | humanizePercentage }} of the pool {{ $labels.pool }} of {{ $labels.instance }} in {{ "
            "$labels.cluster }} are in use"
        ),
        description="Clients of this process wait behind one another for answers that are not in the cache.",
        runbook="answer-database-pressure",
        dashboard="database",
    ),
    Alert(
        name="ConnectionPoolFilling",
        severity=Severity.WARNING,
        team="database",
        expr='database_connections_active{pool!~"bulk.*"} / database_connections_max > 0.8',
        hold="5m",
        reason="At 80 % over five minutes there is room for one busy client more.",
        summary=(
            "{{ $value | humanizePercentage }} of the pool {{ $labels.pool }} of {{ $labels.instance }} in {{ "
            "$labels.cluster }} are in use"
        ),
        description="Nobody yet: with a little more load, or slower queries, requests begin to wait.",
        runbook="answer-database-pressure",
        dashboard="database",
    ),
    Alert(
        name="DatabaseConnectionsNearLimit",
        severity=Severity.WARNING,
        team="database",
        expr="""
            sum by (cluster, instance) (pg_stat_activity_count{backend_type="client backend"})
            / on (cluster, instance) pg_settings_max_connections > 0.8
        """,
        hold="5m",
        reason=(
            "Pools are sized to stay below; at 80 % a process that is replaced may find no connection for its new one. "
            "Counted on the connection that the exporter holds: at 100 % it gets no further one either."
        ),
        summary=(
            "{{ $value | humanizePercentage }} of the connections of PostgreSQL behind {{ $labels.instance }} in {{ "
            "$labels.cluster }} are taken"
        ),
        description="Everyone once none is left: the API, the indexer and the backups are refused alike.",
        runbook="answer-database-pressure",
        dashboard="database",
    ),
)

TRANSACTIONS = (
    Alert(
        name="LongTransaction",
        severity=Severity.WARNING,
        team="database",
        expr="""
            max by (cluster, instance, datname, usename) (
                pg_stat_activity_max_tx_duration{backend_type="client backend"}
            ) > <1h>
        """,
        hold="1m",
        reason=(
            "Queries of the API end within half a minute, a block within a second; what reads the whole index needs "
            "less than an hour. Vacuum and base backups are meant to last and hold nothing back."
        ),
        summary=(
            "A transaction of {{ $labels.usename }} in {{ $labels.datname }} of {{ $labels.cluster }} has been open "
            "for {{ $value | humanizeDuration }}"
        ),
        description="Nobody yet: rows that it might see cannot be cleaned, and those that it locked cannot be written.",
        runbook="answer-database-pressure",
        dashboard="database",
    ),
    Alert(
        name="Deadlocks",
        severity=Severity.WARNING,
        team="database",
        expr="increase(pg_stat_database_deadlocks[10m]) > 0",
        hold="0s",
        reason="There is one writer, and readers lock no rows: a single one means that something else writes.",
        summary="Transactions in {{ $labels.datname }} of {{ $labels.cluster }} waited for one another",
        description="The transaction that was given up, and whoever waited for the second that it took to be found.",
        runbook="answer-database-pressure",
        dashboard="database",
    ),
    Alert(
        name="TransactionIdWraparound",
        severity=Severity.WARNING,
        team="database",
        expr="""
            pg_database_wraparound_age_datfrozenxid_seconds
            / on (cluster, instance) group_left () pg_settings_autovacuum_freeze_max_age > 1.2
        """,
        hold="1h",
        reason=(
            "At 1 autovacuum begins to freeze by force, which is ordinary; a fifth above it does not get done. With "
            "the usual setting PostgreSQL refuses to write at about 10.7, so there are months left to find out why."
        ),
        summary=(
            "The oldest transaction id in {{ $labels.datname }} of {{ $labels.cluster }} is at {{ $value | humanize }} "
            "times autovacuum_freeze_max_age"
        ),
        description="Nobody yet; in the end everyone, since a database that runs out of ids takes no writes.",
        runbook="answer-database-pressure",
        dashboard="database",
    ),
)

STORAGE = (
    Alert(
        name="TableBloat",
        severity=Severity.WARNING,
        team="database",
        expr="""
            pg_stat_user_tables_n_dead_tup / pg_stat_user_tables_n_live_tup > 0.5
            and pg_stat_user_tables_n_dead_tup > 10000
        """,
        hold="1h",
        reason=(
            "Autovacuum begins at a fifth: half as many dead rows as live ones for an hour are ones that it cannot "
            "take away, or does not get to. Small tables may be as dirty as they like."
        ),
        summary=(
            "{{ $labels.schemaname }}.{{ $labels.relname }} in {{ $labels.cluster }} has {{ $value | "
            "humanizePercentage }} as many dead rows as live ones"
        ),
        description="Queries of this table read more than they need and get slower; the disk fills faster.",
        runbook="answer-database-pressure",
        dashboard="database",
    ),
    Alert(
        name="WalArchivingFailing",
        severity=Severity.WARNING,
        team="database",
        expr="""
            increase(pg_stat_archiver_failed_count[10m]) > 0
            unless increase(pg_stat_archiver_archived_count[10m]) > 0
        """,
        hold="5m",
        reason=(
            "The archiver tries three times a minute. Failures without a success for minutes are a repository that is "
            "away, not a file that needed a second try."
        ),
        summary=(
            "PostgreSQL behind {{ $labels.instance }} in {{ $labels.cluster }} cannot write its WAL to the repository"
        ),
        description=(
            "Nobody yet: what is written from now on would be lost with the server, and the segments that wait fill "
            "its disk."
        ),
        runbook="answer-wal-archiving",
        dashboard="backups",
    ),
)

GROUP = Group(name="database", alerts=ANSWERING + CONNECTIONS + TRANSACTIONS + STORAGE)
