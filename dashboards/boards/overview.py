"""For the person on call: what is wrong, since when, what to do; then whether users notice."""

from __future__ import annotations

from dataclasses import replace

from dashboards.boards.api import ANSWERS, FAILED, RESPONSE_TIME, SHORT
from dashboards.model import Dashboard, Panel, Row, Unit
from dashboards.writing import above, below, one, quantile

# Alerts over what has vanished have no cluster of their own. The heartbeat fires always, on purpose.
SHOWN = 'cluster=~"$cluster|", severity!="none"'

WRONG = Row(
    title="What is wrong, and what to do",
    panels=(
        Panel(
            title="Firing alerts",
            description="Each alert that fires, and for how long its condition has held. The alert's name opens its"
            " runbook: that says what to do. No row: nothing is known to be wrong.",
            unit=Unit.SECONDS,
            queries=one(
                f"max by (alertname, severity, team, instance) (time() - (ALERTS_FOR_STATE{{{SHOWN}}}"
                f' and ignoring (alertstate) ALERTS{{{SHOWN}, alertstate="firing"}}))',
                "{{alertname}} {{instance}}",
            ),
            witness="alert",
            kind="table",
            columns=("alertname", "severity", "team", "instance"),
            value="For",
            width=16,
        ),
        Panel(
            title="Parts that answer",
            description="The share of a part's processes that Prometheus reaches. Below one: the process is gone, or"
            " hangs; `simplicity status` says which.",
            unit=Unit.RATIO,
            queries=one('avg by (job) (up{cluster="$cluster"})', "{{job}}"),
            witness="exporter-stopped",
            lines=(below(1, "TargetDown"),),
        ),
    ),
)

USERS = Row(
    title="Do users notice",
    panels=(
        Panel(
            title="Error budgets left",
            description="What is left of each objective's budget; at 0 the objective is missed, and nothing risky is"
            " done until it has grown again. What is overspent more than once over is drawn at -100 %.",
            unit=Unit.RATIO,
            queries=one('clamp_min(min by (slo) (slo:budget_remaining:ratio{cluster="$cluster"}), -1)', "{{slo}}"),
            witness="sync-stopped",
        ),
        ANSWERS,
        FAILED,
        replace(
            RESPONSE_TIME,
            description="What 95 % of the answers take at most; more on the dashboard API.",
            queries=one(quantile(0.95, "http_request_duration_seconds", where=SHORT), "95 %"),
        ),
        Panel(
            title="Blocks behind the node",
            description="Whoever reads a balance reads one that is at least this old; more on the dashboard Indexer.",
            unit=Unit.NUMBER,
            queries=one('min(simplicity_api_lag_blocks{cluster="$cluster"})', "blocks"),
            witness="sync-stopped",
            lines=(above(2, "indexing-freshness"),),
        ),
    ),
)

ASSURANCE = Row(
    title="Could we come back, would we hear of it",
    panels=(
        Panel(
            title="Age of the newest backup",
            description="Decades: there is none. What was written since is in the archived WAL, if that is whole.",
            unit=Unit.SECONDS,
            queries=one('time() - max(simplicity_backup_last_timestamp_seconds{cluster="$cluster"})', "newest"),
            witness="backup",
            lines=(above(93_600, "BackupTooOld"),),
        ),
        Panel(
            title="Age of the last heartbeat",
            description="Since when the alarm's own heartbeat has not come through to its receiver. While it does not,"
            " no other alert does either: look at Alertmanager and the receiver.",
            unit=Unit.SECONDS,
            queries=one('time() - max(simplicity_watchdog_last_timestamp_seconds{cluster="$cluster"})', "heartbeat"),
            witness="receiver-refuses",
        ),
        Panel(
            title="Alerts that were not delivered",
            description="Attempts a minute of Alertmanager to deliver alerts that failed. Its log says why the receiver"
            " refused.",
            unit=Unit.NUMBER,
            queries=one(
                '60 * sum(rate(alertmanager_notification_requests_failed_total{cluster="$cluster"}[$__rate_interval]))',
                "failed",
            ),
            witness="receiver-refuses",
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="overview",
    title="Overview",
    description="For the person on call: what is wrong, since when, and what to do about it.",
    rows=(WRONG, USERS, ASSURANCE),
)
