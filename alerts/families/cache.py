"""Alerts of Redis or Valkey: what processes share."""

from __future__ import annotations

from alerts.model import Alert, Group, Severity

GROUP = Group(
    name="cache",
    alerts=(
        Alert(
            name="CacheDown",
            severity=Severity.WARNING,
            team="platform",
            expr="redis_up == 0",
            hold="1m",
            reason="A restart takes a second. It is a cause: the API answers without it, if slower and less just.",
            summary=(
                "The cache behind {{ $labels.instance }} in {{ $labels.cluster }} does not answer (up is {{ $value }})"
            ),
            description=(
                "Each process keeps answers and counts limits by itself: more load on the database, and clients that "
                "reach several processes may ask more. Nothing is lost."
            ),
            runbook="answer-cache-down",
            dashboard="api",
            absent='up{job="valkey"}',
        ),
    ),
)
