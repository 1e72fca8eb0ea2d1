"""Alerts of what only a fleet has: a standby of everything, who leads, and certificates between hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts.model import Alert, Group, Severity

if TYPE_CHECKING:
    from alerts.model import Place

FLEET: frozenset[Place] = frozenset({"fleet"})

CERTIFICATES = (
    Alert(
        name="CertificateExpiring",
        severity=Severity.WARNING,
        team="platform",
        expr="simplicity_certificate_expires_timestamp_seconds - time() < <30d>",
        hold="1h",
        reason=(
            "Whoever runs the playbook renews what has less than thirty days left. What has, was not renewed: a month "
            "is left to find out why."
        ),
        summary=(
            "{{ $labels.path }} of {{ $labels.instance }} in {{ $labels.cluster }} ends in {{ $value | "
            "humanizeDuration }}"
        ),
        description="Nobody yet: at its end nothing that asks this host connects any more.",
        runbook="answer-certificate",
        dashboard="hosts",
        absent="simplicity_certificate_expires_timestamp_seconds",
        places=FLEET,
    ),
    Alert(
        name="CertificateAboutToExpire",
        severity=Severity.CRITICAL,
        team="platform",
        expr="simplicity_certificate_expires_timestamp_seconds - time() < <3d>",
        hold="10m",
        reason="The warning was there for weeks; three days outlast a weekend on which nobody reads warnings.",
        summary=(
            "{{ $labels.path }} of {{ $labels.instance }} in {{ $labels.cluster }} ends in {{ $value | "
            "humanizeDuration }}, and nobody has renewed it"
        ),
        description="Everyone at its end: an authority's takes all connections between hosts, a host's those to it.",
        runbook="answer-certificate",
        dashboard="hosts",
        places=FLEET,
    ),
)

LEADERSHIP = (
    Alert(
        name="DatabaseLeadership",
        severity=Severity.CRITICAL,
        team="database",
        expr="sum by (cluster, scope) (patroni_primary) != 1",
        hold="1m",
        reason=(
            "A failover takes less than half a minute. None that leads for a minute is one that does not end by "
            "itself; two are seen at most for a scrape, while they change."
        ),
        summary="{{ $value }} database servers lead in {{ $labels.cluster }}",
        description="Everyone: without a leader nothing is written; with two, what one of them takes will be lost.",
        runbook="answer-replication",
        dashboard="database",
        absent="patroni_primary",
        places=FLEET,
    ),
    Alert(
        name="FailoverPaused",
        severity=Severity.WARNING,
        team="database",
        expr="max by (cluster, scope) (patroni_is_paused) == 1",
        hold="30m",
        reason="Who works on the servers pauses it for minutes; after half an hour it was forgotten.",
        summary="Failover of the database is paused in {{ $labels.cluster }}",
        description="Nobody yet: if the leader dies now, no standby takes over until somebody says so.",
        runbook="answer-replication",
        dashboard="database",
        places=FLEET,
    ),
    Alert(
        name="EtcdMemberDown",
        severity=Severity.WARNING,
        team="database",
        expr='up{job="etcd"} == 0',
        hold="2m",
        reason="A restart takes seconds. The others go on as long as they are more than half.",
        summary="{{ $labels.instance }}, one of the votes on who leads in {{ $labels.cluster }}, does not answer",
        description="Nobody yet: with one more that is lost the leader steps down and nothing is written.",
        runbook="answer-replication",
        dashboard="database",
        absent='up{job="etcd"}',
        places=FLEET,
    ),
)

STANDBYS = (
    Alert(
        name="NoDatabaseStandby",
        severity=Severity.CRITICAL,
        team="database",
        expr="sum by (cluster, scope) (patroni_sync_standby) == 0",
        hold="5m",
        reason=(
            "A standby that was restarted catches up within seconds, one whose host was booted within a minute or two. "
            "It pages since commits are acknowledged meanwhile that only one host has."
        ),
        summary="No server of {{ $labels.cluster }} could take over the database without loss",
        description="Nobody yet: if the leader is lost now, so are commits of this time, or the database stays away.",
        runbook="answer-replication",
        dashboard="database",
        places=FLEET,
    ),
    Alert(
        name="ReplicationLagging",
        severity=Severity.WARNING,
        team="database",
        expr="""
            max by (cluster, scope) (patroni_xlog_location)
            - on (cluster, scope) group_right ()
            (patroni_xlog_replayed_location and on (cluster, instance) patroni_replica == 1)
            > 16777216
        """,
        hold="2m",
        reason=(
            "More than a segment of WAL for two minutes: replay takes less than a second else, also while a chain is "
            "indexed. By position rather than by time, which says nothing of a standby that no longer receives."
        ),
        summary=(
            "{{ $labels.instance }} is {{ $value | humanize1024 }}B behind the leader of the database in {{ "
            "$labels.cluster }}"
        ),
        description="Nobody yet: a failover to it takes as long as it needs to catch up, and its answers are old.",
        runbook="answer-replication",
        dashboard="database",
        places=FLEET,
    ),
    Alert(
        name="NoIndexerStandby",
        severity=Severity.WARNING,
        team="indexer",
        expr='max by (cluster) (simplicity_sync_role{simplicity_sync_role="standby"}) == 0',
        hold="10m",
        reason="A deployment replaces one after the other within minutes; more is one that does not come back.",
        summary="No process of {{ $labels.cluster }} would go on where the writer of the index stops",
        description="Nobody yet: if the writer stops now, the index stands still until somebody starts another one.",
        runbook="answer-indexer-down",
        dashboard="indexer",
        places=FLEET,
    ),
)

HOSTS = (
    Alert(
        name="VirtualAddressFault",
        severity=Severity.CRITICAL,
        team="platform",
        expr='sum by (cluster) (node_network_address_info{virtual="true"} or 0 * up{job="haproxy"}) != 1',
        hold="1m",
        reason="It goes from one balancer to another within seconds; a minute is no change.",
        summary="{{ $value }} balancers of {{ $labels.cluster }} hold the address that clients know",
        description=(
            "Everyone where none does: no request arrives. Where two do, each has a part of the clients, and which "
            "part changes."
        ),
        runbook="answer-api-down",
        dashboard="api",
        places=FLEET,
    ),
    Alert(
        name="UnitFailed",
        severity=Severity.WARNING,
        team="platform",
        expr='node_systemd_unit_state{state="failed"} == 1',
        hold="5m",
        reason=(
            "What is meant to run is started again by itself, so that a unit stays failed only where that was given "
            "up. Work by a timer, such as backups and maintenance, stays failed until its next turn."
        ),
        summary="{{ $labels.name }} of {{ $labels.instance }} in {{ $labels.cluster }} has failed",
        description="Nobody where others do the same work; of work by a timer, nothing was done since.",
        runbook="answer-unit-failed",
        dashboard="hosts",
        places=FLEET,
    ),
)

GROUP = Group(name="fleet", alerts=CERTIFICATES + LEADERSHIP + STANDBYS + HOSTS)
