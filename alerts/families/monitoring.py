"""Alerts of what watches: without them silence might mean that nobody looks."""

from __future__ import annotations

from alerts.model import Alert, Group, Severity

GROUP = Group(
    name="monitoring",
    alerts=(
        Alert(
            name="TargetDown",
            severity=Severity.WARNING,
            team="platform",
            # The others have alerts of their own; a load test is a target only while it runs.
            expr='up{job!~"api|sync|haproxy|alertmanager|backup|etcd|loadtest"} == 0 or pg_up == 0',
            hold="5m",
            reason=(
                "A restart takes seconds; five minutes of an exporter are a gap that can be borne. PostgreSQL's also "
                "where it cannot log in: if it is the database that is down, DatabaseDown hides this."
            ),
            summary="{{ $labels.instance }} ({{ $labels.job }}) in {{ $labels.cluster }} cannot be scraped or is blind",
            description="Nobody: what this target tells is unknown, and alerts that need it stay silent.",
            runbook="answer-monitoring-down",
            dashboard="overview",
        ),
        Alert(
            name="RuleEvaluationFailing",
            severity=Severity.WARNING,
            team="platform",
            expr="increase(prometheus_rule_evaluation_failures_total[5m]) > 0",
            hold="1m",
            reason="Rules are checked before they are loaded: one that fails does so at each evaluation.",
            summary="Rules of {{ $labels.rule_group }} in {{ $labels.cluster }} cannot be evaluated",
            description="Nobody: alerts of this group that should fire may not.",
            runbook="answer-monitoring-down",
            dashboard="overview",
        ),
        Alert(
            name="AlertmanagerDown",
            severity=Severity.CRITICAL,
            team="platform",
            expr='up{job="alertmanager"} == 0',
            hold="2m",
            keep="15m",
            reason=(
                "A restart takes seconds. It reaches people by another Alertmanager, or by the Watchdog's silence; "
                "where it comes back by itself they are told afterwards, which is what the quarter of an hour is for."
            ),
            summary="{{ $labels.instance }} in {{ $labels.cluster }} does not answer (up is {{ $value }})",
            description="Nobody who uses the service; no alert of this cluster reaches anyone if it was the only one.",
            runbook="answer-monitoring-down",
            dashboard="overview",
            absent='up{job="alertmanager"}',
        ),
        Alert(
            name="AlertsNotDelivered",
            severity=Severity.CRITICAL,
            team="platform",
            expr="""
                max by (cluster, integration) (rate(alertmanager_notification_requests_failed_total[5m])) > 0
            """,
            hold="5m",
            reason=(
                "Alertmanager tries again by itself: a failure that passes is forgotten after five minutes, so ten are "
                "several in a row. Of attempts, since whole notifications are given up late."
            ),
            summary="Alerts of {{ $labels.cluster }} do not get through by {{ $labels.integration }}",
            description="Nobody who uses the service; people on call do not learn of what goes wrong by this way.",
            runbook="answer-monitoring-down",
            dashboard="overview",
        ),
        Alert(
            name="Watchdog",
            severity=Severity.NONE,
            team="platform",
            expr='up{job="prometheus"} == 1',
            hold="0s",
            reason=(
                "It always fires, and whoever receives it raises the alarm when it stops. By a scrape rather than a "
                "constant, so that it also ends where Prometheus evaluates rules but reads nothing."
            ),
            summary="Alerts of {{ $labels.cluster }} are evaluated by {{ $labels.instance }} and delivered",
            description="Nobody is hurt: this message is the proof that the others would arrive.",
            runbook="answer-monitoring-down",
            dashboard="overview",
        ),
    ),
)
