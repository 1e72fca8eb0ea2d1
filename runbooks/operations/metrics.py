"""What Prometheus reads of the receiver: that alerts arrive, and that the alert that always fires still does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

if TYPE_CHECKING:
    from datetime import datetime

    from runbooks.operations.deliveries import Delivery

STATUSES = ("firing", "resolved")
# A severity is a label that somebody sent: any other one is counted as one, or each would be a series.
SEVERITIES = ("critical", "warning", "none")
OTHER = "other"


class Metrics:
    """The counters of one receiver."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._delivered = Counter(
            "simplicity_alerts_delivered",
            "Alerts that Alertmanager delivered.",
            ("status", "severity"),
            registry=self.registry,
        )
        self.refused = Counter(
            "simplicity_alert_deliveries_refused", "Deliveries that were not taken.", registry=self.registry
        )
        self._watchdog = Gauge(
            "simplicity_watchdog_last_timestamp_seconds",
            "When the alert that always fires was last delivered; 0: never.",
            registry=self.registry,
        )
        self.last_heard: datetime | None = None
        for status in STATUSES:
            for severity in SEVERITIES:
                self._delivered.labels(status, severity)

    def delivered(self, delivery: Delivery) -> None:
        """Count a delivery's alerts."""
        for alert in delivery.notification.alerts:
            severity = alert.labels.get("severity", OTHER)
            self._delivered.labels(alert.status, severity if severity in SEVERITIES else OTHER).inc()
        if delivery.is_heartbeat:
            self.heard(delivery.at)

    def heard(self, at: datetime) -> None:
        """Note when the watchdog was last heard."""
        self.last_heard = at
        self._watchdog.set(at.timestamp())

    def text(self) -> bytes:
        """Return all in Prometheus's text format."""
        return generate_latest(self.registry)
