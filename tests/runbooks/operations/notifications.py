"""What Alertmanager posts."""

from __future__ import annotations

from typing import Any


def alert(name: str = "ApiDown", status: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": name, "severity": "critical", **labels},
        "annotations": {"summary": f"{name} is told"},
        "startsAt": "2026-11-30T08:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://127.0.0.1:9090/graph",
        "fingerprint": "0114449caff13f42",
    }


def notification(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    shown = alerts or (alert(),)
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": shown[0]["status"],
        "receiver": "people",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://127.0.0.1:9093",
        "alerts": list(shown),
    } | changes
